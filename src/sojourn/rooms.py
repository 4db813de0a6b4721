"""The rooms of a store, in one list."""

from __future__ import annotations

from sojourn.artifacts.keys import ArtifactRoomKeys
from sojourn.cache.keys import CacheRoomKeys
from sojourn.calls.keys import Keys
from sojourn.memory.keys import MemoryRoomKeys
from sojourn.notices.keys import NoticeRoomKeys
from sojourn.security.keys import SecurityRoomKeys
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.streams.keys import StreamRoomKeys

_KEYS: tuple[type[Keys], ...] = (
    SessionRoomKeys,
    CacheRoomKeys,
    MemoryRoomKeys,
    ArtifactRoomKeys,
    NoticeRoomKeys,
    StreamRoomKeys,
    SecurityRoomKeys,
)


class StoreKeys(Keys):
    """The keys of all rooms of one deployment.

    Args:
        namespace: stands before every key.

    Raises:
        InvalidId: the namespace is not letters, digits, `_.-`, or is a word that keys begin with.
    """

    def __init__(self, namespace: str = "") -> None:
        self.kinds = tuple(kind for room in _KEYS for kind in room.kinds)
        super().__init__(namespace)
