"""A user's indexes live as long as the sessions in them, and list each session that is alive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

import sojourn
from servers import Server
from sojourn import Event, SessionKey
from sojourn.telemetry import CallFact

INDEXES = ("sessions:{shop:ada}", "sessions:{shop:ada}:expiry")


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url) as store:
        yield store


@pytest.fixture
async def ever(store: sojourn.Sojourn, client: redis.Redis) -> SessionKey:
    """A session that never expires, so that no index does."""
    made = await store.sessions.create("shop", "ada", "ever", ttl=None)
    assert lives(client) == {-1}
    return made.key


def lives(client: redis.Redis) -> set[int]:
    """Seconds that are left to the indexes, -1 for ever."""
    return {client.ttl(index) for index in INDEXES}


def assert_lives(client: redis.Redis, seconds: int) -> None:
    """As long as asked and a hundredth more, less what the test has taken."""
    assert all(seconds - 60 < left <= seconds * 1.01 for left in lives(client)), lives(client)


async def test_indexes_expire_again_once_their_immortal_session_is_deleted(
    store: sojourn.Sojourn, client: redis.Redis, ever: SessionKey
) -> None:
    await store.sessions.create("shop", "ada", "long", ttl=1000)
    await store.sessions.create("shop", "ada", "short", ttl=100)
    assert lives(client) == {-1}
    await store.sessions.delete(ever)
    assert_lives(client, 1000)


async def test_indexes_expire_again_once_their_last_immortal_session_gets_a_ttl(
    store: sojourn.Sojourn, client: redis.Redis, ever: SessionKey
) -> None:
    other = await store.sessions.create("shop", "ada", "other", ttl=None)
    await store.sessions.update(ever, ttl=1000)
    assert lives(client) == {-1}
    await store.sessions.update(other.key, ttl=100)
    assert_lives(client, 1000)


@pytest.mark.parametrize("write", ["create", "append", "touch"])
async def test_indexes_without_an_immortal_session_expire_again_with_the_next_write(
    store: sojourn.Sojourn, client: redis.Redis, write: str
) -> None:
    await store.sessions.create("shop", "ada", "long", ttl=1000)
    short = await store.sessions.create("shop", "ada", "short", ttl=100)
    for index in INDEXES:
        client.persist(index)
    if write == "create":
        await store.sessions.create("shop", "ada", "new", ttl=100)
    elif write == "append":
        client.hset("session:{shop:ada}:short", "expires", 1)  # as if its life had run short
        await store.sessions.append(short.key, Event(author="a", payload=1))
    else:
        await store.sessions.touch(short.key)
    assert_lives(client, 1000)


async def test_a_session_that_expired_is_listed_when_it_is_created_again(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    stays = await store.sessions.create("shop", "ada", "stays")
    await store.sessions.create("shop", "ada", "again", ttl=0.01)
    while client.exists("session:{shop:ada}:again"):
        await asyncio.sleep(0.005)
    assert all(client.zscore(index, "again") for index in INDEXES)
    again = await store.sessions.create("shop", "ada", "again")
    page = await store.sessions.list("shop", "ada")
    assert [session.key for session in page.sessions] == [stays.key, again.key]
    assert [client.zcard(index) for index in INDEXES] == [2, 2]


async def test_who_only_saves_does_not_gather_what_has_expired(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    stays = (await store.sessions.create("shop", "ada", "stays")).key
    for n in range(5):
        await store.sessions.save(SessionKey.of("shop", "ada", f"s{n}"), ttl=0.01)
        while client.exists(f"session:{{shop:ada}}:s{n}"):
            await asyncio.sleep(0.005)
    again = SessionKey.of("shop", "ada", "s4")
    await store.sessions.save(again)
    page = await store.sessions.list("shop", "ada")
    assert [session.key for session in page.sessions] == [stays, again]
    assert [client.zcard(index) for index in INDEXES] == [2, 2]


async def test_sessions_of_one_instant_are_listed_though_others_go(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    for n in range(40):
        await store.sessions.create("shop", "ada", f"s{n:02}", created=1000.0)
    goes = iter(range(20))

    def take_one_out(fact: CallFact) -> None:
        if fact.name == "sessions.index" and (n := next(goes, None)) is not None:
            for index in INDEXES:
                client.zrem(index, f"s{n:02}")

    store.on_call(take_one_out)
    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        page = await store.sessions.list("shop", "ada", limit=10, cursor=cursor)
        seen += [each.key.session for each in page.sessions]
        cursor = page.cursor
    assert sorted(seen) == sorted(set(seen))
    assert {f"s{n:02}" for n in range(20, 40)} <= set(seen)


async def test_who_could_not_be_listed_while_others_waited_for_nothing_is_listed_later(
    server: Server, client: redis.Redis
) -> None:
    """The index of an app's users is of another type while a session is appended to."""
    async with sojourn.open(server.url) as before, sojourn.open(server.url) as store:
        made = await before.sessions.create("shop", "ada")
        (index,) = client.keys("users:*")
        client.delete(index)
        client.set(index, "foreign")
        await store.sessions.append(made.key, Event(author="user", payload="hi"))
        await store.ping()
        client.delete(index)

        await store.sessions.create("shop", "ada")
        assert (await store.admin.users("shop")).names == ["ada"]
