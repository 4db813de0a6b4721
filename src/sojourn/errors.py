"""Every error that Sojourn raises, in one tree.

    SojournError
    ├── ConfigurationError        the URL, an option, or the platform is wrong: fix it, do not retry
    │   └── UnsupportedServer     the server is older than Redis 6.2 or Valkey 7.2
    ├── InvalidInput              (ValueError) refused before anything was sent
    │   ├── InvalidId             an app, user, session or namespace that cannot name a key
    │   ├── InvalidValue          a value that JSON cannot hold
    │   ├── TooManyLabels         more labels than one session has
    │   └── TooLarge              an event or a state over its cap
    ├── SessionNotFound           (LookupError) it never was, was deleted, or has expired
    │   └── SessionRotated        it has another id now; told to who holds its incarnation
    ├── Conflict                  the server's state forbids the write; nothing was written
    │   ├── SessionExists         create() of an id that is taken
    │   ├── EventExists           append() of an event whose id is in the log already
    │   ├── TooManySessions       the user has as many sessions as `max_sessions` allows
    │   ├── Erased                the user was forgotten after this write was made, or its key was
    │   ├── StaleSession          the version is no longer the one the caller expected
    │   └── StaleEntry            the same of an entry of the memory
    ├── Unavailable               the server cannot answer now: the truth is unknown, retry later
    │   ├── OutcomeUnknown        a write was sent and its reply never came
    │   ├── ServerBusy            loading, running a long script, or out of connections
    │   ├── ServerReadOnly        a replica, or a primary that refuses writes
    │   ├── ServerOutOfMemory     maxmemory is reached
    │   └── BufferFull            out of reach, and the outage buffer takes no more
    ├── Refused                   a guard refuses the caller; nothing was done
    │   ├── InvalidBinding        a session's binding is forged, moved or outdated
    │   ├── InvalidToken          a CSRF token is missing, forged or another session's
    │   └── Throttled             too many failures of this peer: later
    ├── InvalidArchive            an export that is damaged or cut short
    ├── AccessDenied              the server refuses these credentials, or this user that command
    ├── CorruptRecord             a stored record that cannot be read; its bytes are kept
    │   └── Tampered              a sealed one that was changed, moved or replaced
    ├── Undecodable               a record that is sound, and that this process cannot decode
    │   ├── NewerFormat           a newer version of Sojourn wrote it: upgrade this one
    │   ├── KeyMissing            it is sealed with a key that this process does not have
    │   └── DictionaryMissing     it is compressed with a dictionary that is gone
    ├── ServerFault               the server answered what it should not have
    ├── NotPicklable              (TypeError) a handle of this process, sent to another
    └── Closed                    used after close()

No exception of a driver leaves Sojourn: it is the `__cause__` of one of these.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AccessDenied",
    "BufferFull",
    "Closed",
    "ConfigurationError",
    "Conflict",
    "CorruptRecord",
    "DictionaryMissing",
    "Erased",
    "EventExists",
    "InvalidArchive",
    "InvalidBinding",
    "InvalidId",
    "InvalidInput",
    "InvalidToken",
    "InvalidValue",
    "KeyMissing",
    "NewerFormat",
    "NotPicklable",
    "OutcomeUnknown",
    "Refused",
    "ServerBusy",
    "ServerFault",
    "ServerOutOfMemory",
    "ServerReadOnly",
    "SessionExists",
    "SessionNotFound",
    "SessionRotated",
    "SojournError",
    "StaleEntry",
    "StaleSession",
    "Tampered",
    "Throttled",
    "TooLarge",
    "TooManyLabels",
    "TooManySessions",
    "Unavailable",
    "Undecodable",
    "UnsupportedServer",
]


class SojournError(Exception):
    """The root: `except SojournError` catches whatever Sojourn raises.

    Every error of the tree may be copied and sent to another process, with all its attributes.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild it without its `__init__`, which takes other arguments than it keeps."""
        return rebuilt, (type(self), self.args, self.__dict__)


def rebuilt(
    kind: type[SojournError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> SojournError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class ConfigurationError(SojournError):
    """A URL, an option or the platform is wrong. Retrying does not help."""


class UnsupportedServer(ConfigurationError):
    """The server is older than Redis 6.2 or Valkey 7.2."""


class InvalidInput(SojournError, ValueError):
    """The caller's value was refused before anything was sent."""


class InvalidId(InvalidInput):
    """An app, user, session or namespace that cannot name a key."""


class InvalidValue(InvalidInput):
    """A value that JSON cannot hold without loss."""


class TooManyLabels(InvalidInput):
    """More labels than one session has, also with those that it has already."""


class TooLarge(InvalidInput):
    """Something that the caller chose is over its cap: bytes, or a number of values.

    Attributes:
        size: bytes, or how many, that it has or would have.
        limit: what it may have.
        option: which raises the limit; empty if none does.
    """

    def __init__(
        self,
        what: str,
        size: int,
        limit: int,
        option: str = "",
        left: str = "nothing was written",
        *,
        unit: str = "bytes",
    ) -> None:
        self.size = size
        self.limit = limit
        self.option = option
        wider = f", or raise {option}" if option else ""
        super().__init__(
            f"{what} of {size:,} {unit} is over the cap of {limit:,} {unit}; {left}. "
            f"Store large content elsewhere and keep a reference{wider}."
        )


