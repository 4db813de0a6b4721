"""Translation of errors: everything that redis-py or the network raises becomes a Sojourn error."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

from redis import exceptions as driver

from sojourn.errors import (
    AccessDenied,
    ConfigurationError,
    CorruptRecord,
    ServerBusy,
    ServerFault,
    ServerOutOfMemory,
    ServerReadOnly,
    SojournError,
    Unavailable,
    UnsupportedServer,
)

_Rule = tuple[type[SojournError], str]

_BUSY: _Rule = (
    ServerBusy,
    "The server at {where} cannot serve this call now ({detail}). Try again shortly.",
)
_READ_ONLY: _Rule = (
    ServerReadOnly,
    "The server at {where} refuses writes ({detail}). Point the URL at the primary, or mend its "
    "replicas.",
)
_UNSAVED: _Rule = (
    ServerReadOnly,
    "The server at {where} refuses writes because it cannot save them ({detail}). Mend its disk or "
    "its persistence.",
)
_ELSEWHERE: _Rule = (
    ConfigurationError,
    "The server at {where} is a node of a Redis Cluster ({detail}): use redis+cluster://host:port.",
)
_MEMORY: _Rule = (
    ServerOutOfMemory,
    "The server at {where} is out of memory ({detail}). Raise maxmemory or shorten the TTLs; "
    "nothing was written.",
)
_DENIED: _Rule = (
    AccessDenied,
    "The server at {where} refuses access ({detail}). Check the user and password in the URL and "
    "the user's ACL: docs/guides/running.md has the rule that Sojourn needs.",
)
_FOREIGN: _Rule = (
    CorruptRecord,
    "A key of Sojourn's on {where} holds something that Sojourn did not write ({detail}). Move it "
    "away or delete it; if it is a session's, a read puts it into the quarantine and names it.",
)
_CERTIFICATE: _Rule = (
    ConfigurationError,
    "TLS with {where} failed ({detail}). Check its certificate, and name a CA that the system does "
    "not know by ?ssl_ca_certs=FILE behind the URL; a server that wants a certificate of yours "
    "gets it by &ssl_certfile=FILE&ssl_keyfile=FILE.",
)
_FAULT: _Rule = (ServerFault, "The server at {where} answered {detail}.")
_NO_DATABASE: _Rule = (
    ConfigurationError,
    "The server at {where} has no database of that number ({detail}). Take a lower one in the URL, "
    "as in /0, or raise `databases` in the server's configuration.",
)
_LACKING: _Rule = (
    UnsupportedServer,
    "The server at {where} lacks a command that Sojourn needs ({detail}). Use Redis 6.2 or Valkey "
    "7.2 or newer, and look whether a proxy or rename-command hides it.",
)
_HERE: _Rule = (
    ConfigurationError,
    "A call to {where} failed in this process, not on the server ({kind}: {detail}). That is a "
    "fault of Sojourn or of its surroundings here: please report it.",
)
_CROWDED: _Rule = (
    Unavailable,
    "This process could not connect to {where} ({detail}). The server is not to blame: raise the "
    "limit of open files (ulimit -n), or close what is open.",
)
_FORBIDDEN: _Rule = (
    Unavailable,
    "This process may not connect to {where} ({detail}). Check the rights of the socket and of the "
    "folders above it, or what the system lets this process do.",
)
_NAMELESS: _Rule = (
    Unavailable,
    "This machine finds no address for the host of {where} ({detail}). Nothing was sent: check the "
    "name in the URL, and the DNS of this machine.",
)
_CUT_OFF: _Rule = (
    Unavailable,
    "This machine has no way to {where} ({detail}). Nothing was sent: check its network, routes "
    "and firewall.",
)
_DOWN: _Rule = (
    Unavailable,
    "No answer from {where} ({detail}). {advice}",
)

# The most particular first: redis-py takes the code off the message of the classes it knows.
_BY_CLASS: tuple[tuple[type[BaseException], _Rule], ...] = (
    (driver.BusyLoadingError, _BUSY),
    (driver.MaxConnectionsError, _BUSY),
    (driver.ClusterDownError, _BUSY),
    (driver.TryAgainError, _BUSY),
    (driver.AskError, _ELSEWHERE),
    (driver.ReadOnlyError, _READ_ONLY),
    (driver.OutOfMemoryError, _MEMORY),
    (driver.AuthenticationError, _DENIED),
    (driver.AuthorizationError, _DENIED),
    (driver.NoPermissionError, _DENIED),
    (driver.AuthenticationWrongNumberOfArgsError, _DENIED),
)

# Errors that reach us as text: plain ones, and those that Lua passes on from inside a script.
_BY_CODE: dict[str, _Rule] = {
    "LOADING": _BUSY,
    "BUSY": _BUSY,
    "MASTERDOWN": _BUSY,
    "CLUSTERDOWN": _BUSY,
    "TRYAGAIN": _BUSY,
    "max number of clients": _BUSY,
    "READONLY": _READ_ONLY,
    "read only replica": _READ_ONLY,
    "MISCONF": _UNSAVED,
    "NOREPLICAS": _READ_ONLY,
    "MOVED": _ELSEWHERE,
    "ASK": _ELSEWHERE,
    "OOM": _MEMORY,
    "NOAUTH": _DENIED,
    "WRONGPASS": _DENIED,
    "NOPERM": _DENIED,
    "can't run this command or subcommand": _DENIED,
    "can't access at least one of the keys": _DENIED,
    "WRONGTYPE": _FOREIGN,
    "DB index is out of range": _NO_DATABASE,
    "unknown command": _LACKING,
    "Unknown Redis command": _LACKING,
}
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""Errors of the system that say that this process, or this machine, has no more of something."""
_APART = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH})
"""Errors of the system that say that no packet leads to the server from here."""

