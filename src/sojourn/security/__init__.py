"""Who may do what: identity, ids, bindings, CSRF, enumeration and the access log."""

from sojourn.security.audit import AccessLog, Decision, JsonLines, Logged, Outcome
from sojourn.security.binding import Bindings
from sojourn.security.ids import IdPolicy
from sojourn.security.keyring import Keyring
from sojourn.security.principal import Principal

__all__ = [
    "AccessLog",
    "Bindings",
    "Decision",
    "IdPolicy",
    "JsonLines",
    "Keyring",
    "Logged",
    "Outcome",
    "Principal",
]