class SessionNotFound(SojournError, LookupError):
    """The session never was, was deleted, or has expired."""


class SessionRotated(SessionNotFound):
    """The session was given another id, and lives on under that.

    Told within 24 h to a write that names the `incarnation` which the session had under the old id:
    such code had loaded it. Who names an id alone, handles of a user, the MCP server and ADK's are
    told that there is no such session. The new id is in no error: whoever rotated the session has
    it (`Rotated.key`).
    """


class Conflict(SojournError):
    """The state on the server forbids this write. Nothing was written."""


class SessionExists(Conflict):
    """The id given to create() is taken."""


class EventExists(Conflict):
    """An event of this id is in the log already: no id is twice in a log.

    Attributes:
        ids: how many of the events given have an id that is in the log.
    """

    def __init__(self, message: str, *, ids: int) -> None:
        self.ids = ids
        super().__init__(message)


class TooManySessions(Conflict):
    """The user has as many sessions as one may have."""


class Erased(Conflict):
    """The user was forgotten after this write was made: it is not done any more.

    Or the record is sealed, and its key was destroyed: nobody can read it any more.
    """


class StaleSession(Conflict):
    """The session has changed since the version that the caller expected.

    Attributes:
        expected: the version that the caller named.
        actual: the version on the server.
    """

    def __init__(self, message: str, *, expected: int, actual: int) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(message)


class StaleEntry(Conflict):
    """A memory entry has changed since the version that the caller expected.

    Attributes:
        expected: the version that the caller named; 0 for "there must be none".
        actual: the version on the server; 0 when there is none.
    """

    def __init__(self, message: str, *, expected: int, actual: int) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(message)


class Unavailable(SojournError):
    """The server cannot answer now. This is never "not found": the truth is unknown."""


class OutcomeUnknown(Unavailable):
    """A write was sent and no reply came before the deadline: it may or may not have happened.

    Repeat the call with `operation_id=error.operation_id`: it takes effect once either way.

    Attributes:
        operation_id: the id under which the write was sent.
    """

    def __init__(self, message: str, *, operation_id: str) -> None:
        self.operation_id = operation_id
        super().__init__(message)


class ServerBusy(Unavailable):
    """The server is loading its data, runs a long script, or has no connection left."""


class ServerReadOnly(Unavailable):
    """The server is a replica, or a primary that refuses writes for now."""


class ServerOutOfMemory(Unavailable):
    """The server has reached `maxmemory` and may not evict."""


class BufferFull(Unavailable):
    """The server is out of reach, and the outage buffer takes no more. Nothing was taken."""


class Refused(SojournError):
    """A guard refuses the caller. Nothing was done."""


class InvalidBinding(Refused):
    """A session's binding is forged, moved to another user, session or client, or outdated.

    Attributes:
        reason: for the log and not for who asks: `forged` (or moved), `outdated`; empty if unknown.
    """

    def __init__(
        self, message: str = "The session's binding is not valid.", *, reason: str = ""
    ) -> None:
        self.reason = reason
        super().__init__(message)


class InvalidToken(Refused):
    """A CSRF token is missing, forged, outdated or another session's."""


class Throttled(Refused):
    """Too many failures of this peer.

    Attributes:
        retry_after: seconds until it may try again.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class InvalidArchive(SojournError):
    """An export is damaged, cut short, or holds what no store has written.

    Attributes:
        line: the line where that was found, from 1; 0 when it is the whole.
    """

    def __init__(self, message: str, *, line: int = 0) -> None:
        self.line = line
        super().__init__(message)


class AccessDenied(SojournError):
    """The server refuses these credentials, or this user that command or key."""


class CorruptRecord(SojournError):
    """A stored record cannot be read.

    Attributes:
        key: the key that holds it.
        raw: its bytes as they stand on the server.
    """

    def __init__(self, message: str, *, key: str, raw: bytes) -> None:
        self.key = key
        self.raw = raw
        super().__init__(message)


class Tampered(CorruptRecord):
    """A sealed record was changed, moved or replaced, or stands in plain text where none may be."""


class Undecodable(SojournError):
    """A record is sound, and this process cannot decode it. Nothing was quarantined or written."""


class NewerFormat(Undecodable):
    """A newer version of Sojourn wrote the record, in a way that this one cannot read.

    It is sound: nothing of it is quarantined, and nothing was written. Upgrade this process.

    Attributes:
        found: the major version of the record's format.
        known: the highest that this version reads.
    """

    def __init__(self, message: str, *, found: str, known: str) -> None:
        self.found = found
        self.known = known
        super().__init__(message)


class KeyMissing(Undecodable):
    """A record is sealed with a key that this process does not have.

    Attributes:
        key_id: which key; empty when nothing says it.
    """

    def __init__(self, message: str, *, key_id: str = "") -> None:
        self.key_id = key_id
        super().__init__(message)


class DictionaryMissing(Undecodable):
    """A record is compressed with a dictionary that neither this version nor the store has.

    Attributes:
        dictionary: its id.
    """

    def __init__(self, message: str, *, dictionary: str) -> None:
        self.dictionary = dictionary
        super().__init__(message)


class ServerFault(SojournError):
    """The server answered with something that no healthy server answers."""


class NotPicklable(SojournError, TypeError):
    """A store, or a handle of one, cannot leave its process; the message says what to pass."""


class Closed(SojournError):
    """The store was used after close()."""
