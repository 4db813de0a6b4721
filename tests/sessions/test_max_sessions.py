"""A cap of sessions per user holds, whoever creates at the same time."""

from __future__ import annotations

import asyncio
import secrets

import pytest

import sojourn
from servers import Server
from sojourn import SessionKey, TooManySessions


@pytest.fixture(params=["memory", "server"])
def url(request: pytest.FixtureRequest, shared_server: Server) -> str:
    return "memory://" if request.param == "memory" else shared_server.url


@pytest.fixture
def app() -> str:
    return f"cap-{secrets.token_hex(4)}"


async def test_parallel_creation_stops_at_the_cap(url: str, app: str) -> None:
    async with sojourn.open(url, max_sessions=3) as store, sojourn.open(url) as free:
        made = await asyncio.gather(
            *(store.sessions.create(app, "ada") for _ in range(10)),
            *(store.sessions.ensure(app, "ada", f"s{n}") for n in range(10)),
            *(store.sessions.save(SessionKey.of(app, "ada", f"t{n}")) for n in range(10)),
            return_exceptions=True,
        )
        assert sum(not isinstance(each, BaseException) for each in made) == 3
        assert all(isinstance(each, TooManySessions) for each in made if not_made(each))
        assert len((await store.sessions.list(app, "ada")).sessions) == 3
        await store.sessions.create(app, "bob")
        if url != "memory://":
            await free.sessions.create(app, "ada")  # the cap is that of the store that creates


def not_made(result: object) -> bool:
    return isinstance(result, BaseException)


async def test_what_has_gone_makes_room(url: str, app: str) -> None:
    async with sojourn.open(url, max_sessions=2) as store:
        made = await store.sessions.create(app, "ada")
        await store.sessions.create(app, "ada", "short", ttl=0.1)
        with pytest.raises(TooManySessions, match="max_sessions"):
            await store.sessions.create(app, "ada", "three")
        assert (await store.sessions.ensure(app, "ada", "short")).version == 1
        await store.sessions.delete(made.key)
        await store.sessions.create(app, "ada", "four")
        async with asyncio.timeout(5):
            while True:
                try:
                    await store.sessions.create(app, "ada", "five")
                except TooManySessions:
                    await asyncio.sleep(0.01)
                else:
                    break


async def test_a_repeated_create_is_not_counted_twice(url: str, app: str) -> None:
    async with sojourn.open(url, max_sessions=1) as store:
        one = await store.sessions.create(app, "ada", "s", operation_id="op")
        assert await store.sessions.create(app, "ada", "s", operation_id="op") == one


async def test_what_was_evicted_makes_room_once_it_is_listed(
    shared_server: Server, app: str
) -> None:
    async with sojourn.open(shared_server.url, max_sessions=1) as store:
        await store.sessions.create(app, "ada", "s")
        with shared_server.client() as client:
            client.delete(f"session:{{{app}:ada}}:s")
        with pytest.raises(TooManySessions):
            await store.sessions.create(app, "ada", "other")
        assert (await store.sessions.list(app, "ada")).sessions == []
        async with asyncio.timeout(5):
            while await store.sessions.count(app, "ada"):
                await asyncio.sleep(0.01)
        await store.sessions.create(app, "ada", "other")


async def test_what_was_evicted_does_not_stand_in_its_own_way(
    shared_server: Server, app: str
) -> None:
    async with sojourn.open(shared_server.url, max_sessions=1) as store:
        key = (await store.sessions.create(app, "ada", "s")).key
        with shared_server.client() as client:
            client.delete(f"session:{{{app}:ada}}:s")
            assert (await store.sessions.ensure(app, "ada", "s")).version == 1
            client.delete(f"session:{{{app}:ada}}:s")
        assert await store.sessions.save(key) == 1
