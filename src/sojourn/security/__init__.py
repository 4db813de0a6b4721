"""Who may do what: identity, ids, bindings, CSRF, enumeration and the access log."""

from sojourn.security.audit import AccessLog, Decision, JsonLines, Logged, Outcome
from sojourn.security.gate import Limiter
from sojourn.security.guard import Guard, Guarded, SecurityStats, UserStore
from sojourn.security.principal import Principal

__all__ = [
    "AccessLog",
    "Decision",
    "Guard",
    "Guarded",
    "JsonLines",
    "Limiter",
    "Logged",
    "Outcome",
    "Principal",
    "SecurityStats",
    "UserStore",
]
