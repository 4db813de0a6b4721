"""Keys that seal content: rings of master keys, and a data key for each user, wrapped by one."""

from sojourn.keys.admin import KeyAdmin
from sojourn.keys.model import DataKeyInfo, KeySweep, MasterKeyUsage, Rewrapped
from sojourn.keys.ring import KeyRing

__all__ = ["DataKeyInfo", "KeyAdmin", "KeyRing", "KeySweep", "MasterKeyUsage", "Rewrapped"]
