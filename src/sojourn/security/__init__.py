"""Security: identity, ids, bindings, CSRF, enumeration and the access log."""

from sojourn.security.audit import AccessLog, Decision, JsonLines, Logged, Outcome
from sojourn.security.binding import Bindings
from sojourn.security.enumeration import GuessLimiter
from sojourn.security.forgetting import ErasureReceipt
from sojourn.security.gate import Limiter
from sojourn.security.guard import Guard, Guarded, SecurityStats, UserStore
from sojourn.security.ids import IdPolicy
from sojourn.security.kept import UserArtifacts, UserCache, UserHistory, UserMemory, UserNotices
from sojourn.security.keyring import Keyring
from sojourn.security.own import UserSessions
from sojourn.security.principal import Principal

__all__ = [
    "AccessLog",
    "Bindings",
    "Decision",
    "ErasureReceipt",
    "Guard",
    "Guarded",
    "GuessLimiter",
    "IdPolicy",
    "JsonLines",
    "Keyring",
    "Limiter",
    "Logged",
    "Outcome",
    "Principal",
    "SecurityStats",
    "UserArtifacts",
    "UserCache",
    "UserHistory",
    "UserMemory",
    "UserNotices",
    "UserSessions",
    "UserStore",
]
