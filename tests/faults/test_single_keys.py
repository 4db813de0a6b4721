"""Each key of a full store evicted alone, or of another type: what the next writes make whole.

A list may not say less than is there once something of it was written again, and nothing that is
missing is passed over in silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis

import sojourn
from servers import Server
from sojourn import CorruptRecord, Event, SessionKey, SojournError
from sojourn.rooms import StoreKeys

NAMESPACE = "single"
KEYS = StoreKeys(NAMESPACE)
A, B, C = (SessionKey.of("shop", "ada", session) for session in "abc")
RED = {"team": "red"}

Answers = dict[str, Any]


async def fill(store: sojourn.Sojourn) -> None:
    for key in (A, B):
        await store.sessions.create(*key, state={"k": 1, "user:u": 1, "app:p": 1}, labels=RED)
        for text in ("one", "two"):
            await append(store, key, text)
    memory = store.memory.user("ada", app="shop")
    for name in ("tea", "cake", "gone"):
        await memory.put(name, f"{name} with milk")
    await memory.delete("gone")
    await store.artifacts.save(A, "f.txt", b"hello")
    await store.artifacts.save(A.owner, "u.txt", b"user")
    await store.cache.put("kept", 1, tags=["t"])


async def append(store: sojourn.Sojourn, key: SessionKey, text: str, **delta: object) -> None:
    event = Event(author="u", payload=text, id=f"{key.session} {text}", state_delta=delta)
    await store.sessions.append(key, event, operation_id=f"{key.session} {text}")


async def write(store: sojourn.Sojourn) -> None:
    """One write in each room, and a repetition of one."""
    writes: list[Callable[[], Awaitable[object]]] = [
        lambda: append(store, A, "three", **{"user:v": 2}),
        lambda: append(store, A, "three", **{"user:v": 2}),
        lambda: store.sessions.create(*C, labels=RED),
        lambda: store.memory.user("ada", app="shop").put("oat", "oat with milk"),
        lambda: store.artifacts.save(A, "f.txt", b"hello again"),
        lambda: store.artifacts.load(A.owner, "u.txt"),
        lambda: store.cache.put("new", 2, tags=["t"]),
    ]
    for each in writes:
        try:
            await each()
        except SojournError:
            continue
    await store.ping()  # what nobody waits for has been sent before
    await asyncio.sleep(0.02)


async def read(store: sojourn.Sojourn) -> Answers:  # noqa: C901 - each question is one line
    """What every list and read answers; the type of an error in its place."""
    memory = store.memory.user("ada", app="shop")
    answers: Answers = {}

    async def session(key: SessionKey) -> object:
        found = await store.sessions.get(key)
        if found is None:
            return None
        return [event.payload for event in found.events], dict(found.state), found.complete

    async def names(page: Awaitable[Any]) -> object:
        found = await page
        if found.corrupt or found.corrupt_users:
            raise CorruptRecord("some", key="", raw=b"")
        return sorted(each.key.session for each in found.sessions)

    async def named(page: Awaitable[Any]) -> object:
        return sorted((await page).names)

    async def entries(page: Awaitable[Any]) -> object:
        found = await page
        if found.corrupt:
            raise CorruptRecord("some", key="", raw=b"")
        return sorted(each.key for each in found.entries)

    async def hits() -> object:
        return sorted(hit.entry.key for hit in await memory.search("milk", limit=20))

    async def data(owner: Any, name: str) -> object:
        found = await store.artifacts.load(owner, name)
        return found and bytes(found.data)

    questions: dict[str, Awaitable[object]] = {
        "a": session(A),
        "b": session(B),
        "c": session(C),
        "list": names(store.sessions.list("shop", "ada")),
        "list red": names(store.sessions.list("shop", "ada", labels=RED)),
        "list app": names(store.sessions.list("shop")),
        "recent": names(store.admin.recent("shop")),
        "recent red": names(store.admin.recent("shop", labels=RED)),
        "users": named(store.admin.users("shop")),
        "apps": named(store.admin.apps()),
        "count": store.sessions.count("shop", "ada"),
        "tea": memory.get("tea"),
        "entries": entries(memory.list()),
        "latest": entries(memory.latest()),
        "hits": hits(),
        "scopes": named(store.admin.memory.scopes("user", app="shop")),
        "artifacts": store.artifacts.names(A),
        "artifacts of ada": store.artifacts.names(A.owner),
        "f": data(A, "f.txt"),
        "u": data(A.owner, "u.txt"),
        "cached": store.cache.get("kept"),
    }
    for name, question in questions.items():
        try:
            answers[name] = await question
        except SojournError as error:
            answers[name] = type(error)
    return answers


class Bench:
    """A full store, whose keys can be put back."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.admin = redis.Redis.from_url(server.url)
        self.copies: dict[bytes, tuple[bytes, int]] = {}

    async def filled(self) -> None:
        self.admin.flushall()
        async with sojourn.open(self.url, namespace=NAMESPACE, notices=True) as store:
            await fill(store)
        for key in self.admin.keys(f"{NAMESPACE}:*"):
            self.copies[key] = (self.admin.dump(key), max(0, self.admin.pttl(key)))

    def put_back(self) -> None:
        self.admin.flushall()
        for key, (data, left) in self.copies.items():
            self.admin.restore(key, left, data)

    async def answers(
        self, damage: Callable[[], object], *, warm: bool = False, writes: bool = True
    ) -> Answers:
        self.put_back()
        async with sojourn.open(self.url, namespace=NAMESPACE, notices=True) as store:
            if warm:
                await read(store)
            damage()
            if writes:
                await write(store)
            return await read(store)


