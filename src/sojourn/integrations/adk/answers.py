"""Errors that ADK's HTTP server answers with a status and a text.

ADK's routes let most errors of a service pass, and FastAPI makes a bare 500 of what it does not
know. An error that is an `HTTPException` as well is answered as it says, in every app that ADK
makes: behind `adk`, `sojourn adk` and `get_fast_api_app`. To all other code it is what it was.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, NamedTuple, TypeVar, cast

from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.input_validation_error import InputValidationError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from starlette.exceptions import HTTPException

from sojourn import errors
from sojourn.integrations.adk.stale import StaleSessionError

F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])


class _Answer(NamedTuple):
    """Attributes: the status; what is told, the error's own words if empty; seconds to wait."""

    status: int
    told: str = ""
    retry_after: int = 0


_ANSWERS: Final[Mapping[type[Exception], _Answer]] = {
    errors.TooLarge: _Answer(413),
    errors.InvalidInput: _Answer(400),
    errors.SessionNotFound: _Answer(404, "Session not found."),
    errors.Conflict: _Answer(409),
    errors.OutcomeUnknown: _Answer(
        503,
        "No answer came from the session store in time: whether the last change was stored is not "
        "known. Read the session before you repeat the request.",
        1,
    ),
    errors.Unavailable: _Answer(503, "The session store is out of reach. Try again later.", 1),
    errors.NewerFormat: _Answer(
        503, "A newer version has stored this, and this server cannot read it yet."
    ),
    errors.Undecodable: _Answer(503, "This server cannot decode what is stored under this name."),
    errors.CorruptRecord: _Answer(500, "What is stored under this name cannot be read."),
    SessionNotFoundError: _Answer(404),
    AlreadyExistsError: _Answer(409),
    **({} if StaleSessionError is ValueError else {StaleSessionError: _Answer(409)}),
}
"""Who asked is told what the request had to do with it, and never where the store is or its keys.

What is not here (wrong credentials, a closed store) is the operator's, and stays a bare 500.
"""


def answered(error: Exception) -> Exception:
    """The same error, of a class that ADK's server has an answer for.

    Args:
        error: of the tree of `sojourn.errors`, or ADK's own.
    """
    kind = type(error)
    if not issubclass(kind, HTTPException):
        combined = _combined(kind)  # type: ignore[arg-type]  # a class is Hashable
        if combined is not None:
            error.__class__ = combined
    return error


@functools.cache
def _combined(kind: type[Exception]) -> type[Exception] | None:
    """The class of errors of a kind that are HTTPExceptions, too; None if it has no answer."""
    answer = next((_ANSWERS[each] for each in kind.__mro__ if each in _ANSWERS), None)
    if answer is None:
        return None
    bases: tuple[type, ...] = (kind, HTTPException)
    if issubclass(kind, errors.InvalidInput):  # as what ADK's routes for artifacts know it
        bases = (kind, InputValidationError, HTTPException)

    def plain(self: Exception) -> tuple[Any, ...]:
        return errors.rebuilt, (kind, self.args, self.__dict__)

    def detail(self: Exception) -> str:
        return answer.told or str(self)

    members: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__str__": Exception.__str__,
        "__repr__": Exception.__repr__,
        "__reduce__": plain,
        "status_code": answer.status,
        "detail": property(detail),
        "headers": {"Retry-After": str(answer.retry_after)} if answer.retry_after else None,
    }
    return type(kind.__name__, bases, members)


def answers(method: F) -> F:
    """Let the errors of a service's method be answered."""

    @functools.wraps(method)
    async def answering(*args: Any, **kwargs: Any) -> Any:
        try:
            return await method(*args, **kwargs)
        except Exception as error:
            answered(error)
            raise

    return cast("F", answering)
