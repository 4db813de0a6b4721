"""Asking a server that may refuse: what it is asked only reads, and a refusal is an answer too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from sojourn.calls.call import Call, Command
from sojourn.doctor.reading import NotAllowed
from sojourn.errors import (
    AccessDenied,
    ServerBusy,
    ServerFault,
    ServerReadOnly,
    Unavailable,
    UnsupportedServer,
)

Run = Callable[[Call[Any]], Awaitable[Any]]
"""Sends a call to the one server that is examined."""

_FAMILIES = frozenset({"ACL", "CLIENT", "CONFIG", "SCRIPT"})
"""Commands whose second word says what they do."""


_REFUSALS = (AccessDenied, ServerBusy, ServerFault, ServerReadOnly, UnsupportedServer)


_PING: Call[Any] = Call("doctor.ask", (), bool, commands=[("PING",)], retry_when_busy=False)


class Careful:
    """Asks a server that may hang up on what it does not know, as proxies do.

    Whatever else was under way is then lost as well: so each is asked once more, alone.

    Args:
        run: sends a call to the server.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._alone = asyncio.Lock()
        self._hung: set[str] = set()

    async def run(self, call: Call[Any]) -> Any:
        """Send a call.

        Raises:
            ServerFault: the server hangs up on it, and is there.
            SojournError: what else may happen to it.
        """
        once = replace(call, repeatable=False)  # asked again here, and not till the deadline
        try:
            return await self._run(once)
        except Unavailable:
            async with self._alone:
                return await self._run_alone(once)

    async def _run_alone(self, call: Call[Any]) -> Any:
        words = _words(call)
        if words not in self._hung:
            await self._run(_PING)  # else it is down
            try:
                return await self._run(call)
            except Unavailable:
                await self._run(_PING)
                self._hung.add(words)
        raise ServerFault("the connection ends instead of an answer")


def _words(call: Call[Any]) -> str:
    """What a call does, as its first command says."""
    command = call.commands[0]
    return " ".join(map(str, command[: 1 + (command[0] in _FAMILIES)]))


async def ask(run: Run, *command: str | int, keys: Sequence[str] = ()) -> Any:
    """Send a command that only reads. One round trip.

    Args:
        run: sends it.
        command: its words.
        keys: the keys that it reads.

    Returns:
        the reply, or a `NotAllowed`.

    Raises:
        CorruptRecord: a key is of another type.
        SojournError: no server answers.
    """
    return await _send(
        run, Call("doctor.ask", keys, _first, commands=[command], retry_when_busy=False)
    )


async def ask_each(run: Run, command: str, keys: Sequence[str]) -> Any:
    """Send a command for each of some keys, at least one, at once. One round trip.

    Returns:
        the replies, or a `NotAllowed`.
    """
    commands: list[Command] = [(*command.split(), key) for key in keys]
    return await _send(
        run, Call("doctor.ask", keys, list, commands=commands, retry_when_busy=False)
    )


async def _send(run: Run, call: Call[Any]) -> Any:
    try:
        return await run(call)
    except _REFUSALS as error:
        said = " ".join(str(error.__cause__ or error).split()).partition(", with args")[0]
        return NotAllowed(f"{_words(call)} is refused: {said}", isinstance(error, AccessDenied))


def _first(replies: list[Any]) -> Any:
    return replies[0]
