"""A session that is made by its first events: how often that goes to a server, and once for all."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import CorruptRecord, Event, Session, SessionKey, TooManySessions


def event(payload: object = 1, **delta: object) -> Event:
    return Event(author="a", payload=payload, state_delta=delta)


def payloads(session: Session[Event] | None) -> list[object]:
    assert session is not None
    return [each.payload for each in session.events]


@pytest.fixture
def key() -> SessionKey:
    return SessionKey.of(f"begin-{secrets.token_hex(4)}", "ada", "s")


@pytest.fixture
async def proxy(shared_server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(shared_server.port) as proxy:
        yield proxy


def writes(proxy: Proxy) -> int:
    """How often scripts were sent since the last time; what waits at one moment leaves at once."""
    sent = sum(b"EVALSHA" in each for each in proxy.requests)
    proxy.requests.clear()
    return sent


async def test_a_first_message_is_two_round_trips_and_all_others_one(
    proxy: Proxy, key: SessionKey
) -> None:
    async with sojourn.open(proxy.url) as store:
        await store.ping()
        writes(proxy)
        history = store.history(key)
        await history.append("user", "one")
        assert writes(proxy) == 2
        await history.append("user", "two")
        assert writes(proxy) == 1
        await store.history(key._replace(session="t")).append("user", "of a known user")
        assert writes(proxy) == 2
    async with sojourn.open(proxy.url) as other:
        await other.ping()
        writes(proxy)
        await other.history(key).append("user", "three")
        assert writes(proxy) == 1
        assert [message.content for message in await other.history(key).all()] == [
            "one",
            "two",
            "three",
        ]


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_what_is_lost_on_the_way_is_there_once(
    proxy: Proxy, key: SessionKey, lost: int
) -> None:
    async with sojourn.open(proxy.url) as store:
        await store.ping()
        seen = 0

        def lose(data: bytes) -> str:
            nonlocal seen
            seen += b"EVALSHA" in data
            return "lose" if seen == lost and b"EVALSHA" in data else "pass"

        proxy.on_request = lose
        await store.history(key).append("user", "one")
        await store.history(key).append("user", "two")
        assert seen > lost
        assert [message.content for message in await store.history(key).all()] == ["one", "two"]


async def test_a_cap_of_sessions_is_told(shared_server: Server, key: SessionKey) -> None:
    for url in (shared_server.url, "memory://"):
        async with sojourn.open(url, max_sessions=1) as store:
            await store.adapters.begin(key, event())
            with pytest.raises(TooManySessions):
                await store.adapters.begin(key._replace(session="t"), event())
            assert (await store.adapters.begin(key, event(2))).version == 3
            assert await store.sessions.count(key.app, key.user) == 1


async def test_what_is_large_may_arrive_before_its_session(
    shared_server: Server, key: SessionKey
) -> None:
    text = "x" * 200_000
    async with sojourn.open(shared_server.url) as store:
        await asyncio.gather(*(store.adapters.begin(key, event(text)) for _ in range(5)))
        assert payloads(await store.sessions.get(key)) == [text] * 5


async def test_nothing_begins_where_no_list_would_show_it(
    shared_server: Server, key: SessionKey
) -> None:
    """An index that is none refuses its users; who is there already can go on."""
    async with sojourn.open(shared_server.url) as store, sojourn.open(shared_server.url) as other:
        await store.adapters.begin(key, event(1))
        with shared_server.client() as client:
            (index,) = client.keys(f"users:{{{key.app}#*")
            client.delete(index)
            client.set(index, "foreign")
            with pytest.raises(CorruptRecord):
                await other.adapters.begin(key._replace(session="t"), event())
            assert not client.exists(f"session:{{{key.app}:ada}}:t")
            assert (await other.adapters.begin(key, event(2))).version == 3
            client.delete(index)
    async with sojourn.open(shared_server.url) as store:
        await store.adapters.begin(key._replace(session="t"), event())
        assert (await store.admin.users(key.app)).names == ["ada"]
