"""A Cluster of which one node is lost for good: what does not need it works, and is found later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

import sojourn
from cluster import ClusterSet
from servers import Server, any_binary, until
from sojourn import Event, SessionKey, Unavailable

USERS = 100
NAMES = [f"user-{n}" for n in range(4 * USERS)]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[ClusterSet]:
    started = ClusterSet(tmp_path, any_binary()).start()
    yield started
    started.close()


def lose(nodes: ClusterSet, node: Server) -> None:
    """No replica takes its place."""
    nodes.kill(nodes.replica_of(node))
    nodes.kill(node)
    others = [each for each in nodes.nodes if each.running]
    until(
        "the others know it",
        lambda: all(int(each.ask("CLUSTER INFO")["cluster_slots_fail"]) for each in others),
    )


def find(nodes: ClusterSet) -> None:
    for node in nodes.nodes:
        if not node.running:
            node.start()
    nodes.settle()


def remembered_elsewhere(nodes: ClusterSet, lost: Server) -> list[str]:
    """Names whose memory is well, and the index of it lost."""
    index = [f"memories:{{memory:user#{shard}}}" for shard in range(16)]
    return [
        name
        for name in NAMES
        if nodes.owner_of(index[crc32(name.encode()) % 16]) is lost
        and nodes.owner_of(f"memory:{{memory:user:{name}}}") is not lost
    ]


async def users_of(store: sojourn.Sojourn, app: str) -> set[str]:
    names: set[str] = set()
    cursor = None
    while True:
        page = await store.admin.users(app, cursor=cursor)
        names.update(page.names)
        cursor = page.cursor
        if cursor is None:
            return names


async def remembered(store: sojourn.Sojourn) -> set[str]:
    page = await store.admin.memory.scopes("user", limit=1000)
    return set(page.names)


async def first_session(store: sojourn.Sojourn, key: SessionKey, n: int) -> None:
    if n % 3 == 0:
        await store.sessions.create(*key)
    elif n % 3 == 1:
        await store.history(key).append("user", "hello")
    else:
        await store.sessions.ensure(*key)
    said = Event(author="user", payload="more", state_delta={"user:a": 1})
    await store.sessions.append(key, said)
    seen = await store.sessions.get(key)
    assert seen is not None
    assert (seen.complete, seen.state) == (True, {"user:a": 1})
    listed = await store.sessions.list(key.app, key.user)
    assert [each.key for each in listed.sessions] == [key]


async def test_new_users_of_a_lost_index_are_served_and_the_next_touch_enters_them(
    nodes: ClusterSet,
) -> None:
    lost = nodes.owner_of("apps")
    app = next(
        name
        for name in (f"shop-{n}" for n in range(100))
        if nodes.owner_of(f"state:{{{name}}}") is not lost
    )
    users = [name for name in NAMES if nodes.owner_of(f"state:{{{app}:{name}}}") is not lost]
    users = users[:USERS]
    names = remembered_elsewhere(nodes, lost)[:10]
    async with sojourn.open(nodes.url, operation_timeout=2, connect_timeout=1) as store:
        await store.ping()
        await asyncio.to_thread(lose, nodes, lost)
        for n, user in enumerate(users):
            await first_session(store, SessionKey.of(app, user, "s"), n)
        for name in names:
            memory = store.memory.user(name)
            await memory.put("tea", "green")
            assert await memory.get("tea") == "green"
            assert [hit.entry.key for hit in await memory.search("green")] == ["tea"]
        with pytest.raises(Unavailable, match=str(lost.port)):
            await store.admin.apps()
        hits, failed = store.stats().near_cache.hits, store.stats().lost_connections
        while store.stats().lost_connections < failed + 1:  # it is still looked for
            await asyncio.sleep(0.05)
        for user in users[:10]:
            await store.sessions.get(SessionKey.of(app, user, "s"))
        assert store.stats().near_cache.hits >= hits + 10

        await asyncio.to_thread(find, nodes)
        async with asyncio.timeout(60):
            while missing := set(users) - await users_of(store, app):
                for user in missing:
                    await store.sessions.get(SessionKey.of(app, user, "s"))
            while app not in (await store.admin.apps()).names:
                await asyncio.sleep(0.05)
            while missing := set(names) - await remembered(store):
                for name in missing:
                    await store.memory.user(name).get("tea")
