"""A server out of reach: the circuit opens, is probed, closes; silence is noticed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import sojourn
from proxy import Proxy
from servers import Server, any_binary, free_port
from sojourn import Event, OutcomeUnknown, SessionKey, Unavailable
from sojourn.telemetry import OutageFact

KEY = SessionKey.of("shop", "ada", "8e42")


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(server.port) as proxy:
        yield proxy


async def until(outages: asyncio.Queue[OutageFact], *, down: bool) -> None:
    async with asyncio.timeout(20):
        while (await outages.get()).down is not down:
            pass


def outages_of(store: sojourn.Sojourn) -> asyncio.Queue[OutageFact]:
    told = asyncio.Queue[OutageFact]()
    store.on_outage(told.put_nowait)
    return told


async def test_an_outage_of_thousands_of_attempts_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda *_: 0.0)
    async with sojourn.open(server.url, operation_timeout=0.5) as store:
        told = outages_of(store)
        await store.ping()
        server.stop(9)
        with pytest.raises(Unavailable):
            await store.ping()
        await until(told, down=True)
        async with asyncio.timeout(20):
            while store.stats().lost_connections < 2000:
                await asyncio.sleep(0.01)
        server.start()
        await until(told, down=False)
        await store.ping()


async def test_calls_fail_at_once_while_the_server_is_gone_and_work_when_it_is_back(
    server: Server,
) -> None:
    async with sojourn.open(server.url, operation_timeout=0.5) as store:
        told = outages_of(store)
        await store.ping()
        server.stop(9)
        with pytest.raises(Unavailable):
            await store.ping()
        await until(told, down=True)
        assert not store.stats().available
        calls = list[int]()
        store.on_call(lambda fact: calls.append(fact.attempts))
        for _ in range(100):  # none is sent, none is waited for
            with pytest.raises(Unavailable, match=str(server.port)):
                await store.sessions.get(KEY)
        assert set(calls) == {0}
        server.start()
        await until(told, down=False)  # by its own probe: nobody calls
        assert store.stats().available
        assert store.stats().outages == 1
        await store.ping()


async def test_to_close_in_an_outage_does_not_end_it(server: Server) -> None:
    store = sojourn.open(server.url, operation_timeout=0.3)
    told = outages_of(store)
    await store.ping()
    server.stop(9)
    with pytest.raises(Unavailable):
        await store.ping()
    await until(told, down=True)
    await store.close()
    assert told.empty()


async def test_a_restart_within_the_deadline_is_not_noticed(server: Server) -> None:
    async with sojourn.open(server.url, operation_timeout=20) as store:
        made = await store.sessions.create("shop", "ada")
        server.stop(9)
        asked = asyncio.create_task(store.sessions.get(made.key))
        await asyncio.to_thread(server.start)
        assert await asked is None  # nothing was saved: it is gone, and that is the answer
        assert store.stats().outages == 0


async def test_a_frozen_server_opens_the_circuit_too(server: Server) -> None:
    async with sojourn.open(server.url, operation_timeout=0.3, connect_timeout=0.3) as store:
        told = outages_of(store)
        await store.ping()
        server.pause()
        with pytest.raises(Unavailable):
            await store.ping()
        await until(told, down=True)
        server.resume()
        await until(told, down=False)
        await store.ping()


async def test_a_connection_that_died_in_silence_is_found_without_a_call(proxy: Proxy) -> None:
    async with sojourn.open(proxy.url, health_check_interval=0.1, operation_timeout=0.2) as store:
        await store.ping()
        first = proxy.connections
        proxy.on_request = lambda _: "stall" if proxy.connections == first else "pass"
        async with asyncio.timeout(10):
            while proxy.connections == first:
                await asyncio.sleep(0.01)
        assert store.stats().available


async def test_a_healthy_silence_costs_nothing_but_a_ping(proxy: Proxy) -> None:
    async with sojourn.open(proxy.url, health_check_interval=0.05) as store:
        await store.ping()
        proxy.requests.clear()
        async with asyncio.timeout(10):
            while len(proxy.requests) < 3:
                await asyncio.sleep(0.01)
        assert set(proxy.requests) == {b"*1\r\n$4\r\nPING\r\n"}
        assert store.stats().lost_connections == 0


async def test_replicas_confirm_or_the_outcome_is_unknown(tmp_path: Path, server: Server) -> None:
    options = ["--replicaof", "127.0.0.1", str(server.port), "--repl-diskless-sync-delay", "0"]
    replica = Server(tmp_path / "replica", any_binary(), options).start()
    try:
        async with sojourn.open(
            server.url, durability="replicas", replicas=1, operation_timeout=1
        ) as store:
            made = await create(store)
            for _ in range(3):
                await store.sessions.append(made.key, hi())
            replica.pause()
            event = hi()
            with pytest.raises(OutcomeUnknown, match="0 of 1 replicas") as caught:
                await store.sessions.append(made.key, event)
            reading = asyncio.create_task(store.sessions.get(made.key))
            with pytest.raises(OutcomeUnknown):
                await store.sessions.append(made.key, hi(), operation_id="later")
            assert await reading is not None  # a read does not wait for replicas
            async with sojourn.open(server.url) as plain:
                await plain.sessions.append(made.key, hi())
            replica.resume()
            name = caught.value.operation_id
            again = await store.sessions.append(made.key, event, operation_id=name)
            assert again.repeated  # and this time the replica has it
            session = await store.sessions.get(made.key)
            assert session is not None
            assert len(session.events) == 6
    finally:
        replica.close()


def hi() -> Event:
    return Event(author="user", payload="hi")


async def create(store: sojourn.Sojourn) -> sojourn.Session[Event]:
    """Create a session once the replica follows."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await store.sessions.create("shop", "ada")
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_an_outage_at_the_start_is_an_error_and_not_a_hang() -> None:
    async with sojourn.open(f"redis://127.0.0.1:{free_port()}", operation_timeout=0.2) as store:
        with pytest.raises(Unavailable):
            await store.ping()


def test_an_outage_ends_with_the_event_loop_that_met_it(server: Server) -> None:
    store = sojourn.open(server.url, operation_timeout=0.2)
    facts = list[OutageFact]()
    store.on_outage(facts.append)

    async def meet() -> None:
        told = outages_of(store)
        server.stop(9)
        with pytest.raises(Unavailable):
            await store.ping()
        await until(told, down=True)

    async def go_on() -> None:
        async with store:
            await store.ping()
            assert store.stats().available

    asyncio.run(meet())
    server.start()
    asyncio.run(go_on())
    assert [fact.down for fact in facts] == [True, False]
