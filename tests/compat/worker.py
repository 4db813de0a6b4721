"""A process under load: it writes to sessions that it shares with others, and tells each step.

Run as a script on one version of Sojourn. It prints a JSON object a line: `try` before a write is
sent, `done` when it was acknowledged, `met` for an error of Sojourn's, after which it repeats the
write. What an earlier worker left in doubt it is given as its third argument, and repeats first.
It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

import sojourn
from sojourn import Event, SessionKey, Sojourn
from sojourn.errors import OutcomeUnknown, SojournError, StaleEntry, Unavailable

SECONDS = 30
"""After which a call has hung: each ends in time by itself."""

SESSIONS = [SessionKey.of("shop", user, name) for user in ("ada", "bob") for name in ("s", "t")]


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 - to the parent


class Worker:
    """Writes of one process, numbered from 0."""

    def __init__(self, store: Sojourn, name: str) -> None:
        self._store = store
        self._adapters: Any = getattr(store, "adapters", store.sessions)  # the baseline has none
        self._name = name

    async def append(self, name: str, number: int) -> None:
        """Append an event that says who wrote it, and set state that says the same."""
        key = SESSIONS[number % len(SESSIONS)]
        told = {"session": list(key), "by": name, "number": number}
        said = {name: number, f"user:{name}": number, f"app:{name}": number}
        event = Event(
            author=name, payload=number, id=f"{name}-{number}", time=1.5e9, state_delta=said
        )
        tell(to="try", **told)
        done = await self._surely(lambda: self._adapters.begin(key, event, operation_id=event.id))
        tell(to="done", **told, seqs=list(done.seqs))

    async def others(self, number: int) -> None:
        """A write in another room, in turn."""
        store, name, op = self._store, self._name, f"{self._name}-other-{number}"
        scope, key = store.memory.user("ada", app="shop"), SESSIONS[number % len(SESSIONS)]
        others = [
            lambda: scope.merge("shared", {name: number}, operation_id=op),
            lambda: scope.put(f"of {name}", "blue", operation_id=op),
            lambda: store.cache.put("c", number, ttl=60, tags=["t"], operation_id=op),
            lambda: store.artifacts.save(key, "f", op.encode(), operation_id=op),
            lambda: store.sessions.update(key, title=name, operation_id=op),
            lambda: store.memory.user("ada", app="shop").search("blue"),
            lambda: store.cache.invalidate("t"),
        ]
        await self._surely(others[number % len(others)])
        if number % len(others) == 0:
            tell(to="merged", by=name, number=number)

    async def look(self, number: int) -> None:
        """Read a session: what others write meanwhile must not make it incomplete."""
        session = await self._surely(lambda: self._store.sessions.get(SESSIONS[number % 4]))
        if session is not None and not session.complete:
            tell(to="incomplete", session=list(session.key))

    async def _surely(self, write: Any) -> Any:
        while True:
            try:
                async with asyncio.timeout(SECONDS):
                    return await write()
            except (Unavailable, OutcomeUnknown, StaleEntry) as error:
                tell(to="met", error=type(error).__name__)
                await asyncio.sleep(0.05)


async def main(url: str, name: str, doubt: str) -> None:
    ended = threading.Thread(target=sys.stdin.read, daemon=True)  # one that holds up no failure
    ended.start()
    async with sojourn.open(url, namespace="compat", notices=True) as store:
        worker = Worker(store, name)
        if doubt:
            left = json.loads(doubt)
            await worker.append(left["by"], left["number"])
        number = 0
        while ended.is_alive():
            try:
                await worker.append(name, number)
                await worker.others(number)
                await worker.look(number)
            except (SojournError, TimeoutError) as error:
                tell(to="failed", error=type(error).__name__, message=str(error))
                raise
            number += 1
    tell(to="end")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
