"""One deadline for all round trips of a call, where each reply comes late."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

import pytest

import extent
import sojourn
from servers import Server
from sojourn import Event, OutcomeUnknown, SessionKey, Unavailable
from sojourn.security import Principal

TIMEOUT, LATE = 0.6, 0.5
KEY = SessionKey.of("late", "ada", "s")

CALLS: dict[str, Callable[[sojourn.Sojourn], Awaitable[Any]]] = {
    "get": lambda store: store.sessions.get(KEY),
    "append": lambda store: store.sessions.append(
        KEY, Event(author="a", payload=1, state_delta={"app:a": 1})
    ),
    "create": lambda store: store.sessions.create("late", "new", state={"app:a": 2}),
    "update": lambda store: store.sessions.update(KEY, title="t"),
    "list": lambda store: store.sessions.list("late", "ada"),
    "list by app": lambda store: store.sessions.list("late"),
    "recent": lambda store: store.admin.recent("late"),
    "users": lambda store: store.admin.users("late"),
    "apps": lambda store: store.admin.apps(),
    "revoke": lambda store: store.admin.revoke(KEY),
    "rotate": lambda store: store.sessions.rotate(KEY),
    "store.rotate": lambda store: store.rotate(KEY),
    "delete": lambda store: store.sessions.delete(KEY),
    "history.pop": lambda store: store.history(KEY).pop(),
    "memory.clear": lambda store: store.memory.user("ada").clear(),
    "memory.list": lambda store: store.memory.user("ada").list(),
    "artifacts.move": lambda store: store.artifacts.move(KEY, KEY._replace(session="t")),
    "artifacts.delete": lambda store: store.artifacts.delete(KEY, "a"),
    "artifacts.save": lambda store: store.artifacts.save(KEY, "a", b"y"),
    "artifacts.load": lambda store: store.artifacts.load(KEY, "a"),
    "artifacts.clear": lambda store: store.artifacts.clear(KEY),
    "cache.invalidate": lambda store: store.cache.invalidate("tag"),
    "begin": lambda store: store.adapters.begin(
        SessionKey.of("late", "eve", "first"),
        Event(author="a", payload=1, state_delta={"app:a": 1}),
    ),
    "ensure": lambda store: store.sessions.ensure("late", "new", "one", state={"app:a": 3}),
    "list by pattern": lambda store: store.sessions.list("late", pattern="user-*"),
    "trim": lambda store: store.sessions.trim(KEY, keep=0),
    "history.append": lambda store: store.history("another").append("user", "hello"),
    "history.clear": lambda store: store.history(KEY).clear(),
    "history.all": lambda store: store.history(KEY).all(),
    "memory.put": lambda store: store.memory.user("ada").put("k", 1),
    "memory.merge": lambda store: store.memory.user("ada").merge("o", {"b": 1}),
    "memory.latest": lambda store: store.memory.user("ada").latest(),
    "memory.scopes": lambda store: store.admin.memory.scopes("user"),
    "remember": lambda store: store.remember(KEY, end=True),
    "health": lambda store: store.health(),
    "notices.read": lambda store: store.notices.read("late", "ada", limit=1),
    "notices.latest": lambda store: store.notices.latest("late", "ada"),
    "quarantined": lambda store: store.admin.quarantined("late", "ada"),
    "guard.user": lambda store: store.guard().user(Principal.of("late", "ada")).sessions.get("s"),
    "guard.user.rotate": lambda store: store.guard().user(Principal.of("late", "ada")).rotate("s"),
}


class Late:
    """Holds each reply back, however many there are."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seconds = 0.0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above, below = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(
            self._pass(reader, below, late=False),
            self._pass(above, writer, late=True),
            return_exceptions=True,
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, late: bool
    ) -> None:
        while data := await reader.read(1 << 20):
            if late:
                await asyncio.sleep(self.seconds)
            writer.write(data)
        writer.close()


@pytest.fixture
async def late(shared_server: Server) -> AsyncIterator[tuple[sojourn.Sojourn, Late]]:
    options = {"operation_timeout": TIMEOUT, "connect_timeout": TIMEOUT, "near_cache_bytes": 0}
    options["notices"] = True
    async with Late(shared_server.port) as late:
        url = f"{late.url}?namespace={secrets.token_hex(4)}"
        async with sojourn.open(url, **options) as store:  # type: ignore[arg-type]
            yield store, late


QUICK = (
    *("users", "revoke", "rotate", "history.pop", "memory.clear", "artifacts.move"),
    *("artifacts.load", "remember"),
)


@pytest.mark.parametrize("name", CALLS if extent.FULL else QUICK)
async def test_all_round_trips_of_a_call_end_in_time(
    late: tuple[sojourn.Sojourn, Late], name: str
) -> None:
    store, proxy = late
    await store.sessions.create(*KEY)
    await store.history(KEY).append("user", "hello")
    for number in range(3):
        await store.sessions.create("late", f"user-{number}")
        await store.memory.user("ada").put(f"k{number}", number)
        await store.artifacts.save(KEY, f"a{number}", b"x")
    await store.memory.user("ada").put("o", {"a": 1})
    await store.artifacts.save(KEY, "a", b"x")
    await store.artifacts.load(KEY, "a")  # its script is there
    proxy.seconds = LATE
    began = time.monotonic()
    with suppress(Unavailable, OutcomeUnknown):
        await CALLS[name](store)
    spent = time.monotonic() - began
    assert spent < 2 * LATE - 0.05, f"{spent:.2f} s"  # two round trips, each in time
    proxy.seconds = 0


async def test_a_server_that_has_answered_is_not_called_silent(
    late: tuple[sojourn.Sojourn, Late],
) -> None:
    store, proxy = late
    await store.artifacts.save(KEY, "a", b"x")
    await store.artifacts.load(KEY, "a")  # its script is there
    proxy.seconds = LATE
    with pytest.raises(Unavailable, match="what came before it") as told:
        await store.artifacts.load(KEY, "a")
    assert "Check that the server runs" not in str(told.value)
    proxy.seconds = 2 * TIMEOUT
    with pytest.raises(Unavailable, match="Check that the server runs"):
        await store.artifacts.load(KEY, "a")
    proxy.seconds = 0
