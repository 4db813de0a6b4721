"""The same calls for callers that must never see an exception."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import wraps
from traceback import format_tb
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NoReturn,
    ParamSpec,
    TypeVar,
    cast,
)

import msgspec

from sojourn.errors import (
    AccessDenied,
    Closed,
    ConfigurationError,
    Conflict,
    InvalidInput,
    OutcomeUnknown,
    ServerFault,
    SessionNotFound,
    SojournError,
    Unavailable,
)
from sojourn.handles import stays_here
from sojourn.ids import SessionKey

if TYPE_CHECKING:
    from sojourn.sessions.service import Sessions

P = ParamSpec("P")
T = TypeVar("T")

Status = Literal["ok", "not_found", "refused", "unavailable", "failed"]

log = logging.getLogger("sojourn.sessions")


class Result(msgspec.Struct, Generic[T], frozen=True):
    """What became of a call.

    A result is neither true nor false: `if result:` could not tell "not found" from "unavailable".
    It raises `TypeError`, and does so when all is well, too: nobody needs an outage to notice.

    Attributes:
        status: `ok`: it was done, or found.
            `not_found`: the session never was, was deleted, or has expired.
            `refused`: the call is wrong or in conflict, and would be again: `InvalidInput`,
            `Conflict` and their kin.
            `unavailable`: the truth cannot be known now: `Unavailable` and its kin, `AccessDenied`,
            `ConfigurationError`, `ServerFault`, `Closed`.
            `failed`: `CorruptRecord`, or a bug: in Sojourn, or an argument of a wrong type.
        value: what the call returns; None unless `ok`, or a batch that was written in part.
        error: what the call would raise; None only when `ok`.
    """

    status: Status
    value: T | None = None
    error: SojournError | None = None

    @property
    def operation_id(self) -> str | None:
        """Of a write that may have happened: repeat it with this id and it takes effect once."""
        return self.error.operation_id if isinstance(self.error, OutcomeUnknown) else None

    def unwrap(self) -> T:
        """The value.

        Raises:
            SojournError: `error`, unless the status is `ok`.
        """
        if self.error is not None:
            raise self.error
        return cast("T", self.value)

    def __bool__(self) -> NoReturn:
        raise TypeError("A Result is neither true nor false: ask for its status.")


class Failures(NamedTuple):
    """How many calls of `sessions.safe` have ended with an error, by `Result.status`.

    Attributes:
        not_found: changes of a session that is not there; to look for one in vain is no error.
        refused: calls that were wrong or in conflict.
        unavailable: calls whose answer could not be known.
        failed: records that cannot be read, and bugs.
    """

    not_found: int
    refused: int
    unavailable: int
    failed: int


@stays_here("its URL, and open the store there")
class SafeSessions:
    """The calls of `Sessions`, with the same arguments. Each gives a `Result`, none raises.

    What is not there is `not_found`: `get` gives no None, `touch` and `delete` no False.

    `append_many` and `save_many` are `ok` when all entries are. If not, status and error are those
    of the first that is not, and `Result.value` has what became of each.

    Each error is counted (`store.stats().failures`) and logged as a warning, a bug with where it
    happened. While the server cannot answer, a call that meets the same error again logs it at
    debug level. No content is logged, and no id but a write's: `Result.error` may have them.

    Cancellation is no error, and passes; so do KeyboardInterrupt and SystemExit.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._counts = Counter[Status]()
        self._told: dict[str, type[Exception]] = {}
        self.create = self._safe(sessions.create)
        self.get = self._safe(sessions.get)
        self.get_as = self._safe(sessions.get_as)
        self.get_many = self._safe(sessions.get_many)
        self.append = self._safe(sessions.append)
        self.begin = self._safe(sessions.begin)
        self.recent = self._safe(sessions.recent)
        self.append_many = self._safe(sessions.append_many)
        self.replay = self._safe(sessions.replay)
        self.update = self._safe(sessions.update)
        self.save = self._safe(sessions.save)
        self.save_many = self._safe(sessions.save_many)
        self.trim = self._safe(sessions.trim)
        self.touch = self._safe(sessions.touch)
        self.delete = self._safe(sessions.delete)
        self.rotate = self._safe(sessions.rotate)
        self.ensure = self._safe(sessions.ensure)
        self.list = self._safe(sessions.list)
        self.users = self._safe(sessions.users)
        self.apps = self._safe(sessions.apps)
        self.count = self._safe(sessions.count)
        self.sweep = self._safe(sessions.sweep)
        self.revoke = self._safe(sessions.revoke)
        self.revoke_user = self._safe(sessions.revoke_user)
        self.revoke_app = self._safe(sessions.revoke_app)
        self.forget = self._safe(sessions.forget)
        self.user_state = self._safe(sessions.user_state)
        self.quarantined = self._safe(sessions.quarantined)
        self.release = self._safe(sessions.release)
        self.cache_stats = sessions.cache_stats  # asks nobody, so nothing can go wrong

    @property
    def failures(self) -> Failures:
        """The figures now."""
        counts = self._counts
        return Failures(
            counts["not_found"], counts["refused"], counts["unavailable"], counts["failed"]
        )

    def _safe(
        self, method: Callable[P, Awaitable[T | None]]
    ) -> Callable[P, Coroutine[Any, Any, Result[T]]]:
        @wraps(method)
        async def safe(*args: P.args, **kwargs: P.kwargs) -> Result[T]:
            try:
                for key in (*args, *kwargs.values()):
                    if isinstance(key, SessionKey):  # one made without `of` was never checked
                        SessionKey.of(*key)
                value = await method(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - that is what this room is for
                return self._ended(safe.__name__, error)
            if errors := _errors_in(value):
                ended = [self._ended(safe.__name__, each) for each in errors]
                return Result(ended[0].status, value, errors[0])
            self._told.pop(safe.__name__, None)
            if value is None or value is False:
                return Result("not_found", error=SessionNotFound("There is no such session."))
            return Result("ok", value)

        return safe

    def _ended(self, name: str, cause: Exception) -> Result[Any]:
        status = _status_of(cause)
        self._counts[status] += 1
        with suppress(Exception):  # a log handler of the application's may raise
            self._tell(name, status, cause)
        if isinstance(cause, SojournError):
            return Result(status, error=cause)
        error = SojournError(
            f"sessions.{name} failed with {type(cause).__name__}: a bug in Sojourn, or an argument "
            "of a wrong type. See `__cause__`."
        )
        error.__cause__ = cause
        return Result(status, error=error)

    def _tell(self, name: str, status: Status, error: Exception) -> None:
        """Log it. Only messages about the server are told: others may quote what they refuse."""
        kind, level, detail = type(error), logging.WARNING, ""
        if status == "unavailable":
            detail = f": {error}"
            if self._told.get(name) is kind:
                level = logging.DEBUG
            elif kind is not OutcomeUnknown:
                self._told[name] = kind
        else:
            self._told.pop(name, None)
        if status == "failed":
            detail = "\n" + "".join(format_tb(error.__traceback__)).rstrip()
        log.log(level, "sessions.%s: %s, %s%s", name, status, kind.__name__, detail)


def _errors_in(value: object) -> list[SojournError]:
    """What became of the entries of a batch that were not written."""
    if not isinstance(value, list):
        return []
    return [each for each in cast("list[object]", value) if isinstance(each, SojournError)]


def _status_of(error: Exception) -> Status:
    match error:
        case SessionNotFound():
            return "not_found"
        case InvalidInput() | Conflict():
            return "refused"
        case Unavailable() | AccessDenied() | ConfigurationError() | ServerFault() | Closed():
            return "unavailable"
        case _:
            return "failed"
