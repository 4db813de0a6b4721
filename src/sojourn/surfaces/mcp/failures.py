"""Error texts for models: they say what happened and what to do, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from pydantic import ValidationError

from sojourn.errors import (
    Conflict,
    CorruptRecord,
    DictionaryMissing,
    InvalidInput,
    KeyMissing,
    NewerFormat,
    OutcomeUnknown,
    Refused,
    SessionNotFound,
    SojournError,
    StaleEntry,
    StaleSession,
    Tampered,
    Unavailable,
)

log = logging.getLogger("sojourn.mcp")

F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])


_TEXTS: dict[type[SojournError], str] = {
    SessionNotFound: "There is no such session: session_list has yours, session_create makes one.",
    Unavailable: "The store does not answer now. Nothing is lost: try again in some seconds.",
    Tampered: "What is stored there was changed or moved. It cannot be trusted: delete it.",
    KeyMissing: "It is sealed with a key that this server does not have. It is sound; whoever runs "
    "the server can give it the key.",
    DictionaryMissing: "It is compressed with a dictionary that this server does not have. It is "
    "sound; whoever runs the server can give it that.",
    CorruptRecord: "What is stored there cannot be read. Deleting it, or storing it anew, helps.",
    NewerFormat: "A newer version of Sojourn stored it. It is sound; this server needs an upgrade.",
    SojournError: "The store refuses to work. Who runs this server finds why in its log.",
}
"""For an error of the kind, and its kin. What a server or its address said is not in them."""


def text_of(error: SojournError) -> str:
    """What a caller may read of an error."""
    if isinstance(error, OutcomeUnknown):
        return (
            "It may have happened or not: the store did not answer in time. Repeat the call with "
            f"operation_id {error.operation_id!r}: it takes effect once either way."
        )
    if isinstance(error, StaleSession | StaleEntry):
        return f"{error} Read it again, and repeat the call with the version that it has now."
    if isinstance(error, InvalidInput | Conflict | Refused):
        return str(error)
    return next(text for kind, text in _TEXTS.items() if isinstance(error, kind))


_WRONG = {"missing": "is missing.", "extra_forbidden": "is not taken: leave it out."}
"""For the two faults that pydantic calls by words of its own; its other texts are plain."""


_MOST, _LONGEST = 5, 100
"""Faults that are named, and characters of a place: its names may be any that were sent."""


def wrong_arguments(tool: str, error: ValidationError, known: Sequence[str]) -> str:
    """What was wrong with the arguments of a call, one a line, and which arguments there are.

    Args:
        tool: its name.
        error: what pydantic found. No value that was sent is repeated.
        known: the arguments of the tool.
    """
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{tool} was not called, as its arguments are wrong:"]
    for fault in faults[:_MOST]:
        where = ".".join(map(str, fault["loc"]))
        where = where if len(where) <= _LONGEST else f"{where[:_LONGEST]}…"
        said = _WRONG.get(fault["type"]) or f"{fault['msg'][:1].lower()}{fault['msg'][1:]}."
        lines.append(f"- {where}: {said}")
    if len(faults) > _MOST:
        lines.append(f"- and {len(faults) - _MOST:,} more.")
    return "\n".join([*lines, f"Its arguments are: {', '.join(known)}."])


def told(function: F) -> F:
    """Let a tool end with a text for the model."""

    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except SojournError as error:
            _log(function.__name__, error)
            raise ToolError(text_of(error)) from error

    return cast("F", call)


def read(function: F) -> F:
    """Let the reading of a resource end with a text for the client."""

    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except (SessionNotFound, InvalidInput) as error:
            raise ResourceNotFoundError("There is no such resource.") from error
        except SojournError as error:
            _log(function.__name__, error)
            raise ResourceError(text_of(error)) from error

    return cast("F", call)


def _log(name: str, error: SojournError) -> None:
    if not isinstance(error, InvalidInput | Conflict | Refused | SessionNotFound):
        log.warning("%s: %s: %s", name, type(error).__name__, error)