@pytest.fixture
def bench(shared_server: Server) -> Iterator[Bench]:
    bench = Bench(shared_server)
    yield bench
    bench.admin.flushall()
    bench.admin.close()


def kind(key: bytes) -> str:
    name = key.decode().removeprefix(f"{NAMESPACE}:")
    found = KEYS.kind_of(key.decode())
    assert found is not None, key
    if found.name in ("memory", "recent", "memories"):
        rest = name.rpartition("}")[2]
        return found.name + (":label" if ":label:" in rest else rest)
    if found.name == "state":
        return "user state" if ":ada" in name else "app state"
    return found.name


STATE = {"k": 1, "app:p": 1, "user:u": 1, "user:v": 2}
NO_USER = {name: value for name, value in STATE.items() if name != "user:u"}
NO_APP = {name: value for name, value in STATE.items() if name != "app:p"}
FOUND: dict[str, list[Answers]] = {
    "session": [
        {"a": None, "list": ["b", "c"], "list red": ["b", "c"]}
        | {"list app": ["b", "c"], "recent": ["b", "c"], "recent red": ["b", "c"], "count": 2}
        | {"b": (["one", "two"], {"k": 1, "app:p": 1, "user:u": 1}, True)}
        | {"c": ([], {"app:p": 1, "user:u": 1}, True)},
        {"b": None, "list": ["a", "c"], "list red": ["a", "c"]}
        | {"list app": ["a", "c"], "recent": ["a", "c"], "recent red": ["a", "c"], "count": 2},
    ],
    "events": [{"a": (["three"], STATE, False)}, {"b": ([], STATE, False)}],
    "label": [{"list red": ["a", "c"]}],
    "recent:label": [{"recent red": ["a", "c"]}],
    "user state": [
        {"a": (["one", "two", "three"], NO_USER, True), "b": (["one", "two"], NO_USER, True)}
        | {"c": ([], {"app:p": 1, "user:v": 2}, True)}
    ],
    "app state": [
        {"a": (["one", "two", "three"], NO_APP, True), "b": (["one", "two"], NO_APP, True)}
        | {"c": ([], {"user:u": 1, "user:v": 2}, True)}
    ],
    "cached": [{"cached": None}],
    "tags": [{"cached": None}],
    "artifact": [{"f": CorruptRecord}, {"u": CorruptRecord}],
    "artifactdata": [{}, {"u": CorruptRecord}],
    "remembered": [
        {
            "tea": None,
            "entries": ["cake", "oat"],
            "latest": ["cake", "oat"],
            "hits": ["cake", "oat"],
        },
        {"entries": ["oat", "tea"], "latest": ["oat", "tea"], "hits": ["oat", "tea"]},
    ],
}
"""What is different when a key of a kind was evicted: the data are gone, or said to be."""