_REFUSED_CERTIFICATE = re.compile("CERTIFICATE|UNKNOWN_CA")
_CODE = re.compile("|".join(rf"(?<!\w){re.escape(code)}(?!\w)" for code in _BY_CODE))


def translate(error: BaseException, where: str) -> SojournError:
    """The Sojourn error for a foreign one; the caller raises it `from error`.

    Args:
        error: what redis-py, asyncio or the operating system raised, or redis-py read as a reply.
        where: the server's address, without secrets.
    """
    if isinstance(error, SojournError):
        return error
    kind, template = _rule_for(error)
    message = template.format(
        where=where, detail=_detail(error), advice=advice(where), kind=type(error).__name__
    )
    if kind is CorruptRecord:
        return CorruptRecord(message, key="", raw=b"")
    return kind(message)


def is_hopeless(error: BaseException) -> bool:
    """Whether connecting again could not help: wrong credentials, certificate, or set-up."""
    if isinstance(error, SojournError):
        return isinstance(error, ConfigurationError | AccessDenied)
    if isinstance(error, driver.ResponseError):
        return not is_passing(error)
    return _rule_for(error) is _DENIED or is_certificate(error)


def advice(where: str) -> str:
    """What to look at when nothing answers: a server that speaks no TLS says nothing to it."""
    if where.startswith("rediss"):
        return "Check that the server runs, can be reached, and speaks TLS there."
    return "Check that the server runs and can be reached."


class Redirect(NamedTuple):
    """A node of a Cluster says which node answers.

    Attributes:
        slot: of the call's keys.
        host: of that node; empty for that of the one that says so.
        port: of that node.
        asking: only for this call, while the slot moves (ASK); else for good (MOVED).
    """

    slot: int
    host: str
    port: int
    asking: bool


