"""Data keys on every topology: made once, wrapped, cached for a while, destroyed for good."""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

import sojourn
from sojourn.calls.call import Call
from sojourn.client import Sojourn
from sojourn.codecs.codec import DataKeys
from sojourn.errors import (
    Conflict,
    CorruptRecord,
    Erased,
    InvalidInput,
    KeyMissing,
    NewerFormat,
    Tampered,
)
from sojourn.ids import escape
from sojourn.keys import KeyRing
from sojourn.keys import service as services
from sojourn.keys.keys import DataKeyRoomKeys
from sojourn.keys.model import KeyOwner
from sojourn.keys.operations.writes import (
    AddDataKey,
    DestroyDataKeys,
    RestoreDataKey,
    RewrapDataKeys,
    SweepDataKeys,
)

RING = KeyRing.new().add()
USERS = ("ada", None, "", "a:b", "{*}% é")


@pytest.fixture
def app() -> str:
    """An app of the test's own."""
    return f"shop:{secrets.token_hex(6)}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Sojourn]:
    async with sojourn.open(url, keys=RING) as store:
        yield store


@pytest.fixture
def again(url: str, store: Sojourn) -> Callable[..., Sojourn]:
    """Opens the same store as another process does; in memory they share what is stored."""

    def opened(ring: KeyRing = RING) -> Sojourn:
        other = sojourn.open(url, keys=ring)
        if url == "memory://":
            for each in (other.room("keys"), other.admin.keys):
                each._store = store._rooms["keys"].store
        return other

    return opened


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass for caches of keys; else each look at the clock takes a microsecond."""
    now = 1000.0

    def let_pass(seconds: float) -> float:
        nonlocal now
        now += seconds
        return now

    monkeypatch.setattr(services, "monotonic", lambda: let_pass(1e-6))
    return let_pass


async def keys_of(
    store: Sojourn, app: str, user: str | None, *wanted: str, create: bool = False
) -> DataKeys:
    found: DataKeys = await store.room("keys").keys_of(app, user, wanted, create=create)
    return found


async def made(store: Sojourn, app: str, user: str | None) -> str:
    active = (await keys_of(store, app, user, create=True)).active
    assert active is not None
    return active.id


async def fields(store: Sojourn, app: str, user: str | None) -> dict[bytes, bytes]:
    owner = KeyOwner(app, user)
    if store._engine is None:
        return dict(store._rooms["keys"].store.records.get(owner, {}))
    name, _ = DataKeyRoomKeys().data_keys(owner)
    call: Call[Any] = Call("test.read", (name,), list, commands=[("HGETALL", name)])
    (flat,) = await store._engine.run(call)
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def write(store: Sojourn, app: str, user: str | None, field: str, value: bytes) -> None:
    owner = KeyOwner(app, user)
    if store._engine is None:
        store._rooms["keys"].store.records.setdefault(owner, {})[field.encode()] = value
        return
    name, _ = DataKeyRoomKeys().data_keys(owner)
    command = ("HSET", name, field, value)
    await store._engine.run(Call("test.write", (name,), list, commands=[command]))


async def lose(store: Sojourn, app: str, user: str | None) -> None:
    owner = KeyOwner(app, user)
    if store._engine is None:
        del store._rooms["keys"].store.records[owner]
        return
    name, _ = DataKeyRoomKeys().data_keys(owner)
    await store._engine.run(Call("test.lose", (name,), list, commands=[("DEL", name)]))


async def test_each_user_has_a_key_of_its_own(
    store: Sojourn, app: str, again: Callable[..., Sojourn]
) -> None:
    ids = [await made(store, app, user) for user in USERS]
    assert len({*ids}) == len(USERS)
    async with again() as other:
        assert [await made(other, app, user) for user in USERS] == ids
        for user, name in zip(USERS, ids, strict=True):
            ours, theirs = [await keys_of(each, app, user, name) for each in (store, other)]
            sealed = ours.by_id[name].seal(b"said", b"here")
            assert theirs.by_id[name].unseal(sealed, b"here") == b"said"


async def test_a_read_makes_no_key(store: Sojourn, app: str) -> None:
    assert await keys_of(store, app, "ada") == DataKeys(None, {})
    assert await fields(store, app, "ada") == {}


async def test_who_race_for_the_first_key_use_one(
    store: Sojourn, app: str, again: Callable[..., Sojourn]
) -> None:
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(again()) for _ in range(10)]
        ids = await asyncio.gather(*(made(each, app, "ada") for each in stores for _ in range(3)))
    assert len({*ids}) == 1
    assert len(await store.admin.keys.of(app, "ada")) == 1


async def test_what_is_stored_is_wrapped_and_has_no_ttl(store: Sojourn, app: str) -> None:
    name = await made(store, app, "ada")
    found = await fields(store, app, "ada")
    assert {*found} == {b"format", b"active", b"key:" + name.encode()}
    master, data, since = found[b"key:" + name.encode()].split(b" ")
    assert (found[b"format"], found[b"active"]) == (b"1", name.encode())
    assert master.decode() == RING.active
    assert len(b64decode(data)) == 12 + 32 + 16
    assert since.isdigit()
    if store._engine is not None:
        key, _ = DataKeyRoomKeys().data_keys(KeyOwner(app, "ada"))
        call: Call[Any] = Call("test.ttl", (key,), list, commands=[("PTTL", key)])
        assert await store._engine.run(call) == [-1]


async def test_a_cached_key_is_used_for_a_while_only(
    store: Sojourn, app: str, again: Callable[..., Sojourn], later: Callable[[float], None]
) -> None:
    name = await made(store, app, "ada")
    async with again() as other:
        assert await other.admin.keys.destroy(app, "ada") == 1
        later(40)
        assert await made(store, app, "ada") == name
        assert name in (await keys_of(store, app, "ada", name)).by_id
        later(20)
        with pytest.raises(Erased):
            await made(store, app, "ada")
        found = await keys_of(store, app, "ada", name)
        assert found.by_id == {}
        assert isinstance(found.errors[name], Erased)


async def test_who_destroys_a_key_uses_it_no_more(store: Sojourn, app: str) -> None:
    name = await made(store, app, "ada")
    assert await store.admin.keys.destroy(app, "ada") == 1
    assert await store.admin.keys.destroy(app, "ada") == 0
    with pytest.raises(Erased):
        await made(store, app, "ada")
    with pytest.raises(Erased):
        await store.admin.keys.of(app, "ada")
    with pytest.raises(Erased):
        await store.admin.keys.new_data_key(app, "ada")
    assert await made(store, app, "bob") != name
    assert await store.admin.keys.readmit(app, "ada")
    assert not await store.admin.keys.readmit(app, "ada")
    assert await made(store, app, "ada") != name
    assert isinstance((await keys_of(store, app, "ada", name)).errors[name], Erased)


async def test_nothing_names_a_user_whose_key_was_destroyed(store: Sojourn, app: str) -> None:
    user = f"ada:{app}"
    await made(store, app, user)
    assert await store.admin.apps_of(user) == [app]
    await store.admin.keys.destroy(app, user)
    assert await store.admin.apps_of(user) == []
    if store._engine is not None:
        keys, marks = DataKeyRoomKeys().data_keys(KeyOwner(app, user))
        command = ("HGETALL", marks)
        call: Call[Any] = Call("t", (keys, marks), list, commands=[command, ("PTTL", marks)])
        found, ttl = await store._engine.run(call)
        assert escape(user).encode() not in b" ".join(found)
        assert 29.9 * 86_400_000 < ttl <= 30 * 86_400_000


async def test_who_was_never_there_leaves_no_mark(store: Sojourn, app: str) -> None:
    assert await store.admin.keys.destroy(app, "ada") == 0
    await made(store, app, "ada")


async def test_a_key_that_the_store_does_not_have_was_destroyed(store: Sojourn, app: str) -> None:
    await made(store, app, "ada")
    found = await keys_of(store, app, "ada", "0123456789abcdef")
    assert isinstance(found.errors["0123456789abcdef"], Erased)
    assert found.active is not None


@pytest.mark.parametrize("another", [False, True])
async def test_a_key_that_its_store_has_lost_is_stored_again(
    store: Sojourn,
    app: str,
    again: Callable[..., Sojourn],
    later: Callable[[float], None],
    another: bool,
) -> None:
    name = await made(store, app, "ada")
    before = await fields(store, app, "ada")
    await lose(store, app, "ada")
    async with again() as other:
        second = await made(other, app, "ada") if another else name
        later(60)
        assert await made(store, app, "ada") == second
        assert {*(await keys_of(other, app, "ada", name, second)).by_id} == {name, second}
        found = await fields(store, app, "ada")
        assert found[b"key:" + name.encode()] == before[b"key:" + name.encode()]
        assert another or found == before


async def test_a_key_that_was_destroyed_or_is_long_out_of_use_is_not_stored_again(
    store: Sojourn, app: str, again: Callable[..., Sojourn], later: Callable[[float], None]
) -> None:
    old, back, _ = [await made(store, app, user) for user in ("old", "back", "ada")]
    async with again() as other:
        await other.admin.keys.destroy(app, "ada")
        await other.admin.keys.destroy(app, "back")
        await other.admin.keys.readmit(app, "back")
    later(60)
    with pytest.raises(Erased):
        await made(store, app, "ada")
    assert await made(store, app, "back") != back
    assert {*(await keys_of(store, app, "back")).by_id} & {back} == set()
    await lose(store, app, "old")
    later(60)
    assert await made(store, app, "old") != old


async def test_a_key_that_another_has_made_since_is_found(
    store: Sojourn, app: str, again: Callable[..., Sojourn]
) -> None:
    first = await made(store, app, "ada")
    async with again() as other:
        second = await other.admin.keys.new_data_key(app, "ada")
        assert await made(other, app, "ada") == second
    assert await made(store, app, "ada") == first
    assert {*(await keys_of(store, app, "ada", second)).by_id} == {first, second}
    assert await made(store, app, "ada") == second


async def test_a_ring_without_the_master_key_names_it_and_writes_nothing(
    store: Sojourn, app: str, again: Callable[..., Sojourn]
) -> None:
    name = await made(store, app, "ada")
    before = await fields(store, app, "ada")
    async with again(KeyRing.new()) as other:
        with pytest.raises(KeyMissing, match=RING.active) as error:
            await made(other, app, "ada")
        assert error.value.key_id == RING.active
        found = await keys_of(other, app, "ada", name)
        assert isinstance(found.errors[name], KeyMissing)
    assert await fields(store, app, "ada") == before


async def test_another_users_key_does_not_open(store: Sojourn, app: str) -> None:
    await made(store, app, "ada")
    for field, value in (await fields(store, app, "ada")).items():
        await write(store, app, "eve", field.decode(), value)
    with pytest.raises(Tampered):
        await made(store, app, "eve")


@pytest.mark.parametrize(
    ("field", "value"),
    [("active", b"0123456789abcdef"), ("key:0123456789abcdef", b"none"), ("key:x", b"a b 1")],
)
async def test_keys_that_cannot_be_read_are_loud(
    store: Sojourn, app: str, field: str, value: bytes, again: Callable[..., Sojourn]
) -> None:
    await made(store, app, "ada")
    await write(store, app, "ada", field, value)
    before = await fields(store, app, "ada")
    async with again() as other:
        with pytest.raises(CorruptRecord):
            await made(other, app, "ada")
        assert (await other.admin.keys.rotate()).failed >= 1
    assert await fields(store, app, "ada") == before


async def test_what_a_newer_version_has_written_stays(
    store: Sojourn, app: str, again: Callable[..., Sojourn]
) -> None:
    await write(store, app, "ada", "more", b"text")
    name = await made(store, app, "ada")
    field = f"key:{name}"
    stored = (await fields(store, app, "ada"))[field.encode()]
    await write(store, app, "ada", field, stored + b" and more")
    await write(store, app, "ada", "format", b"1.7")
    second = await store.admin.keys.new_data_key(app, "ada")
    (other_id,) = set(RING.ids) - {RING.active}
    async with again(RING.activate(other_id)) as other:
        assert (await other.admin.keys.rotate()).rewrapped >= 2
        assert {*(await keys_of(other, app, "ada", name)).by_id} == {name, second}
    found = await fields(store, app, "ada")
    assert (found[b"more"], found[b"format"]) == (b"text", b"1.7")
    assert found[field.encode()].endswith(b" and more")
    await write(store, app, "ada", "format", b"2")
    before = await fields(store, app, "ada")
    async with again() as other:
        for create in (True, False):
            with pytest.raises(NewerFormat):
                await keys_of(other, app, "ada", name, create=create)
    await write(store, app, "bob", "format", b"2")
    with pytest.raises(NewerFormat):
        await made(store, app, "bob")
    assert await fields(store, app, "bob") == {b"format": b"2"}
    assert await fields(store, app, "ada") == before


async def test_a_leaked_key_is_replaced_and_dropped_when_no_process_uses_it(
    url: str, store: Sojourn, app: str
) -> None:
    first = await made(store, app, "ada")
    second = await store.admin.keys.new_data_key(app, "ada")
    found = await store.admin.keys.of(app, "ada")
    assert [(each.id, each.active) for each in found] == [(first, False), (second, True)]
    assert found[0].made <= found[1].made
    with pytest.raises(Conflict, match="active"):
        await store.admin.keys.drop_data_key(app, "ada", second)
    with pytest.raises(Conflict, match="Wait"):
        await store.admin.keys.drop_data_key(app, "ada", first)
    store.admin.keys._settled = -1
    assert await store.admin.keys.drop_data_key(app, "ada", first)
    assert not await store.admin.keys.drop_data_key(app, "ada", first)
    found_keys = await keys_of(store, app, "ada", first)
    assert isinstance(found_keys.errors[first], Erased)
    assert {*found_keys.by_id} == {second}


async def test_a_rotation_touches_wrapped_keys_alone(
    store: Sojourn, app: str, again: Callable[..., Sojourn]
) -> None:
    ids = {user: await made(store, app, user) for user in USERS}
    await store.admin.keys.new_data_key(app, "ada")
    before = {user: await fields(store, app, user) for user in USERS}
    (other_id,) = set(RING.ids) - {RING.active}
    told: list[tuple[int, int]] = []
    async with again(RING.activate(other_id)) as other:
        done = await other.admin.keys.rotate(progress=lambda *each: told.append(each))
        assert done.rewrapped >= len(USERS) + 1
        assert told[-1] == (done.owners, done.owners)
        repeated = await other.admin.keys.rotate()
        assert (repeated.rewrapped, repeated.already) == (0, done.rewrapped + done.already)
        usage = await other.admin.keys.usage()
        assert usage.active == other_id
        assert usage.wraps[other_id] >= len(USERS) + 1
    for user, old in before.items():
        new = await fields(store, app, user)
        for field, value in new.items():
            if field.startswith(b"key:"):
                assert value.split()[0].decode() == other_id
                assert value.split()[2] == old[field].split()[2]
            else:
                assert value == old[field]
    async with again(RING.activate(other_id).remove(RING.active)) as last:
        for user, name in ids.items():
            assert name in (await keys_of(last, app, user, name)).by_id


async def test_what_cannot_be_unwrapped_is_left_and_counted(
    store: Sojourn, app: str, again: Callable[..., Sojourn]
) -> None:
    await made(store, app, "ada")
    before = await fields(store, app, "ada")
    ring = KeyRing.new()
    async with again(ring) as other:
        done = await other.admin.keys.rotate()
        assert done.failed >= 1
        assert RING.active in done.masters
        usage = await other.admin.keys.usage()
        assert RING.active in usage.missing
    assert await fields(store, app, "ada") == before


async def test_an_erasure_destroys_the_key(store: Sojourn, app: str) -> None:
    user = f"ada:{app}"
    name = await made(store, app, user)
    nobodys = await made(store, app, None)
    receipt = await store.admin.forget(user)
    assert receipt.erased["data_keys"] == 1
    assert isinstance((await keys_of(store, app, user, name)).errors[name], Erased)
    with pytest.raises(Erased):
        await made(store, app, user)
    assert await made(store, app, None) == nobodys
    assert await store.admin.apps_of(user) == []


async def test_who_uses_a_key_meanwhile_keeps_it_from_a_sweep(
    store: Sojourn, app: str, again: Callable[..., Sojourn]
) -> None:
    name, day = await made(store, app, "ada"), 86_400.0
    owner, run = KeyOwner(app, "ada"), store._rooms["keys"].store.run
    assert await run(SweepDataKeys(owner, -1, day)) == "young"
    assert await run(SweepDataKeys(owner, day, -1)) == "idle"
    async with again() as other:
        await keys_of(other, app, "ada", name)
    assert b"idle" not in await fields(store, app, "ada")
    assert await run(SweepDataKeys(owner, day, -1)) == "idle"
    await store.admin.keys.new_data_key(app, "ada")
    assert await run(SweepDataKeys(owner, day, -1)) == "idle", "noted anew"
    await write(store, app, "ada", "idle", b"1")
    assert await run(SweepDataKeys(owner, 10**10, -1)) == "idle"
    assert (await fields(store, app, "ada"))[b"idle"] == b"1", "since when, and not until when"
    await store.admin.keys.of(app, "ada")
    await store.admin.keys.usage()
    assert b"idle" in await fields(store, app, "ada"), "who looks does not use it"
    assert await run(SweepDataKeys(owner, -1, -1)) == "removed"
    assert await run(SweepDataKeys(owner, -1, -1)) == "young", "there is none"


async def test_keys_that_are_too_old_do_not_stay_in_memory(
    store: Sojourn, app: str, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = store.room("keys")._cached
    await made(store, app, "ada")
    later(120)
    await made(store, app, "bob")
    assert [each.user for each in cached] == ["bob"]
    monkeypatch.setattr(services, "_OWNERS", 3)
    for user in "abcd":
        await made(store, app, user)
    assert [each.user for each in cached] == ["b", "c", "d"]


async def test_a_key_is_not_made_for_who_was_forgotten_a_moment_ago(
    store: Sojourn, app: str
) -> None:
    await made(store, app, "ada")
    owner, run = KeyOwner(app, "ada"), store._rooms["keys"].store.run
    await run(DestroyDataKeys(owner))
    for operation in (AddDataKey, RestoreDataKey):
        found = await run(operation(owner, "0" * 16, b"a" * 16 + b" bm9uZQ== 1"))
        assert found.erased
        assert await fields(store, app, "ada") == {}


async def test_a_key_that_changed_meanwhile_is_not_rewrapped(store: Sojourn, app: str) -> None:
    name = await made(store, app, "ada")
    owner, run = KeyOwner(app, "ada"), store._rooms["keys"].store.run
    field = b"key:" + name.encode()
    old = (await fields(store, app, "ada"))[field]
    new, other = (old.replace(b" ", b" " + start, 1) for start in (b"bmV3", b"b3Ro"))
    assert await run(RewrapDataKeys(owner, [(name, other, new), ("0" * 16, other, new)])) == 0
    assert (await fields(store, app, "ada"))[field] == old
    for _ in range(2):
        assert await run(RewrapDataKeys(owner, [(name, old, new)])) == 1
        assert (await fields(store, app, "ada"))[field] == new


async def test_keys_are_cached_for_a_day_at_most(url: str) -> None:
    with pytest.raises(InvalidInput, match="86,400"):
        sojourn.open(url, keys=RING, key_cache_seconds=86_401)


async def test_without_keys_nothing_is_made(url: str) -> None:
    async with sojourn.open(url) as store:
        assert store.room("keys") is None
        with pytest.raises(sojourn.ConfigurationError, match="keys="):
            await store.admin.keys.usage()
