"""Whatever bytes stand on the server or come from a caller: data or our error, nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sojourn
from extent import examples
from servers import Server, any_binary
from sojourn import Event, SessionKey, SojournError, UserKey
from sojourn.calls.call import Call

OWNER = UserKey.of("shop", "ada")
KEY = SessionKey.of("shop", "ada", "one")
JUNK = [b"nan", b"-1", b"1e999", b"null", b"[]", b"{}", b'{"a":', b"\xff", b"9" * 40, b"[" * 9999]
Read = Callable[[], Awaitable[Any]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Server(tmp_path_factory.mktemp("filled"), any_binary()).start()
    yield server.url
    server.close()


async def send(store: sojourn.Sojourn, *commands: tuple[Any, ...]) -> list[Any]:
    return await store._engine.run(Call("test", (), list, commands=list(commands)))


async def fill(store: sojourn.Sojourn) -> None:
    """Every kind of record that a store keeps."""
    await send(store, ("FLUSHALL",))
    await store.sessions.create(*KEY, state={"a": 1, "user:b": [2], "app:c": {"d": 3}})
    for number in range(3):
        delta = {"a": number, "user:b": number}
        await store.sessions.append(KEY, Event(author="user", payload=number, state_delta=delta))
    await store.memory.user("ada", app="shop").put_many({"x": "one two", "y": {"z": 1}})
    await store.remember(KEY)
    await store.cache.put("result", {"a": 1}, tags=["t"])
    await store.artifacts.save(KEY, "file", b"data", metadata={"a": 1})
    await store.artifacts.save(OWNER, "mine", b"data" * 300_000)
    handle = store.guard().user(sojourn.security.Principal.of("shop", "ada"))
    await handle.sessions.ensure("two")
    await handle.sessions.get("never")


def reads(store: sojourn.Sojourn) -> list[Read]:
    """Every way to see it."""
    sessions, scope = store.sessions, store.memory.user("ada", app="shop")
    remembered = store.memory.sessions("ada", app="shop")
    guard = store.guard()
    handle = guard.user(sojourn.security.Principal.of("shop", "ada"))
    return [
        lambda: sessions.get(KEY),
        lambda: sessions.get(KEY, last=2),
        lambda: sessions.get(KEY, since=1.0),
        lambda: sessions.list("shop", "ada"),
        lambda: sessions.list("shop"),
        lambda: store.admin.users("shop"),
        store.admin.apps,
        lambda: sessions.user_state("shop", "ada"),
        lambda: store.admin.quarantined("shop", "ada"),
        lambda: sessions.count("shop", "ada"),
        lambda: store.admin.sweep("shop"),
        lambda: store.history(KEY).all(),
        lambda: sessions.append(KEY, Event(author="user", payload=0)),
        lambda: sessions.update(KEY, title="new"),
        lambda: sessions.trim(KEY, keep=2),
        lambda: sessions.ensure(*KEY),
        scope.list,
        lambda: scope.get_many(["x", "y"]),
        lambda: scope.search("two"),
        lambda: scope.merge("y", {"w": 1}),
        remembered.list,
        lambda: store.admin.memory.scopes("user", app="shop"),
        lambda: store.cache.get("result"),
        lambda: store.artifacts.load(KEY, "file"),
        lambda: store.artifacts.load(OWNER, "mine"),
        lambda: store.artifacts.versions(OWNER, "mine"),
        lambda: store.artifacts.names(KEY),
        lambda: store.artifacts.save(KEY, "file", b"more"),
        lambda: store.notices.read("shop", "ada"),
        lambda: store.notices.latest("shop", "ada"),
        lambda: handle.sessions.get("never"),
        lambda: handle.sessions.delete("two"),
        lambda: guard.fleet("shop"),
    ]


async def damage(store: sojourn.Sojourn, chance: random.Random, junk: bytes) -> str:
    """Replace or bend one value of one key; the hook for it is any that Redis has."""
    (names,) = await send(store, ("KEYS", "*"))
    name = chance.choice(sorted(names))
    (kind,) = await send(store, ("TYPE", name))
    if chance.random() < 0.1:
        await send(store, ("DEL", name), ("SET", name, junk))
    elif kind == b"hash":
        (fields,) = await send(store, ("HKEYS", name))
        field = chance.choice([*sorted(fields), junk])
        (old,) = await send(store, ("HGET", name, field))
        await send(store, ("HSET", name, field, bent(old or b"", junk, chance)))
    elif kind == b"list":
        (length,) = await send(store, ("LLEN", name))
        place = chance.randrange(length)
        (old,) = await send(store, ("LINDEX", name, place))
        await send(store, ("LSET", name, place, bent(old, junk, chance)))
    elif kind == b"zset":
        await send(store, ("ZADD", name, chance.choice([0, -1, 1e300, "inf"]), junk))
    elif kind == b"stream":
        await send(store, ("XADD", name, "*", junk, junk))
    elif kind == b"set":
        await send(store, ("SADD", name, junk))
    else:
        (old,) = await send(store, ("GET", name))
        await send(store, ("SET", name, bent(old, junk, chance)))
    return f"{kind} {name}"


def bent(old: bytes, junk: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(old) + 1)
    return chance.choice(
        [junk, old[:place], old[:place] + junk + old[place:], old[:place] + junk, b""]
    )


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 2**32),
    junk=st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [b"nan", b"-1", b"1e999", b"null", b"[]", b"{}", b'{"a":', b"\xff", b"9" * 40]
        ),
        st.just(b"[" * 100_000),
    ),
)
def test_any_bytes_in_place_of_any_record_are_data_or_our_error(filled, seed, junk):
    asyncio.run(damaged(filled, random.Random(seed), junk))


async def damaged(url: str, chance: random.Random, junk: bytes) -> None:
    async with sojourn.open(url, notices=True) as store:
        await fill(store)
        what = [await damage(store, chance, junk) for _ in range(3)]
    async with sojourn.open(url, notices=True) as store:
        for read in reads(store):
            try:
                await read()
            except SojournError:
                continue
            except Exception as error:
                error.add_note(f"after damage of {what}")
                raise


@pytest.fixture
async def store() -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open("memory://", notices=True) as store:
        yield store


CURSORS = st.one_of(st.text(max_size=30), st.from_regex(r"[0-9]{1,30}[:.-][0-9a-z%]{0,9}"))


@given(CURSORS)
def test_any_cursor_of_a_caller_is_a_place_or_invalid_input(cursor):
    async def turn() -> None:
        async with sojourn.open("memory://", notices=True) as store:
            await store.sessions.create(*KEY)
            scope = store.memory.user("ada", app="shop")
            for read in (
                lambda: store.sessions.list("shop", "ada", cursor=cursor),
                lambda: store.sessions.list("shop", cursor=cursor),
                lambda: store.admin.users("shop", cursor=cursor),
                lambda: store.admin.apps(cursor=cursor),
                lambda: store.admin.sweep("shop", cursor=cursor),
                lambda: scope.list(cursor=cursor),
                lambda: store.admin.memory.scopes("user", cursor=cursor),
                lambda: store.notices.read("shop", "ada", after=cursor),
            ):
                try:
                    await read()
                except sojourn.InvalidInput:
                    continue

    asyncio.run(turn())


SCHEMES = ["redis", "rediss", "unix", "embedded", "memory", "redis+sentinel", "redis+cluster", "x"]


@given(st.sampled_from(SCHEMES), st.text(max_size=60))
def test_any_url_opens_or_says_what_is_wrong(scheme, rest):
    try:
        sojourn.open(f"{scheme}://{rest}")
    except SojournError:
        return
