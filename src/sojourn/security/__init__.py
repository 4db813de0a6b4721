"""Security: identity, ids, bindings, CSRF, enumeration and the access log."""

from sojourn.security.audit import AccessLog, Decision, JsonLines, Logged, Outcome
from sojourn.security.binding import Bindings
from sojourn.security.forgetting import ErasureReceipt
from sojourn.security.guard import Guard, SecurityStats
from sojourn.security.guess_limiter import GuessLimiter
from sojourn.security.handles import UserRoom
from sojourn.security.ids import IdPolicy
from sojourn.security.interceptor import AccessInterceptor, AccessPolicy, Limiter
from sojourn.security.keyring import Keyring
from sojourn.security.principal import Principal
from sojourn.security.user import User

__all__ = [
    "AccessInterceptor",
    "AccessLog",
    "AccessPolicy",
    "Bindings",
    "Decision",
    "ErasureReceipt",
    "Guard",
    "GuessLimiter",
    "IdPolicy",
    "JsonLines",
    "Keyring",
    "Limiter",
    "Logged",
    "Outcome",
    "Principal",
    "SecurityStats",
    "User",
    "UserRoom",
]
