"""Indexes for searching: in several processes, in step with the server, and bounded."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable

import pytest

import sojourn
from servers import Server
from sojourn.memory import MemoryScope, index
from sojourn.memory.index import Index
from sojourn.memory.search import Searcher
from sojourn.memory.store import ChangeMark, Changes, Item, MemoryRow
from sojourn.memory.words import asked_words, stored_words
from sojourn.telemetry import CallFact

HEAD = "memory:{memory:user:ada}"


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url) as store:
        yield store


@pytest.fixture
async def elsewhere(server: Server) -> AsyncIterator[MemoryScope]:
    """The same scope as another process sees it."""
    async with sojourn.open(server.url) as store:
        yield store.memory.user("ada")


@pytest.fixture
def ada(store: sojourn.Sojourn) -> MemoryScope:
    return store.memory.user("ada")


async def found(scope: MemoryScope, query: str) -> set[str]:
    return {hit.entry.key for hit in await scope.search(query, limit=1000)}


def trips(store: sojourn.Sojourn) -> Callable[[], int]:
    facts: list[CallFact] = []
    store.on_call(facts.append)

    def count() -> int:
        seen = len(facts)
        facts.clear()
        return seen

    return count


async def test_what_another_process_has_done_is_seen(
    ada: MemoryScope, elsewhere: MemoryScope
) -> None:
    await ada.put_many({"a": "giraffe", "b": "giraffe", "c": "giraffe"})
    assert await found(elsewhere, "giraffe") == {"a", "b", "c"}
    await ada.delete("a")
    await ada.put("b", "zebra")
    assert await found(elsewhere, "giraffe") == {"c"}
    await ada.clear()
    assert await found(elsewhere, "giraffe") == set()
    await ada.put("a", "giraffe")
    assert await found(elsewhere, "giraffe") == {"a"}


async def test_only_what_has_changed_is_read(
    server: Server, store: sojourn.Sojourn, ada: MemoryScope
) -> None:
    await ada.put_many({f"k{n}": "giraffe" for n in range(300)})
    await ada.search("giraffe")
    count = trips(store)
    await ada.search("giraffe")
    assert count() == 1
    await ada.put("k7", "zebra")
    count()
    with server.client() as client:
        before = client.info("commandstats")["cmdstat_hgetall"]["calls"]
        await ada.search("giraffe")
        assert client.info("commandstats")["cmdstat_hgetall"]["calls"] == before + 1
    assert count() == 2


async def test_the_round_trips_of_the_rest(store: sojourn.Sojourn, ada: MemoryScope) -> None:
    await ada.put("k", {})
    count = trips(store)
    for call, expected in (
        (ada.put("k", {}), 1),
        (ada.put_many({f"k{n}": n for n in range(100)}), 1),
        (ada.get("k"), 1),
        (ada.get_many([f"k{n}" for n in range(100)]), 1),
        (ada.merge("k", {"a": 1}), 2),
        (ada.list(), 2),
        (ada.delete("k"), 1),
    ):
        await call
        assert count() == expected


async def test_more_deletions_than_are_remembered(
    server: Server, ada: MemoryScope, elsewhere: MemoryScope
) -> None:
    await ada.put("stays", "giraffe")
    await ada.put_many({f"k{n}": "giraffe" for n in range(1000)})
    await ada.put_many({f"l{n}": "giraffe" for n in range(200)})
    assert len(await found(elsewhere, "giraffe")) == 1000  # no search gives more
    await ada.delete("k0")
    await asyncio.gather(*(ada.delete(f"k{n}") for n in range(1, 1000)))
    await asyncio.gather(*(ada.delete(f"l{n}") for n in range(200)))
    with server.client() as client:
        assert client.zcard(f"{HEAD}:deleted") == 1000
        assert int(client.hget(HEAD, "floor") or 0) > 1201
    assert await found(elsewhere, "giraffe") == {"stays"}


async def test_a_replaced_entry_that_expired_unseen_does_not_come_back(
    ada: MemoryScope, elsewhere: MemoryScope
) -> None:
    await ada.put("k", "giraffe", ttl=1000)
    assert await found(elsewhere, "giraffe") == {"k"}
    await ada.put("k", "zebra", ttl=0.01)
    async with asyncio.timeout(10):
        while await ada.entry("k") is not None:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.002)  # the index takes it out a millisecond later
    await ada.put("other", 1)
    assert await found(elsewhere, "giraffe zebra") == set()


async def test_writers_and_searchers_at_once(
    server: Server, ada: MemoryScope, elsewhere: MemoryScope
) -> None:
    async def write(scope: MemoryScope, name: str) -> None:
        for n in range(60):
            await scope.put(f"{name}{n % 7}", f"word{n}")
            assert await found(scope, f"word{n}") >= {f"{name}{n % 7}"}
            if n % 3 == 0:
                await scope.delete(f"{name}{n % 7}")
                assert f"{name}{n % 7}" not in await found(scope, f"word{n}")

    await asyncio.gather(
        *(write(ada, f"a{n}-") for n in range(4)), *(write(elsewhere, f"e{n}-") for n in range(4))
    )
    words = " ".join(f"word{n}" for n in range(60))
    there = {entry.key for entry in (await ada.list(limit=1000)).entries}
    assert await found(ada, words) == await found(elsewhere, words) == there


async def test_one_store_in_several_event_loops(server: Server) -> None:
    store = sojourn.open(server.url)
    failures: list[BaseException] = []

    async def use(name: str) -> None:
        scope = store.memory.user("ada")
        for n in range(40):
            await scope.put(f"{name}{n % 5}", f"word{n}")
            assert f"{name}{n % 5}" in await found(scope, f"word{n}")
        await store.disconnect()

    def run(name: str) -> None:
        try:
            asyncio.run(use(name))
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"t{n}-",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join, 60)
    await store.close()
    assert failures == []


def test_a_thread_that_comes_late_with_an_older_entry() -> None:
    def row(key: str, version: int) -> MemoryRow:
        item = Item(key, b'"word %d"' % version, b"{}")
        return MemoryRow(item, version, 0.0, 0.0, None)

    index = Index()
    start = ChangeMark("life", 10)
    index.apply(None, Changes(start, [row("k", 10)], [], more=False, now=0.0))
    # Both have asked for what is behind 10; who asked first was slower to read the entry.
    index.apply(start, Changes(ChangeMark("life", 11), [row("k", 13)], [], more=False, now=0.0))
    late = Changes(ChangeMark("life", 12), [row("k", 11), row("l", 12)], [], more=False, now=0.0)
    index.apply(start, late)
    found = {hit.row.item.key: hit.row.version for hit in index.find("word", 10, 0.0)}
    assert found == {"k": 13, "l": 12}
    index.close()


async def test_a_search_that_is_cancelled_leaves_a_sound_index(ada: MemoryScope) -> None:
    await ada.put_many({f"k{n}": f"word{n} giraffe" for n in range(1000)})
    await ada.put_many({f"l{n}": f"word{n} giraffe" for n in range(1000)})
    ended, turns = False, 0
    while not ended:
        turns += 1
        search = asyncio.create_task(ada.search("word1"))
        for _ in range(turns):
            await asyncio.sleep(0)
        ended = search.done()
        search.cancel()
        await asyncio.wait([search])
    assert turns > 3
    assert await found(ada, "word1") == {"k1", "l1"}


async def test_indexes_are_bounded_and_come_again(store: sojourn.Sojourn) -> None:
    searcher = Searcher(store.memory._store, room=300_000)
    scopes = [store.memory.user(f"user {n}") for n in range(12)]
    for scope in scopes:
        await scope.put_many({f"k{n}": f"word{n} " * 20 for n in range(50)})
    for _ in range(2):
        for scope in scopes:
            (hit,) = await searcher.search(scope.key, "word7", 10)
            assert hit.entry.key == "k7"
            assert sum(index.size for index in searcher._indexes.values()) <= 300_000
            assert scope.key in searcher._indexes
    assert 1 < len(searcher._indexes) < 12
    searcher.close()
    with pytest.raises(sojourn.Closed):
        await searcher.search(scopes[0].key, "word7", 10)


async def test_big_work_is_done_beside_the_event_loop(
    ada: MemoryScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside: list[int] = []
    to_thread = asyncio.to_thread

    async def spied(work: Callable[[], object]) -> object:
        aside.append(1)
        return await to_thread(work)

    monkeypatch.setattr(asyncio, "to_thread", spied)
    await ada.put("k", "giraffe")
    await ada.search("giraffe")
    assert aside == []
    await ada.put_many({f"k{n}": "giraffe" for n in range(400)})
    await ada.search("giraffe")
    assert len(aside) == 2  # taking over, and finding


@pytest.mark.parametrize("missing", ["module", "fts5"])
async def test_a_python_that_cannot_search_says_so(
    ada: MemoryScope, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    await ada.put("k", "giraffe")
    if missing == "module":
        monkeypatch.setitem(sys.modules, "sqlite3", None)
    else:
        monkeypatch.setattr(index, "_SCHEMA", index._SCHEMA.replace("fts5", "fts99"))
    with pytest.raises(sojourn.ConfigurationError, match="FTS5"):
        await ada.search("giraffe")
    assert await ada.get("k") == "giraffe"


def test_words() -> None:
    assert plain("Crème-brûlée №5, l'été!") == "creme brulee no5 l ete creme-brulee"
    assert stored_words("東京都 x") == "東京 京都 都 x"
    assert asked_words("東京都 猫 run run") == ['"東京"', '"京都"', '"猫"*', '"run"']
    assert stored_words("в ёлках й") == "в елках и"
    assert stored_words("がガ ハバパ") == "がガ ガ ハバ バパ パ"
    assert plain("a🦊\ufe0f🦊b_c\x00d") == "a 🦊 🦊 b c d b_c"
    assert plain("/etc/a.conf C++") == "etc a conf c etc/a a.conf etc/a.conf c++"
    assert plain("v1.1.6. .NET") == "v1 1 6 net 1.1 1.6 1.1.6 .net"


def plain(text: str) -> str:
    """Stored words, with the signs as they were."""
    return "".join(
        chr(ord(c) - 0xE000) if 0xE000 <= ord(c) < 0xE080 else c for c in stored_words(text)
    )


@pytest.mark.parametrize("entries", [20, 400])
async def test_of_a_long_query_what_tells_most_is_asked(entries: int) -> None:
    async with sojourn.open("memory://") as store:
        scope = store.memory.user("ada")
        common = " ".join(f"w{n}" for n in range(150))
        await scope.put_many({f"k{n}": common for n in range(entries)})
        await scope.put_many({"a": f"giraffe {common}", "b": "see nginx.conf", "c": "zebra"})
        filler = " ".join(f"unheard{n}" for n in range(3000))
        hits = await scope.search(f"{common} {filler} giraffe, nginx.conf", limit=2)
        assert {hit.entry.key for hit in hits} == {"a", "b"}
        assert len(asked_words(filler * 10)) <= 5000


SIGNED = {
    "C#": ["C++ is fast, C is small", "C# has properties", "F# is functional"],
    "C++": ["C# has properties, c", "C++ has templates", "C"],
    ".NET": ["the net is wide", "we use .NET here", "a net, a net"],
    "v1.1.6": ["release v6.1.1 v1", "release v1.6.1 v1", "release v1.1.6", "release v1.1 of 6"],
    "version 1.1.6": ["version 6.1.1", "version 1.6.1", "version v1.1.6", "version 1 1 6"],
    "192.168.0.1": ["10.1.168.192 0", "192.168.1.0", "192.168.0.1", "1.0.168.192"],
    "2026-11-12": ["on 2026-12-11", "on 11-12-2026", "on 2026-11-12", "on 12-11-2026"],
    "/etc/nginx/nginx.conf": ["nginx conf etc", "/etc/conf/nginx", "see /etc/nginx/nginx.conf"],
    "nginx.conf": ["conf of nginx", "nginx and its conf", "in /etc/nginx/nginx.conf it says"],
    "ada@example.com": ["example@ada.com", "com example ada", "write to ada@example.com"],
}


@pytest.mark.parametrize("query", SIGNED)
async def test_signs_and_their_order_count(query: str) -> None:
    texts = SIGNED[query]
    async with sojourn.open("memory://") as store:
        scope = store.memory.user("ada")
        for order in (texts, texts[::-1]):
            await scope.clear()
            await scope.put_many({f"k{n}": text for n, text in enumerate(order)})
            hits = await scope.search(query)
            best = max(hits, key=lambda hit: hit.score)
            assert hits[0] == best
            right = next(
                text
                for text in texts
                if query.rsplit(maxsplit=1)[-1].lstrip("v").casefold() in text.casefold()
            )
            assert hits[0].entry.value == right
            assert len(hits) < 2 or hits[0].score > hits[1].score
