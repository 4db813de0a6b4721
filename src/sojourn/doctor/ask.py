"""Asking a server that may refuse: what it is asked only reads, and a refusal is an answer too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sojourn.calls.call import Call, Command
from sojourn.doctor.reading import Refused
from sojourn.errors import (
    AccessDenied,
    ServerBusy,
    ServerFault,
    ServerReadOnly,
    UnsupportedServer,
)

Run = Callable[[Call[Any]], Awaitable[Any]]
"""Sends a call to the one server that is examined."""

_FAMILIES = frozenset({"ACL", "CLIENT", "CONFIG", "SCRIPT"})
"""Commands whose second word says what they do."""


_REFUSALS = (AccessDenied, ServerBusy, ServerFault, ServerReadOnly, UnsupportedServer)


async def ask(run: Run, *command: str | int, keys: Sequence[str] = ()) -> Any:
    """Send a command that only reads. One round trip.

    Args:
        run: sends it.
        command: its words.
        keys: the keys that it reads.

    Returns:
        the reply, or a `Refused`.

    Raises:
        CorruptRecord: a key is of another type.
        SojournError: no server answers.
    """
    return await _send(run, Call("doctor.ask", keys, _first, commands=[command], patient=False))


async def ask_each(run: Run, command: str, keys: Sequence[str]) -> Any:
    """Send a command for each of some keys, at least one, at once. One round trip.

    Returns:
        the replies, or a `Refused`.
    """
    commands: list[Command] = [(command, key) for key in keys]
    return await _send(run, Call("doctor.ask", keys, list, commands=commands, patient=False))


async def _send(run: Run, call: Call[Any]) -> Any:
    try:
        return await run(call)
    except _REFUSALS as error:
        command = call.commands[0]
        words = map(str, command[: 1 + (command[0] in _FAMILIES)])
        said = " ".join(str(error.__cause__ or error).split()).partition(", with args")[0]
        return Refused(f"{' '.join(words)} is refused: {said}", isinstance(error, AccessDenied))


def _first(replies: list[Any]) -> Any:
    return replies[0]
