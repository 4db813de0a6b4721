"""What cutting a log leaves on the server, and what others see of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

import sojourn
from servers import Server
from sojourn import CorruptRecord, Event


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url) as store:
        yield store


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture
async def made(store: sojourn.Sojourn) -> sojourn.Session[Event]:
    made = await store.sessions.create("shop", "ada", "one")
    await store.sessions.append(made.key, *(Event(author="a", payload=n) for n in range(6)))
    return made


HEAD = "session:{shop:ada}:one"


async def test_only_what_is_rewritten_gets_another_epoch(
    store: sojourn.Sojourn, client: redis.Redis, made: sojourn.Session[Event]
) -> None:
    await store.sessions.trim(made.key, keep=4)
    assert client.hmget(HEAD, "epoch", "seq", "dropped") == ["0", "6", "2"]
    await store.sessions.trim(made.key, drop=1)
    assert client.hmget(HEAD, "epoch", "seq", "dropped") == ["1", "5", "2"]
    await store.sessions.trim(made.key, drop=100)
    assert client.hmget(HEAD, "epoch", "seq", "dropped") == ["2", "2", "2"]
    assert not client.exists(f"{HEAD}:events")


async def test_no_key_is_left_without_a_ttl(
    store: sojourn.Sojourn, client: redis.Redis, made: sojourn.Session[Event]
) -> None:
    await store.sessions.trim(made.key, keep=0)
    await store.sessions.append(made.key, Event(author="a", payload="new"))
    lives = {key: client.ttl(key) for key in client.scan_iter("*{shop:ada}*")}
    assert f"{HEAD}:events" in lives
    assert min(lives.values()) > 0


async def test_it_is_one_round_trip(server: Server, made: sojourn.Session[Event]) -> None:
    async with sojourn.open(server.url) as store:
        calls: list[str] = []
        await store.sessions.get(made.key)
        store.on_call(lambda fact: calls.append(fact.name))
        await store.sessions.trim(made.key, drop=1)
        assert [name for name in calls if name.startswith("sessions.trim")] == ["sessions.trim"]
        assert "sessions.read" not in calls


async def test_another_process_believes_nothing_that_was_cut(
    server: Server, store: sojourn.Sojourn, made: sojourn.Session[Event]
) -> None:
    async with sojourn.open(server.url) as other:
        assert await other.sessions.get(made.key) is not None  # it knows all six now
        await store.sessions.trim(made.key, drop=2, keep=3)
        await store.sessions.append(made.key, *(Event(author="b", payload=n) for n in (7, 8)))
        seen = await other.sessions.get(made.key)
        assert seen is not None
        assert [(event.seq, event.payload) for event in seen.events] == [
            (2, 1),
            (3, 2),
            (4, 3),
            (5, 7),
            (6, 8),
        ]
        assert seen.complete


@pytest.mark.parametrize("field", ["seq", "dropped", "epoch", "version"])
async def test_a_head_that_cannot_be_read_stops_it(
    store: sojourn.Sojourn, client: redis.Redis, made: sojourn.Session[Event], field: str
) -> None:
    client.hset(HEAD, field, "many")
    with pytest.raises(CorruptRecord):
        await store.sessions.trim(made.key, drop=1)
    assert client.llen(f"{HEAD}:events") == 6


async def test_a_foreign_index_stops_it_before_it_starts(
    store: sojourn.Sojourn, client: redis.Redis, made: sojourn.Session[Event]
) -> None:
    (index,) = client.keys("sessions:{shop:ada}")
    client.delete(index)
    client.set(index, "foreign")
    with pytest.raises(CorruptRecord):
        await store.sessions.trim(made.key, drop=1)
    assert client.llen(f"{HEAD}:events") == 6


async def test_a_log_that_lost_rows_keeps_its_newest(
    store: sojourn.Sojourn, client: redis.Redis, made: sojourn.Session[Event]
) -> None:
    client.delete(f"{HEAD}:events")
    await store.sessions.append(made.key, Event(author="a", payload="new"))
    await store.sessions.trim(made.key, keep=4)
    seen = await store.sessions.get(made.key)
    assert [(event.seq, event.payload) for event in seen.events] == [(7, "new")]
    assert not seen.complete
    await store.sessions.append(made.key, Event(author="a", payload="newer"))
    await store.sessions.trim(made.key, drop=1, keep=2)
    seen = await store.sessions.get(made.key)
    assert [(event.seq, event.payload) for event in seen.events] == [(7, "new")]
