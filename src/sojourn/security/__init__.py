"""Who may do what: identity, ids, bindings, CSRF, enumeration and the access log."""

from sojourn.security.audit import AccessLog, Decision, JsonLines, Logged, Outcome
from sojourn.security.enumeration import Enumeration
from sojourn.security.principal import Principal

__all__ = ["AccessLog", "Decision", "Enumeration", "JsonLines", "Logged", "Outcome", "Principal"]
