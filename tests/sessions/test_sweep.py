"""A sweep makes indexes true that nobody lists, and finishes what dead clients left."""

from __future__ import annotations

import asyncio
import secrets

import pytest

import sojourn
from servers import Server
from sojourn import SessionKey
from sojourn.sessions import Swept


@pytest.fixture
def app() -> str:
    return f"sweep-{secrets.token_hex(4)}"


async def test_what_is_amiss_is_mended(shared_server: Server, app: str) -> None:
    tag = f"{{{app}:ada}}"
    async with sojourn.open(shared_server.url) as store:
        for name in ("lives", "evicted", "unlisted", "undated"):
            await store.sessions.create(app, "ada", name)
        await store.sessions.create(app, "ada", "short", ttl=0.01)
        with shared_server.client() as client:
            client.delete(f"session:{tag}:evicted")
            client.zrem(f"sessions:{tag}", "unlisted")
            client.zrem(f"sessions:{tag}:expiry", "undated")
            async with asyncio.timeout(5):
                while client.exists(f"session:{tag}:short"):
                    await asyncio.sleep(0.01)
            stray = '{"stamp":1,"delta":{"left":"7"}}'
            client.hset(f"outbox:{tag}", "op", stray)
            assert await store.admin.sweep(app) == Swept(1, 1, 1, 2, 1, 0, None)
            assert await store.admin.sweep(app) == Swept(1, 0, 0, 0, 0, 0, None)
            for index in (f"sessions:{tag}", f"sessions:{tag}:expiry"):
                assert set(client.zrange(index, 0, -1)) == {"lives", "unlisted", "undated"}
                assert client.ttl(index) > 0
        names = [each.key.session for each in (await store.sessions.list(app, "ada")).sessions]
        assert set(names) == {"lives", "unlisted", "undated"}
        read = await store.sessions.get(SessionKey.of(app, "ada", "lives"))
        assert read is not None
        assert read.state == {"app:left": 7}


async def test_many_users_and_sessions_are_swept_step_by_step(
    shared_server: Server, app: str
) -> None:
    async with sojourn.open(shared_server.url) as store:
        for user in range(5):
            await store.sessions.create(app, f"u{user}")
        await asyncio.gather(*(store.sessions.create(app, "many", f"s{n}") for n in range(450)))
        with shared_server.client() as client:
            client.delete(*(f"session:{{{app}:many}}:s{n}" for n in range(0, 450, 2)))
        users = dropped = 0
        cursor = None
        while True:
            swept = await store.admin.sweep(app, limit=2, cursor=cursor)
            assert swept.users <= 2
            users, dropped, cursor = users + swept.users, dropped + swept.dropped, swept.cursor
            if cursor is None:
                break
        assert (users, dropped) == (6, 225)
        assert await store.sessions.count(app, "many") == 225


async def test_a_full_server_is_swept(server: Server, app: str) -> None:
    async with sojourn.open(server.url) as store:
        await store.sessions.create(app, "ada", "lives")
        await store.sessions.create(app, "ada", "evicted")
        with server.client() as client:
            client.delete(f"session:{{{app}:ada}}:evicted")
            client.config_set("maxmemory", 1)
        assert await store.admin.sweep(app) == Swept(1, 0, 1, 0, 0, 0, None)
        assert await store.sessions.count(app, "ada") == 1


async def test_an_index_that_is_none_stops_no_sweep(shared_server: Server, app: str) -> None:
    async with sojourn.open(shared_server.url) as store:
        for user in ("ada", "bob"):
            await store.sessions.create(app, user)
        with shared_server.client() as client:
            client.set(f"sessions:{{{app}:ada}}", "x")
            client.delete(*client.keys(f"session:{{{app}:bob}}:*"))
        swept = await store.admin.sweep(app)
        assert (swept.users, swept.corrupt, swept.dropped) == (2, 1, 1)


async def test_in_memory_there_is_only_what_has_expired(app: str) -> None:
    async with sojourn.open("memory://") as store:
        await store.sessions.create(app, "ada", "s")
        await store.sessions.create(app, "ada", "short", ttl=0.01)
        async with asyncio.timeout(5):
            while await store.sessions.count(app, "ada") == 2:
                await asyncio.sleep(0.01)
        assert (await store.admin.sweep(app)).users == 1
