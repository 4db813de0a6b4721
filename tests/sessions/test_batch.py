"""Many sessions at once: how often that goes to a server, and what is said of unreadable ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

import sojourn
from cluster import ClusterSet
from proxy import Proxy
from servers import Server, any_binary
from sojourn import Event, SessionKey, Unavailable
from sojourn.sessions import Appended


def event(payload: object = 1) -> Event:
    return Event(author="a", payload=payload)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


async def test_no_call_of_a_batch_waits_for_another(server: Server) -> None:
    """All of them are on their way while the server says nothing."""
    async with Proxy(server.port) as proxy, sojourn.open(proxy.url) as store:
        keys = [(await store.sessions.create("shop", f"u{n}")).key for n in range(50)]
        await store.batch.get(keys[:1])  # both connections are there,
        await store.ping()  # and nothing is left to be sent

        async def sent(call: asyncio.Task[object], what: bytes) -> None:
            await until(lambda: b"".join(proxy.requests).count(what) == 50 or call.done())
            assert not call.done()
            server.resume()

        proxy.requests.clear()
        server.pause()
        writing = asyncio.create_task(store.batch.append([(k, [event()]) for k in keys]))
        await sent(writing, b"EVALSHA")
        assert {type(each) for each in await writing} == {Appended}
        for last, what in ((5, b"LRANGE"), (None, b"LRANGE")):
            proxy.requests.clear()
            server.pause()
            reading = asyncio.create_task(store.batch.get(keys, last=last))
            await sent(reading, what)
            assert list(await reading) == keys


async def test_nor_in_a_cluster(tmp_path: Path) -> None:
    cluster = ClusterSet(tmp_path, any_binary()).start()
    try:
        async with sojourn.open(cluster.url, operation_timeout=5) as store:
            keys = [(await store.sessions.create("shop", f"u{n}")).key for n in range(60)]
            names: list[str] = []
            await store.batch.get(keys)
            await store.ping()
            store.on_call(lambda fact: names.append(fact.name))
            for node in cluster.nodes:
                node.pause()
            call = asyncio.create_task(store.batch.append([(k, [event()]) for k in keys]))
            (connections,) = store._engine._connections.values()
            await until(
                lambda: sum(len(n.small._in_flight) for n in connections._nodes.values()) >= 60
            )
            assert names == []
            for node in cluster.nodes:
                node.resume()
            assert {type(each) for each in await call} == {Appended}
            assert len({cluster.owner_of(f"sessions:{{shop:u{n}}}") for n in range(60)}) == 3
    finally:
        cluster.close()


async def test_what_cannot_be_read_is_left_out_and_named(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        keys = [(await store.sessions.create("shop", "ada", f"s{n}")).key for n in range(3)]
        server.ask("HSET", "session:{shop:ada}:s1", "version", "damaged")
        read = await store.batch.get(keys)
        assert list(read) == [keys[0], keys[2]]
        assert (read.corrupt, read.newer) == ([keys[1]], [])
        assert store.stats().corrupt == 1
        server.ask("HSET", "session:{shop:ada}:s2", "format", "2")
        read = await store.batch.get(keys)
        assert (list(read), read.corrupt, read.newer) == ([keys[0]], [keys[1]], [keys[2]])


async def test_an_outage_is_not_emptiness(server: Server) -> None:
    async with sojourn.open(server.url, operation_timeout=0.3) as store:
        made = await store.sessions.create("shop", "ada")
        server.stop()
        with pytest.raises(Unavailable):
            await store.batch.get([made.key])
        (outcome,) = await store.batch.append([(made.key, [event()])])
        assert isinstance(outcome, Unavailable)


async def test_an_entry_of_a_batch_can_be_repeated_alone(server: Server) -> None:
    """The reply is lost: each entry says under which id it was sent."""
    async with Proxy(server.port) as proxy, sojourn.open(proxy.url, operation_timeout=0.5) as store:
        keys = [(await store.sessions.create("shop", f"u{n}")).key for n in range(2)]
        proxy.on_request = lambda data: "mute" if b"EVALSHA" in data else "pass"
        lost = await store.batch.append([(key, [event()]) for key in keys])
        proxy.on_request = lambda _: "pass"
        for key, outcome in zip(keys, lost, strict=True):
            assert isinstance(outcome, sojourn.OutcomeUnknown)
            again = await store.sessions.append(key, event(), operation_id=outcome.operation_id)
            assert again.repeated


async def test_in_an_outage_a_batch_is_buffered(server: Server) -> None:
    async with sojourn.open(server.url, on_outage="buffer", operation_timeout=0.3) as store:
        keys = [(await store.sessions.create("shop", f"u{n}")).key for n in range(3)]
        unknown = SessionKey.of("shop", "eve", "s")
        server.stop(9)
        done = await store.batch.append([(key, [event()]) for key in [*keys, unknown]])
        assert [isinstance(each, Appended) and not each.durable for each in done[:3]] == [True] * 3
        assert isinstance(done[3], Unavailable)
        read = await store.batch.get(keys)
        assert [session.durable for session in read.values()] == [False] * 3
