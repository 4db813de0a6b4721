"""Sessions of which a server has thrown away a key: never served as if they were whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis

import sojourn
from servers import Server
from sojourn import Event, SessionKey, SessionNotFound

KEY = SessionKey.of("shop", "ada", "s")
HEAD = "evicted:session:{shop:ada}:s"


@pytest.fixture
def direct(shared_server: Server) -> redis.Redis:
    with shared_server.client() as client:
        client.delete(*client.scan_iter("evicted:*"), "nothing")
        yield client


@pytest.fixture
async def store(shared_server: Server, direct: redis.Redis) -> AsyncIterator[sojourn.Sojourn]:
    """One that has read the session, and remembers its events."""
    async with sojourn.open(shared_server.url, namespace="evicted") as store:
        await store.sessions.create(*KEY, state={"k": 1})
        for n in range(4):
            await append(store, n)
        found = await store.sessions.get(KEY)
        assert found
        assert found.complete
        yield store


async def append(store: sojourn.Sojourn, n: int) -> bool:
    done = await store.sessions.append(KEY, Event(author="a", payload=n), operation_id=f"op {n}")
    return done.repeated


@pytest.mark.parametrize("remembers", [True, False])
async def test_without_its_events_it_is_incomplete(
    shared_server: Server, store: sojourn.Sojourn, direct: redis.Redis, remembers: bool
) -> None:
    direct.delete(f"{HEAD}:events")
    async with sojourn.open(shared_server.url, namespace="evicted") as fresh:
        reader = store if remembers else fresh
        for last in (None, 2):
            found = await reader.sessions.get(KEY, last=last)
            assert found is not None
            assert (found.complete, found.events, found.length) == (False, [], 4)
        assert (await reader.sessions.get(KEY, after=1)).complete is False
        await append(store, 4)
        found = await reader.sessions.get(KEY)
        assert [event.payload for event in found.events] == [4]
        assert (found.complete, found.length, found.events[0].seq) == (False, 5, 5)
        last = await reader.sessions.get(KEY, last=1)
        assert [event.payload for event in last.events] == [4]
        assert last.complete


async def test_without_some_of_its_events_it_is_incomplete(
    store: sojourn.Sojourn, direct: redis.Redis
) -> None:
    direct.rpop(f"{HEAD}:events")
    found = await store.sessions.get(KEY)
    assert found.complete is False
    direct.rpop(f"{HEAD}:events", 2)
    assert (await store.sessions.get(KEY)).complete is False
    assert (await store.sessions.get(KEY, last=3)).complete is False


async def test_events_that_are_made_anew_expire_with_their_session(
    store: sojourn.Sojourn, direct: redis.Redis
) -> None:
    direct.delete(f"{HEAD}:events", f"{HEAD}:ops", "evicted:sessions:{shop:ada}")
    await append(store, 4)
    for key in direct.scan_iter("evicted:*"):
        assert direct.ttl(key) > 0, key
    assert abs(direct.pttl(HEAD) - direct.pttl(f"{HEAD}:events")) < 1000
    assert [each.key for each in (await store.sessions.list("shop", "ada")).sessions] == [KEY]


async def test_without_its_hash_it_is_no_more_and_what_is_left_of_it_is_never_read(
    store: sojourn.Sojourn, direct: redis.Redis
) -> None:
    direct.delete(HEAD)
    assert await store.sessions.get(KEY) is None
    with pytest.raises(SessionNotFound):
        await append(store, 4)
    assert direct.exists(HEAD) == 0
    await store.sessions.create(*KEY)
    found = await store.sessions.get(KEY)
    assert (found.events, found.complete, found.state) == ([], True, {})
    assert await append(store, 1) is False


async def test_without_its_operation_ids_a_repeated_append_is_still_done_once(
    store: sojourn.Sojourn, direct: redis.Redis
) -> None:
    direct.delete(f"{HEAD}:ops")
    event = (await store.sessions.get(KEY)).events[3]
    with pytest.raises(sojourn.EventExists):
        await store.sessions.append(KEY, event, operation_id="op 3")
    assert direct.llen(f"{HEAD}:events") == 4


@pytest.mark.parametrize("index", ["sessions", "sessions:expiry", "users", "apps", "recent"])
async def test_the_next_session_repairs_an_index_that_was_evicted(
    store: sojourn.Sojourn, direct: redis.Redis, index: str
) -> None:
    kind, _, part = index.partition(":")
    names = [f"evicted:{kind}", f"evicted:{kind}:*"]
    found = {key for name in names for key in direct.scan_iter(name)}
    evicted = [key for key in found if key.endswith(":expiry") == bool(part)]
    assert evicted
    direct.delete(*evicted)
    await append(store, 4)
    await store.sessions.create("shop", "ada", "next")
    sessions = store.sessions
    assert [each.key.session for each in (await sessions.list("shop", "ada")).sessions] == [
        "s",
        "next",
    ]
    assert await sessions.count("shop", "ada") == 2
    assert (await store.admin.users("shop")).names == ["ada"]
    assert (await store.admin.apps()).names == ["shop"]
    recent = {each.key.session for each in (await store.admin.recent("shop")).sessions}
    assert recent >= {"next"}
