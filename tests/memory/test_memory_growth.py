"""Memory entries as another version of Sojourn may have written them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

import sojourn
from planting import DAMAGED, ENCODED, NEWER, RAW, ROWS_OF_SERVERS, Planter, planters
from sojourn import Conflict, CorruptRecord, InvalidInput, NewerFormat
from sojourn.memory import Draft, MemoryScope
from sojourn.memory.keys import MemoryRoomKeys
from sojourn.memory.operations.read import GetEntries, ListMemoryApps
from sojourn.memory.operations.restore import RestoreEntries
from sojourn.memory.store import Item, MemoryRow
from sojourn.security import Principal


@pytest.fixture(scope="module", params=ROWS_OF_SERVERS)
def planter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planter]:
    yield from planters(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
async def store(planter: Planter) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(planter.url) as store:
        yield store


class Bench:
    """A scope with two entries, `k` and `other`."""

    def __init__(self, store: sojourn.Sojourn, planter: Planter) -> None:
        self.store = store
        self.planter = planter
        self.app = f"shop-{secrets.token_hex(4)}"
        self.ada = store.memory.user("ada", app=self.app)
        shared = MemoryRoomKeys().memory(self.app, "user", "ada")
        self.head = shared.head
        self.entry = f"{shared.head}:entry:k"

    def fields(self) -> dict[bytes, bytes]:
        return self.planter.client.hgetall(self.entry)


@pytest.fixture
async def bench(store: sojourn.Sojourn, planter: Planter) -> Bench:
    made = Bench(store, planter)
    await made.ada.put("k", {"drink": "tea"}, text="tea words", metadata={"by": "bot"})
    await made.ada.put("other", "coffee")
    return made


async def stored(bench: Bench) -> MemoryRow | None:
    (row,) = await bench.store.stores.memory.run(GetEntries(bench.ada.key, ["k"]))
    return row


async def restored(bench: Bench, value: bytes = b"1") -> list[str]:
    row = MemoryRow(Item("k", value, b"{}"), 7, 1.0, 2.0, None)
    operation = f"restore {secrets.token_hex(8)}"
    return await bench.store.stores.memory.run(
        RestoreEntries(bench.ada.key, [row], operation, replace=True)
    )


CHANGES: dict[str, Callable[[Bench], Awaitable[Any]]] = {
    "put": lambda b: b.ada.put("k", 1),
    "put_many": lambda b: b.ada.put_many({"k": 1, "new": 2}),
    "merge": lambda b: b.ada.merge("k", {"cup": "big"}),
    "add": lambda b: b.ada.add({"k": Draft(value=1)}, ttl=None),
    "add with replace": lambda b: b.ada.add({"k": Draft(value=1)}, replace=True),
    "add behind it": lambda b: b.ada.add({"n": Draft(value=1, unless="k")}, ttl=None),
    "restore": restored,
}


@pytest.mark.parametrize("change", CHANGES)
async def test_fields_that_are_not_known_are_passed_over_and_kept(
    bench: Bench, change: str
) -> None:
    bench.planter.plant(bench.entry)
    bench.planter.plant(bench.head)
    bench.planter.plant(bench.entry, {"format": "1.9"})
    assert await bench.ada.get("k") == {"drink": "tea"}
    (hit,) = await bench.ada.search("tea")
    assert hit.entry.key == "k"
    await CHANGES[change](bench)
    bench.planter.assert_kept(bench.entry)
    bench.planter.assert_kept(bench.head)
    bench.planter.assert_kept(bench.entry, {"format": "1.9"})
    page = await bench.ada.list()
    assert "k" in {each.key for each in page.entries}
    assert (page.corrupt, page.newer) == ([], [])
    assert {each.key for each in (await bench.ada.latest()).entries} >= {"k", "other"}
    bench.planter.assert_nothing_in_quarantine()


async def test_a_put_takes_only_our_fields_away(bench: Bench) -> None:
    bench.planter.plant(bench.entry, {"vector": b"abcd", "vector_encoding": "f16", "mood": "good"})
    await bench.ada.put("k", 1)
    assert bench.fields().keys() == {
        *(b"value", b"metadata", b"version", b"created", b"updated", b"expires", b"mood"),
    }


async def test_an_export_gets_what_is_not_known(bench: Bench) -> None:
    bench.planter.plant(bench.entry)
    row = await stored(bench)
    assert row is not None
    assert row.more == {"mood": b"good", "raw": RAW}


async def test_what_goes_goes_as_a_whole(bench: Bench) -> None:
    bench.planter.plant(bench.entry)
    assert await bench.ada.delete("k")
    assert bench.fields() == {}
    await bench.ada.put("k", 1)
    assert b"mood" not in bench.fields()
    bench.planter.plant(bench.entry)
    await bench.ada.clear()
    assert bench.fields() == {}


async def test_an_added_entry_is_as_it_is_whatever_else_it_has(bench: Bench) -> None:
    draft = Draft(value={"drink": "tea"}, text="tea words", metadata={"by": "bot"})
    bench.planter.plant(bench.entry)
    bench.planter.plant(bench.entry, {"vector": b"abcd", "vector_encoding": "f16"})
    before = bench.fields()
    await bench.ada.add({"k": draft}, replace=True)
    assert bench.fields() == before
    bench.planter.client.hdel(bench.entry, "text")
    await bench.ada.add({"k": draft}, replace=True)
    assert bench.fields()[b"text"] == b"tea words"
    assert bench.fields()[b"version"] > before[b"version"]


@pytest.mark.parametrize("field", ["metadata", "text", "created", "updated", "expires"])
async def test_what_may_be_missing_takes_its_default(bench: Bench, field: str) -> None:
    bench.planter.client.hdel(bench.entry, field)
    entry = await bench.ada.entry("k")
    assert entry is not None
    if field in ("created", "updated"):
        assert entry.created == entry.updated > 0
    else:
        assert getattr(entry, field) == {"metadata": {}, "text": None, "expires": None}[field]
    assert await bench.ada.merge("k", {"a": 1}) > entry.version
    await bench.ada.add({"k": Draft(value=2)}, replace=True)
    assert await bench.ada.get("k") == 2


@pytest.mark.parametrize("field", ["value", "version"])
async def test_what_must_be_there_is_missed(bench: Bench, field: str) -> None:
    bench.planter.client.hdel(bench.entry, field)
    with pytest.raises(CorruptRecord):
        await bench.ada.get("k")
    page = await bench.ada.list()
    assert (page.corrupt, page.newer) == (["k"], [])


# ── what is newer ──────────────────────────────────────────────────────────────────────────────

NEWER_ONES: dict[str, dict[bytes | str, bytes | str]] = {
    "format 2": {"format": "2"},
    "format 2.1 of another shape": {"format": "2.1", "value": "?", "created": "long ago"},
    "value with an encoding": {"value": ENCODED},
    "metadata with an encoding": {"metadata": ENCODED},
    "text with an encoding": {"text": ENCODED},
    "value of a newer format": {"value": NEWER},
}
REPLACING = ["put", "put_many", "merge", "add with replace"]


@pytest.mark.parametrize("planted", NEWER_ONES.values(), ids=NEWER_ONES.keys())
async def test_what_is_newer_is_marked_and_not_replaced(
    bench: Bench, planted: dict[bytes | str, bytes | str], caplog: pytest.LogCaptureFixture
) -> None:
    assert len(await bench.ada.search("tea coffee")) == 2  # the index knows the older one
    bench.planter.plant(bench.entry, planted)
    before = bench.fields()
    for read in (bench.ada.get("k"), bench.ada.entry("k"), bench.ada.get_many(["k", "other"])):
        with pytest.raises(NewerFormat):
            await read
    for page in (await bench.ada.list(), await bench.ada.latest()):
        assert [each.key for each in page.entries] == ["other"]
        assert (page.corrupt, page.newer) == ([], ["k"])
    for name in REPLACING:
        with pytest.raises(NewerFormat):
            await CHANGES[name](bench)
    assert await restored(bench) == ["k"]
    assert bench.fields() == before
    async with sojourn.open(bench.planter.url) as another:
        scope = another.memory.user("ada", app=bench.app)
        with caplog.at_level(logging.WARNING, "sojourn.memory"):
            hits = await scope.search("tea coffee")
        assert [hit.entry.key for hit in hits] == ["other"]
        assert "leave out 1 entries that this process cannot decode" in caplog.text
    assert await bench.ada.delete("k")
    assert bench.fields() == {}
    assert await bench.ada.put("k", "coffee") > 0
    assert {hit.entry.key for hit in await bench.ada.search("coffee")} == {"k", "other"}
    bench.planter.assert_nothing_in_quarantine()


async def test_what_is_newer_may_live_on(bench: Bench) -> None:
    bench.planter.plant(bench.entry, {"format": "2", "value": ENCODED})
    await bench.ada.add({"k": Draft(value=1)}, ttl=None)
    assert bench.planter.client.pttl(bench.entry) == -1
    bench.planter.assert_kept(bench.entry, {"format": "2", "value": ENCODED})
    await bench.ada.clear()
    assert bench.fields() == {}


DAMAGED_ONES: dict[str, dict[bytes | str, bytes | str]] = {
    "value": {"value": DAMAGED},
    "metadata": {"metadata": DAMAGED},
    "text": {"text": DAMAGED},
    "format": {"format": "second"},
    "format of no number": {"format": "0"},
}


@pytest.mark.parametrize("planted", DAMAGED_ONES.values(), ids=DAMAGED_ONES.keys())
async def test_what_was_damaged_is_corrupt_as_before(
    bench: Bench, planted: dict[bytes | str, bytes | str]
) -> None:
    bench.planter.plant(bench.entry, planted)
    with pytest.raises(CorruptRecord):
        await bench.ada.get("k")
    page = await bench.ada.list()
    assert (page.corrupt, page.newer) == (["k"], [])
    with pytest.raises(CorruptRecord):
        await bench.ada.put("k", 1)
    assert await bench.ada.delete("k")


@pytest.mark.parametrize("encoding", ["f16", "zstd:none"])
async def test_a_vector_with_an_encoding_is_left_out(bench: Bench, encoding: str) -> None:
    bench.store.memory.embed_with(lambda texts: [[1.0, 0.0]] * len(texts), 2)
    await bench.ada.put("k", "tea")
    bench.planter.plant(bench.entry, {"vector": RAW, "vector_encoding": encoding})
    assert await bench.ada.get("k") == "tea"
    assert [hit.entry.key for hit in await bench.ada.search("tea")] == ["k"]
    row = await stored(bench)
    assert row is not None
    assert row.item.vector == b""
    assert row.more == {"vector": RAW, "vector_encoding": encoding.encode()}
    await bench.ada.put("k", "tea")
    assert b"vector_encoding" not in bench.fields()
    assert len(bench.fields()[b"vector"]) == 8


async def test_a_scope_of_a_newer_format(bench: Bench) -> None:
    bench.planter.plant(bench.head, {"format": "2"})
    for name in ("put", "put_many", "merge", "add", "restore"):
        with pytest.raises(NewerFormat):
            await CHANGES[name](bench)
    with pytest.raises(NewerFormat):
        await bench.ada.search("tea")
    assert await bench.ada.get("k") == {"drink": "tea"}
    assert len((await bench.ada.list()).entries) == 2
    assert await bench.ada.delete("k")
    await bench.ada.clear()
    assert (await bench.ada.list()).entries == []


@pytest.mark.parametrize(
    "head", [None, {"format": "2", "seq": ENCODED}, {"format": "2", "seq": ""}]
)
async def test_a_scope_whose_changes_cannot_be_numbered_is_cleared(
    bench: Bench, head: dict[bytes | str, bytes | str] | None
) -> None:
    if head is None:
        bench.planter.client.delete(bench.head)
    else:
        bench.planter.plant(bench.head, head)
    await bench.ada.clear()
    assert (await bench.ada.list()).entries == []
    assert bench.fields() == {}


async def test_a_kind_that_is_not_known_is_passed_over(bench: Bench) -> None:
    client, app = bench.planter.client, bench.app
    fact = MemoryRoomKeys().memory(app, "facts", "ada")
    client.hset(fact.head, mapping={"id": "x", "seq": 1})
    client.hset(f"{fact.head}:entry:k", mapping={"value": "1", "version": 1})
    index, expiry = MemoryRoomKeys().memories_of(app, "facts", "ada")
    client.zadd(index, {"ada": 0})
    client.zadd(expiry, {"ada": "inf"})
    assert (await bench.store.admin.memory.scopes("user", app=app)).names == ["ada"]
    assert app in await bench.store.stores.memory.run(ListMemoryApps())
    assert await bench.store.admin.memory.forget("ada", app=app) == 2
    assert client.hget(f"{fact.head}:entry:k", "value") == b"1"
    await bench.store.admin.forget("ada", app=app)


# ── tenants ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["memory", *ROWS_OF_SERVERS])
async def anywhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[sojourn.Sojourn]:
    if request.param == "memory":
        async with sojourn.open("memory://") as store:
            yield store
        return
    for planter in planters(request.param, tmp_path_factory.mktemp(request.param)):
        async with sojourn.open(planter.url) as store:
            yield store


def keys(found: Any) -> list[str]:
    return sorted(each.key for each in found.entries)


async def test_a_tenant_has_its_own_entries(anywhere: sojourn.Sojourn) -> None:
    memory = anywhere.memory

    def scope(tenant: str | None) -> MemoryScope:
        return memory.user("ada", app="shop", tenant=tenant)

    acme, beta, none, every = (scope(each) for each in ("acme", "beta", "", None))
    await acme.put("a", "tea of acme")
    await beta.put_many({"b": "tea of beta"})
    await beta.add({"c": Draft(value={"tea": "too"}, text="tea")})
    await none.put("n", "tea of nobody")
    assert keys(await acme.list()) == keys(await acme.latest()) == ["a"]
    assert keys(await beta.list()) == keys(await beta.latest()) == ["b", "c"]
    assert keys(await none.list()) == keys(await none.latest()) == ["n"]
    assert keys(await every.list()) == keys(await every.latest()) == ["a", "b", "c", "n"]
    memory.embed_with(lambda texts: [[1.0, 0.0]] * len(texts), 2)
    await every.put("b", "tea of beta")  # it keeps its tenant, and gets a vector
    for of, found in ((acme, {"a"}), (beta, {"b", "c"}), (none, {"n"})):
        assert {hit.entry.key for hit in await of.search("tea")} == found
    assert {hit.entry.key for hit in await every.search("tea")} == {"a", "b", "c", "n"}
    entry = await every.entry("b")
    assert entry is not None
    assert entry.tenant == "beta"
    for other in (acme, none):
        assert await other.get("b") is None
        assert await other.get_many(["b", "c"]) == {}
        assert not await other.delete("b")
        for write in (
            other.put("b", 1),
            other.put_many({"new": 1, "b": 1}),
            other.merge("c", {"x": 1}),
            other.add({"b": Draft(value=1)}),
            other.add({"new": Draft(value=1, unless="b")}),
        ):
            with pytest.raises(Conflict):
                await write
        await other.clear()
    assert keys(await every.list()) == ["b", "c"]
    assert await beta.merge("c", {"x": 1})
    assert await beta.get("c") == {"tea": "too", "x": 1}
    assert await beta.delete("b")
    with pytest.raises(InvalidInput):
        scope("x" * 257)


async def test_a_user_s_handle_sees_the_entries_of_no_tenant(anywhere: sojourn.Sojourn) -> None:
    await anywhere.memory.user("ada", app="shop", tenant="acme").put("secret", "tea")
    await anywhere.memory.user("ada", app="shop").put("open", "tea")
    ada = anywhere.guard().user(Principal.of("shop", "ada"))
    assert keys(await ada.memory.list()) == ["open"]
    assert [hit.entry.key for hit in await ada.memory.search("tea")] == ["open"]
    assert await ada.memory.get("secret") is None
    with pytest.raises(Conflict):
        await ada.memory.put("secret", 1)
    assert not await ada.memory.delete("secret")
