"""Two clients at one moment, in the order that the test chooses."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import Conflict, Event, SessionExists, SessionKey

Work = Callable[[sojourn.Sojourn, SessionKey], Awaitable[Any]]
Before = Callable[[bytes, Work], None]


@pytest.fixture
def key() -> SessionKey:
    return SessionKey.of("races", secrets.token_hex(4), "s")


@pytest.fixture
async def proxy(shared_server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(shared_server.port) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(proxy.url) as store:
        yield store


@pytest.fixture
async def other(shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    """Another client, with a near-cache of its own."""
    async with sojourn.open(shared_server.url, near_cache_bytes=0) as store:
        yield store


async def append(store: sojourn.Sojourn, key: SessionKey) -> None:
    event = Event(author="a", payload="theirs", state_delta={"n": 1})
    await store.sessions.append(key, event)


async def delete(store: sojourn.Sojourn, key: SessionKey) -> None:
    await store.sessions.delete(key)


async def replace(store: sojourn.Sojourn, key: SessionKey) -> None:
    await delete(store, key)
    await store.sessions.create(*key, title="theirs")
    await append(store, key)


@pytest.fixture
def before(proxy: Proxy, shared_server: Server, key: SessionKey) -> Before:
    """Let another client work between two commands of the next read: just before this one."""

    def arrange(command: bytes, work: Work) -> None:
        def on_request(data: bytes) -> str | int:
            if command not in data or b"EVALSHA" in data:
                return "pass"
            proxy.on_request = lambda _: "pass"
            return data.index(command)

        async def whole() -> None:
            async with sojourn.open(shared_server.url) as store:
                await work(store, key)

        proxy.on_request = on_request
        proxy.between = lambda: asyncio.run(whole())

    return arrange


@pytest.mark.parametrize("work", [delete, replace])
async def test_a_repeated_create_whose_session_goes_before_it_is_read_is_a_conflict(
    store: sojourn.Sojourn, key: SessionKey, before: Before, work: Work
) -> None:
    await store.sessions.create(*key, operation_id="op")
    before(b"HGETALL", work)
    with pytest.raises(Conflict, match="gone since"):
        await store.sessions.create(*key, operation_id="op")
    read = await store.sessions.get(key)
    assert (read and read.title) == ("theirs" if work is replace else None)


async def test_a_create_repeated_after_its_session_was_replaced_is_a_conflict(
    store: sojourn.Sojourn, key: SessionKey
) -> None:
    await store.sessions.create(*key, state={"m": 1}, operation_id="op")
    await replace(store, key)
    with pytest.raises(SessionExists):
        await store.sessions.create(*key, state={"m": 1}, operation_id="op")
    read = await store.sessions.get(key)
    assert read is not None
    assert (read.title, read.state, read.length) == ("theirs", {"n": 1}, 1)


@pytest.mark.parametrize("command", [b"LRANGE", b"HMGET"])
@pytest.mark.parametrize("work", [append, delete, replace])
@pytest.mark.parametrize("last", [1, 2, None])
@pytest.mark.parametrize(("length", "warm"), [(0, False), (3, False), (3, True)])
async def test_a_read_is_of_one_moment_whatever_happens_between_its_commands(
    store: sojourn.Sojourn,
    other: sojourn.Sojourn,
    key: SessionKey,
    before: Before,
    *,
    length: int,
    warm: bool,
    last: int | None,
    work: Work,
    command: bytes,
) -> None:
    await other.sessions.create(*key)
    for n in range(length):
        await other.sessions.append(key, Event(author="a", payload=n))
    if warm:
        await store.sessions.get(key)
    earlier = await other.sessions.get(key, last=last)
    before(command, work)
    seen = await store.sessions.get(key, last=last)
    later = await other.sessions.get(key, last=last)
    assert earlier != later
    assert seen in (earlier, later)
    assert await store.sessions.get(key, last=last) == later
