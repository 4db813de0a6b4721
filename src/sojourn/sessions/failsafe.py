"""Failsafe calls: each returns a result and never raises."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import wraps
from traceback import format_tb
from typing import (
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
from sojourn.ids import SessionKey

P = ParamSpec("P")
T = TypeVar("T")

Status = Literal["ok", "not_found", "refused", "unavailable", "failed"]

log = logging.getLogger("sojourn.sessions")


class Result(msgspec.Struct, Generic[T], frozen=True):
    """The outcome of a call.

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
        value: the return value of the call; None unless `ok`, or a batch that was written in part.
        error: the error that the call would raise; None only when `ok`.
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
    """How many safe calls have ended with an error, by `Result.status`.

    Attributes:
        not_found: changes of a missing session; a read that finds none does not count.
        refused: calls that were wrong or in conflict.
        unavailable: calls whose answer could not be known.
        failed: records that cannot be read, and bugs.
    """

    not_found: int
    refused: int
    unavailable: int
    failed: int


class Failsafe:
    """Makes calls that return a `Result`, and counts and logs failures."""

    def __init__(self) -> None:
        self._counts = Counter[Status]()
        self._told: dict[str, type[Exception]] = {}

    @property
    def failures(self) -> Failures:
        """The figures now."""
        counts = self._counts
        return Failures(
            counts["not_found"], counts["refused"], counts["unavailable"], counts["failed"]
        )

    def safe(
        self, method: Callable[P, Awaitable[T | None]], name: str
    ) -> Callable[P, Coroutine[Any, Any, Result[T]]]:
        """The same call, which raises nothing; failures are logged under its name."""

        @wraps(method)
        async def safely(*args: P.args, **kwargs: P.kwargs) -> Result[T]:
            try:
                for key in (*args, *kwargs.values()):
                    if isinstance(key, SessionKey):  # one made without `of` was never checked
                        SessionKey.of(*key)
                value = await method(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - that is what this room is for
                return self._ended(name, error)
            if errors := _errors_in(value):
                ended = [self._ended(name, each) for each in errors]
                return Result(ended[0].status, value, errors[0])
            self._told.pop(name, None)
            if value is None or value is False:
                return Result("not_found", error=SessionNotFound("There is no such session."))
            return Result("ok", value)

        return safely

    def _ended(self, name: str, cause: Exception) -> Result[Any]:
        status = _status_of(cause)
        self._counts[status] += 1
        with suppress(Exception):  # a log handler of the application's may raise
            self._tell(name, status, cause)
        if isinstance(cause, SojournError):
            return Result(status, error=cause)
        error = SojournError(
            f"{name} failed with {type(cause).__name__}: a bug in Sojourn, or an argument "
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
        log.log(level, "%s: %s, %s%s", name, status, kind.__name__, detail)


def _errors_in(value: object) -> list[SojournError]:
    """The outcomes of batch entries that were not written."""
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
