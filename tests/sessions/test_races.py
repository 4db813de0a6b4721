"""Two clients at one moment, in the order that the test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import Conflict, SessionExists

Work = Callable[[sojourn.Sojourn], Awaitable[Any]]


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(proxy.url) as store:
        yield store


def before(server: Server, work: Work) -> None:
    """Let another client do its work on a server, in a loop of its own, while ours stands still."""

    async def whole() -> None:
        async with sojourn.open(server.url) as other:
            await work(other)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, whole()).result()


async def delete(store: sojourn.Sojourn) -> None:
    await store.sessions.delete(sojourn.SessionKey.of("shop", "ada", "s"))


async def replace(store: sojourn.Sojourn) -> None:
    await delete(store)
    await store.sessions.create("shop", "ada", "s", title="theirs")


@pytest.mark.parametrize("work", [delete, replace])
async def test_a_repeated_create_whose_session_goes_while_it_is_read_is_a_conflict(
    store: sojourn.Sojourn, server: Server, proxy: Proxy, work: Work
) -> None:
    made = await store.sessions.create("shop", "ada", "s", operation_id="op")

    def on_request(data: bytes) -> str:
        if b"EVALSHA" not in data and b"session:{shop:ada}:s\r\n" in data:
            before(server, work)
        return "pass"

    proxy.on_request = on_request
    with pytest.raises(Conflict, match="gone since"):
        await store.sessions.create("shop", "ada", "s", operation_id="op")
    proxy.on_request = lambda _: "pass"
    read = await store.sessions.get(made.key)
    assert (read and read.title) == ("theirs" if work is replace else None)


async def test_a_create_repeated_after_its_session_was_replaced_is_a_conflict(
    store: sojourn.Sojourn,
) -> None:
    made = await store.sessions.create("shop", "ada", "s", state={"n": 1}, operation_id="op")
    await replace(store)
    with pytest.raises(SessionExists):
        await store.sessions.create("shop", "ada", "s", state={"n": 1}, operation_id="op")
    read = await store.sessions.get(made.key)
    assert read is not None
    assert (read.title, read.state) == ("theirs", {})
