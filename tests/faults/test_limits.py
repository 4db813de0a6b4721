"""A server that is full: of memory, of connections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import sojourn
from faults.client import Ways
from faults.load import Load
from servers import Server, any_binary
from sojourn import Event, ServerBusy, ServerOutOfMemory, Unavailable

HASTY = Ways(timeout=0.5, pause=0.01)
EVENT = Event(author="a", payload=1, state_delta={"k": 1, "user:k": 1, "app:k": 1})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, any_binary()).start()
    yield server
    server.close()


@pytest.fixture
def admin(server: Server) -> Iterator[redis.Redis]:
    """A connection that stands before the server is full."""
    with server.client() as client:
        client.ping()
        yield client


def fill(admin: redis.Redis) -> None:
    admin.config_set("maxmemory-policy", "noeviction")
    admin.config_set("maxmemory", 1)


def contents(admin: redis.Redis) -> dict[str, bytes]:
    keys = admin.scan_iter()
    return {key: admin.execute_command("DUMP", key, NEVER_DECODE=True) for key in keys}


async def test_memory_that_is_full_under_load(server: Server, admin: redis.Redis) -> None:
    async with Load(server.url, server.url, ways=HASTY) as load:
        for _ in range(3):
            await load.written(100)
            fill(admin)
            await load.refused("ServerOutOfMemory", more=50)
            admin.config_set("maxmemory", 0)
        await load.written(100)
    assert load.report([admin]).problems() == []
    assert load.errors == {"SessionNotFound", "ServerOutOfMemory"}


async def test_nothing_is_written_when_memory_is_full_but_reads_and_deletes_pass(
    server: Server, admin: redis.Redis
) -> None:
    async with sojourn.open(server.url) as store:
        one, two = [await store.sessions.create("shop", "ada", state={"k": 0}) for _ in range(2)]
        await store.sessions.append(one.key, EVENT)
        await store.ping()  # what nobody waited for has been done
        left = {"stamp": 1, "delta": {"left": "1"}}
        admin.hset("outbox:{shop:ada}", "of one that died", json.dumps(left))
        before = contents(admin)
        fill(admin)
        for call in (
            lambda: store.sessions.append(one.key, EVENT),
            lambda: store.sessions.update(one.key, title="t"),
            lambda: store.sessions.touch(one.key),
            lambda: store.sessions.create("shop", "ada", "three", state={"user:k": 2, "app:k": 2}),
            lambda: store.sessions.create("shop", "eve", state={"user:k": 2}),
        ):
            with pytest.raises(ServerOutOfMemory):
                await call()
        assert contents(admin) == before
        found = await store.sessions.get(one.key)
        assert found is not None
        assert len(found.events) == 1
        assert found.state == {"k": 1, "user:k": 1, "app:k": 1, "app:left": 1}
        assert [each.key for each in (await store.sessions.list("shop", "ada")).sessions]
        assert await store.sessions.delete(two.key)
        assert await store.sessions.get(two.key) is None


async def test_a_full_server_revokes_and_forgets(server: Server, admin: redis.Redis) -> None:
    """Which is how it gets memory back: what is remembered of it comes to less."""
    async with sojourn.open(server.url) as store:
        owner = sojourn.UserKey.of("shop", "ada")
        keys = [await store.sessions.create(*owner) for _ in range(2)]
        await store.sessions.append(keys[0].key, EVENT)
        await store.memory.user("ada", app="shop").put("tea", "green")
        await store.ping()
        fill(admin)
        assert (await store.admin.revoke(keys[0].key)).sessions == 1
        assert (await store.admin.revoke_user(*owner)).sessions == 1
        receipt = await store.admin.forget("ada")
        assert receipt.erased["memories"] == 1
    assert not [key for key in contents(admin) if "ada" in key]


async def test_connections_that_are_all_taken_under_load(
    server: Server, admin: redis.Redis
) -> None:
    async with Load(server.url, server.url, ways=HASTY) as load:
        for _ in range(2):
            await load.written(100)
            admin.config_set("maxclients", 1)
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await load.refused("ServerBusy", "Unavailable")
            admin.config_set("maxclients", 1000)
        await load.written(100)
    assert load.report([admin]).problems() == []
    assert load.errors <= {"SessionNotFound", "ServerBusy", "OutcomeUnknown", "Unavailable"}


async def test_a_store_that_gets_no_connection_waits_for_one_until_its_deadline(
    server: Server, admin: redis.Redis
) -> None:
    """Whether it hears why depends on who is faster: the server that hangs up, or its words."""
    admin.config_set("maxclients", 1)
    async with sojourn.open(server.url, operation_timeout=0.3) as store:
        with pytest.raises(Unavailable) as caught:
            await store.sessions.create("shop", "ada")
        assert type(caught.value) in (ServerBusy, Unavailable)
