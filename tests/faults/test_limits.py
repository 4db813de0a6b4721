"""A server at its limits, a part of a session that is gone, and what stays behind after close()."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

import sojourn
from servers import Server
from sojourn import Event, OutcomeUnknown, ServerOutOfMemory, Session, Unavailable

EVENT = Event(author="user", payload="x" * 100)


async def test_too_many_clients_are_an_error_that_passes(server: Server) -> None:
    with server.client() as admin:
        admin.ping()
        admin.config_set("maxclients", 1)
        async with sojourn.open(server.url, operation_timeout=0.3) as store:
            with pytest.raises(Unavailable) as caught:
                await store.sessions.create("shop", "ada")
            assert not isinstance(caught.value, OutcomeUnknown)  # it was never sent
            waiting = asyncio.create_task(until_created(store))
            admin.config_set("maxclients", 100)
            made = await waiting
            assert (await store.sessions.get(made.key)) is not None


async def until_created(store: sojourn.Sojourn) -> Session[Event]:
    async with asyncio.timeout(20):
        while True:
            try:
                return await store.sessions.create("shop", "ada")
            except Unavailable:
                await asyncio.sleep(0.01)


async def test_a_full_memory_refuses_whole_writes_and_serves_reads(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        made = await store.sessions.create("shop", "ada")
        done = 0
        with server.client() as admin:
            admin.config_set("maxmemory-policy", "noeviction")
            admin.config_set("maxmemory", admin.info("memory")["used_memory"] + 300_000)
            with suppress(ServerOutOfMemory):
                while done < 100_000:
                    await store.sessions.append(made.key, EVENT)
                    done += 1
            assert 0 < done < 100_000
            with pytest.raises(ServerOutOfMemory):
                await store.sessions.update(made.key, title="no room")
            seen = await store.sessions.get(made.key)
            assert seen is not None
            assert (len(seen.events), seen.version, seen.complete) == (done, done + 1, True)
            assert await store.sessions.delete(made.key)  # what frees memory goes on
            admin.config_set("maxmemory", 0)
        assert (await store.sessions.list("shop", "ada")).sessions == []


async def test_a_log_that_was_evicted_is_never_served_as_whole(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        made = await store.sessions.create("shop", "ada")
        for _ in range(3):
            await store.sessions.append(made.key, EVENT)
        whole = await store.sessions.get(made.key)
        assert whole is not None
        assert whole.complete
        key = f"session:{{shop:ada}}:{made.key.session}"
        with server.client() as admin:
            admin.delete(f"{key}:events")
        for last in (None, 2):
            seen = await store.sessions.get(made.key, last=last)
            assert seen is not None
            assert (seen.complete, seen.events, seen.length) == (False, [], 3)
        await store.sessions.append(made.key, EVENT)
        after = await store.sessions.get(made.key)
        assert after is not None
        assert not after.complete
        with server.client() as admin:
            admin.delete(key)  # the session itself: then there is none
            assert await store.sessions.get(made.key) is None
            with pytest.raises(sojourn.SessionNotFound):
                await store.sessions.append(made.key, EVENT)
            assert admin.pttl(f"{key}:events") > 0


async def test_nothing_stays_behind_after_close(server: Server) -> None:
    with server.client() as admin:
        clients = len(admin.client_list())
        tasks = asyncio.all_tasks()
        store = sojourn.open(server.url, operation_timeout=0.3, on_outage="buffer")
        made = await store.sessions.create("shop", "ada")
        server.pause()
        await store.sessions.append(made.key, EVENT)
        server.resume()
        calls = [store.sessions.get(made.key) for _ in range(50)]
        await asyncio.gather(*calls)
        await store.close()
        async with asyncio.timeout(10):
            while len(admin.client_list()) > clients:
                await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == tasks
