"""Calls that are over a limit of the server, which then ends their connection: they end alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import sojourn
from proxy import Proxy
from servers import Server, any_binary
from sojourn import Event, OutcomeUnknown, SessionKey, Unavailable

MB = 1_000_000


def said(size: int = 10) -> Event:
    return Event(author="a", payload="x" * size)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes 1 MiB of a client at once, and keeps as much for it."""
    options = ("--client-query-buffer-limit", "1mb")
    folder = tmp_path_factory.mktemp("narrow")
    server = Server(Path(folder), any_binary(), options).start()
    yield server
    server.close()


@pytest.fixture
async def store(narrow: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(narrow.url, operation_timeout=10) as store:
        await store.ping()
        yield store


async def neighbour(store: sojourn.Sojourn, key: SessionKey, size: int, end: asyncio.Event) -> int:
    """Appends one event after the other; returns how many."""
    done = 0
    while not end.is_set():
        await store.sessions.append(key, said(size))
        done += 1
    return done


@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_write_over_the_limit_ends_alone(store: sojourn.Sojourn, size: int) -> None:
    made = await store.sessions.create("shop", f"limit-{size}")
    other = await store.sessions.create("shop", f"beside-{size}")
    end = asyncio.Event()
    others = [asyncio.create_task(neighbour(store, other.key, size, end)) for _ in range(5)]
    before = store.stats().lost_connections
    with pytest.raises(OutcomeUnknown) as caught:
        async with asyncio.timeout(8):  # its deadline is later
            await store.sessions.append(made.key, said(4 * MB), operation_id="much")
    end.set()
    done = sum(await asyncio.gather(*others))
    assert caught.value.operation_id == "much"
    text = str(caught.value)
    assert "bytes) was under way" in text
    assert "4,000," in text
    assert "client-query-buffer-limit 1048576" in text
    assert "'much'" in text
    assert store.stats().lost_connections - before <= 2
    found = await store.sessions.get(other.key, last=0)
    assert found is not None
    assert found.length == done
    assert await store.sessions.append(made.key, said(), operation_id="much")


async def test_a_reply_over_the_limit_ends_alone(narrow: Server) -> None:
    async with sojourn.open(narrow.url, operation_timeout=10, near_cache_bytes=0) as store:
        made = await store.sessions.create("shop", "reply")
        for _ in range(8):
            await store.sessions.append(made.key, said(900_000))
        limit = "client-output-buffer-limit", "normal 1000000 0 0"
        await asyncio.to_thread(narrow.client().config_set, *limit)
        try:
            end = asyncio.Event()
            other = await store.sessions.create("shop", "reply-beside")
            others = [asyncio.create_task(neighbour(store, other.key, 10, end)) for _ in range(20)]
            before = store.stats().lost_connections
            async with asyncio.timeout(8):
                with pytest.raises(Unavailable) as caught:
                    await store.sessions.get(made.key, last=8)
            end.set()
            await asyncio.gather(*others)
        finally:
            limit = "client-output-buffer-limit", "normal 0 0 0"
            await asyncio.to_thread(narrow.client().config_set, *limit)
        assert not isinstance(caught.value, OutcomeUnknown)
        assert "client-output-buffer-limit normal 1000000" in str(caught.value)
        assert store.stats().lost_connections - before <= 2
        assert await store.sessions.get(made.key, last=8)


async def test_small_calls_beside_a_cut_are_sent_again(narrow: Server) -> None:
    async with Proxy(narrow.port) as proxy, sojourn.open(proxy.url, operation_timeout=10) as store:
        made = await store.sessions.create("shop", "cut")
        cuts = iter(["drop", "lose"])
        proxy.on_request = lambda data: next(cuts, "pass") if b"EVALSHA" in data else "pass"
        await asyncio.gather(*(store.sessions.append(made.key, said()) for _ in range(20)))
        found = await store.sessions.get(made.key)
        assert found is not None
        assert found.length == 20


async def test_what_breaks_every_connection_ends_soon(narrow: Server) -> None:
    async with Proxy(narrow.port) as proxy, sojourn.open(proxy.url, operation_timeout=10) as store:
        made = await store.sessions.create("shop", "poison")
        proxy.on_request = lambda data: "drop" if b"poison-id" in data else "pass"
        before = store.stats().lost_connections
        poison = asyncio.create_task(
            store.sessions.append(made.key, said(), operation_id="poison-id")
        )
        others = [store.sessions.append(made.key, said()) for _ in range(20)]
        await asyncio.gather(*others)
        with pytest.raises(OutcomeUnknown, match="sent again"):
            async with asyncio.timeout(8):
                await poison
        assert store.stats().lost_connections - before <= 3
        found = await store.sessions.get(made.key)
        assert found is not None
        assert found.length == 20