@pytest.mark.parametrize("warm", [False, True])
async def test_what_was_evicted_alone_is_made_again_by_the_next_write_or_said_to_be_lost(
    bench: Bench, warm: bool
) -> None:
    await bench.filled()
    whole = await bench.answers(lambda: None, warm=warm)
    assert whole["list"] == whole["recent red"] == ["a", "b", "c"]
    assert whole["a"] == (["one", "two", "three"], STATE, True)
    seen = set[str]()
    for key in bench.copies:
        found = await bench.answers(lambda key=key: bench.admin.delete(key), warm=warm)  # type: ignore[misc]
        changed = {name: found[name] for name in whole if found[name] != whole[name]}
        assert changed in FOUND.get(kind(key), [{}]), key
        seen.add(kind(key))
        bench.admin.delete(key)
    assert len(seen) > 25, seen
    assert seen >= set(FOUND)


async def test_a_key_of_another_type_is_never_taken_for_nothing(bench: Bench) -> None:
    await bench.filled()
    whole = await bench.answers(lambda: None, writes=False)

    def foreign(key: bytes) -> None:
        plain = bench.admin.type(key) == b"string"
        bench.admin.delete(key)
        bench.admin.lpush(key, "x") if plain else bench.admin.set(key, "foreign")

    for key in bench.copies:
        found = await bench.answers(lambda key=key: foreign(key), writes=False)  # type: ignore[misc]
        for name, answer in found.items():
            if (kind(key), name) == ("remembered", "hits"):
                continue  # a search leaves out what cannot be read, as lists tell
            told = answer is CorruptRecord or (
                isinstance(answer, tuple) and answer[-1] is False  # a session that is not complete
            )
            assert told or answer == whole[name], (key, name, answer)


@pytest.mark.parametrize("index", ["names", "changes"])
async def test_a_search_makes_the_indexes_of_a_scope_again(bench: Bench, index: str) -> None:
    await bench.filled()
    for warm in (False, True):
        found = await bench.answers(
            lambda: bench.admin.delete(f"{NAMESPACE}:memory:{{shop:user:ada}}:{index}"),
            warm=warm,
            writes=False,
        )
        assert found["hits"] == ["cake", "tea"]


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("index", ["names", "expiry", "changes"])
async def test_an_index_of_the_memory_that_was_put_back_hides_no_entry(
    bench: Bench, index: str, warm: bool
) -> None:
    """It has as many names as the others: one entry was deleted since, and one came."""
    key = f"{NAMESPACE}:memory:{{shop:user:ada}}:{index}"
    async with sojourn.open(bench.url, namespace=NAMESPACE) as store:
        memory = store.memory.user("ada", app="shop")
        for name in ("tea", "gone"):
            await memory.put(name, f"{name} with milk")
        before = bench.admin.dump(key)
        await memory.put("oat", "oat with milk")
        await memory.delete("gone")
        if warm:
            await memory.search("milk")
        bench.admin.restore(key, 60_000, before, replace=True)

        async with sojourn.open(bench.url, namespace=NAMESPACE) as fresh:
            for each in (store, fresh) if warm else (fresh,):
                there = each.memory.user("ada", app="shop")
                assert [hit.entry.key for hit in await there.search("oat")] == ["oat"]
                assert sorted(e.key for e in (await there.latest()).entries) == ["oat", "tea"]
                assert sorted(e.key for e in (await there.list()).entries) == ["oat", "tea"]
                assert sorted(hit.entry.key for hit in await there.search("milk")) == ["oat", "tea"]


async def test_what_was_invalidated_is_not_served_after_its_tags_were_evicted(bench: Bench) -> None:
    async with sojourn.open(bench.url, namespace=NAMESPACE) as store:
        names = [f"e{n}" for n in range(40)]  # in all slots
        for name in names:
            await store.cache.put(name, name, tags=["t"])
        await store.cache.put("plain", 1)
        await store.cache.invalidate("t")
        bench.admin.delete(*bench.admin.keys(f"{NAMESPACE}:cache:*:tags"))
        assert [await store.cache.get(name) for name in names] == [None] * 40
        assert await store.cache.get("plain") == 1

        for name in names[:20]:
            await store.cache.put(f"{name} again", name, tags=["t"])
        assert [await store.cache.get(f"{name} again") for name in names[:20]] == names[:20]
        await store.cache.invalidate("another")
        assert [await store.cache.get(name) for name in names] == [None] * 40

        async def compute() -> int:
            computed.append(1)
            return 7

        computed: list[int] = []
        bench.admin.delete(*bench.admin.keys(f"{NAMESPACE}:cache:*:tags"))
        for _ in range(2):
            assert await store.cache.fetch("e0", compute, tags=["t"]) == 7
        assert len(computed) == 1