def redirect_of(error: BaseException) -> Redirect | None:
    """The redirect in an error reply; redis-py 5 leaves its code in the text."""
    text = str(error)
    asking = not isinstance(error, driver.MovedError) and not text.startswith("MOVED ")
    if not isinstance(error, driver.AskError) and not text.startswith(("MOVED ", "ASK ")):
        return None
    slot, _, address = text.removeprefix("MOVED ").removeprefix("ASK ").partition(" ")
    host, _, port = address.rpartition(":")
    host = "" if host == "?" else host  # names are preferred, and it has none
    return Redirect(int(slot), host, int(port), asking)


def is_passing(error: BaseException) -> bool:
    """Whether a refusal may be over in a moment, and nothing was done: worth another try."""
    return _rule_for(error) in (_BUSY, _READ_ONLY)


def is_foreign(error: BaseException) -> bool:
    """Whether a key holds a value of another type than ours."""
    return _rule_for(error) is _FOREIGN


def leads_elsewhere(error: BaseException) -> bool:
    """Whether the server is no primary any more: another connection may find the one that is."""
    return isinstance(error, driver.ReadOnlyError) or "READONLY" in str(error)


def _rule_for(error: BaseException) -> _Rule:
    for kind, rule in _BY_CLASS:
        if isinstance(error, kind):
            return rule
    if isinstance(error, driver.RedisError) and (found := _CODE.search(str(error))):
        return _BY_CODE[found.group()]
    if is_certificate(error):
        return _CERTIFICATE
    if isinstance(error, driver.ConnectionError | driver.TimeoutError | OSError | TimeoutError):
        return _rule_of_system(error)
    answered = isinstance(error, driver.ResponseError | driver.InvalidResponse)
    return _FAULT if answered else _HERE


def _rule_of_system(error: BaseException) -> _Rule:
    """Whether the server is out of reach, or this process cannot reach anything."""
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in _FULL:
            return _CROWDED
        if isinstance(each, PermissionError):
            return _FORBIDDEN
        if isinstance(each, socket.gaierror):
            return _NAMELESS
        if isinstance(each, OSError) and each.errno in _APART:
            return _CUT_OFF
    return _DOWN


def is_here(error: BaseException) -> bool:
    """Whether what failed is on this side: the server was not even reached."""
    return _rule_for(error) in (_CROWDED, _FORBIDDEN, _NAMELESS, _CUT_OFF, _HERE)


def is_certificate(error: BaseException) -> bool:
    """Whether a certificate was refused, on this side or the other, or by what led to it."""
    return any(
        isinstance(each, ssl.SSLCertVerificationError)
        or (isinstance(each, ssl.SSLError) and _REFUSED_CERTIFICATE.search(each.reason or ""))
        for each in _chain(error)
    )


def is_dropped(error: BaseException) -> bool:
    """Whether the other side has hung up: it was reached, and did not like what it heard."""
    if isinstance(error, driver.AuthenticationError | driver.BusyLoadingError):
        return False
    if isinstance(error, driver.MaxConnectionsError | TimeoutError | driver.TimeoutError):
        return False
    if not isinstance(error, driver.ConnectionError | driver.InvalidResponse | OSError):
        return False
    return all(
        isinstance(each, ConnectionResetError | BrokenPipeError) or not isinstance(each, OSError)
        for each in _chain(error)
    )


def is_misheard(error: BaseException) -> bool:
    """Whether one side may speak TLS and the other not."""
    return is_dropped(error) or (
        not is_certificate(error) and any(isinstance(each, ssl.SSLError) for each in _chain(error))
    )


def without_traces(error: BaseException) -> BaseException:
    """The error that a server or the network is to blame for, without where we met it.

    Its traceback shows redis-py and the engine, and nothing of the caller's: 60 lines that hide the
    message. Errors of this process keep theirs.
    """
    if isinstance(error, driver.RedisError | OSError):
        for each in _chain(error):
            each.__traceback__ = None
        error.__suppress_context__ = error.__cause__ is None
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:  # an error may be its own cause
        yield cause
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__


def _detail(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    told, _, _ = text.partition(", with args beginning with")  # they hold ids
    return told[:200].rstrip(".")
