"""Every row of the table connects and carries all that a store does; the contracts do the rest.

A row that is part of another (CONTAINED) has no more than this by default.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

import sojourn
from sojourn import Event
from topologies import EVERY

pytestmark = pytest.mark.parametrize("url", EVERY, indirect=True)


@pytest.fixture
async def store(url: str) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(url, notices=True) as store:
        yield store


@pytest.fixture
def app() -> str:
    return f"connect-{secrets.token_hex(6)}"


async def test_it_answers_and_says_where_it_is(store: sojourn.Sojourn, url: str) -> None:
    await store.ping()
    health = await store.health()
    assert health.available
    assert "cret" not in store.where
    assert url.partition(":")[0] == store.where.partition(":")[0]


async def test_a_session_is_written_and_read(store: sojourn.Sojourn, app: str) -> None:
    made = await store.sessions.create(app, "ada", state={"n": 1, "user:m": 2, "app:k": 3})
    await store.sessions.append(made.key, Event(author="ada", payload={"text": "é 🦊"}))
    found = await store.sessions.get(made.key)
    assert found is not None
    assert [event.payload for event in found.events] == [{"text": "é 🦊"}]
    assert found.state == {"n": 1, "user:m": 2, "app:k": 3}
    assert [page.key for page in (await store.sessions.list(app)).sessions] == [made.key]
    await store.sessions.delete(made.key)
    assert await store.sessions.get(made.key) is None


async def test_many_at_once_share_what_connects(store: sojourn.Sojourn, app: str) -> None:
    """More than one write of a pipeline, with answers of all sizes."""
    made = await asyncio.gather(*(store.sessions.create(app, f"u{n}") for n in range(50)))
    payloads = ["x" * (n * 997) for n in range(50)]
    await asyncio.gather(
        *(
            store.sessions.append(each.key, Event(author="ada", payload=payload))
            for each, payload in zip(made, payloads, strict=True)
        )
    )
    found = await asyncio.gather(*(store.sessions.get(each.key) for each in made))
    assert [each.events[0].payload for each in found if each is not None] == payloads


async def test_the_other_rooms_are_reached(store: sojourn.Sojourn, app: str) -> None:
    await store.memory.user("ada", app=app).put("tea", {"kind": "green"})
    hits = await store.memory.user("ada", app=app).search("green")
    assert [hit.entry.key for hit in hits] == ["tea"]
    name = secrets.token_hex(6)
    await store.cache.put(name, [1, 2])
    assert await store.cache.get(name) == [1, 2]
    made = await store.sessions.create(app, "ada")
    await store.artifacts.save(made.key, "file", bytes(range(256)) * 4096)
    kept = await store.artifacts.load(made.key, "file")
    assert kept is not None
    assert bytes(kept.data) == bytes(range(256)) * 4096


async def test_what_another_writes_is_heard(store: sojourn.Sojourn, url: str, app: str) -> None:
    """The server pushes: to the near-cache, and to who waits for notices."""
    made = await store.sessions.create(app, "ada")
    assert await store.sessions.get(made.key) is not None
    if url == "memory://":
        return  # another store is another world
    async with sojourn.open(url, notices=True) as other, asyncio.timeout(10):
        await other.sessions.append(made.key, Event(author="ada", payload="hello"))
        while True:
            found = await store.sessions.get(made.key)
            if found is not None and found.events:
                break
            await asyncio.sleep(0.01)


async def test_two_stores_come_and_go(url: str, app: str) -> None:
    for _ in range(2):
        async with sojourn.open(url) as one, sojourn.open(url) as two:
            await asyncio.gather(one.ping(), two.ping())
