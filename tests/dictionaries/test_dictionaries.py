"""Dictionaries of apps: used soon, never waited for, sealed, and missed by name."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from dictionaries_kit import OURS, fill, loaded, source_of, texts, written_with

import sojourn
from sojourn.client import Sojourn
from sojourn.codecs.compression import SHIPPED, Dictionary, shipped
from sojourn.dictionaries import service
from sojourn.dictionaries.operations.fields import (
    ReadDictionaryFields,
    RemoveDictionaryFields,
    SetDictionaryFields,
)
from sojourn.dictionaries.service import CACHE_SECONDS
from sojourn.errors import (
    Conflict,
    CorruptRecord,
    DictionaryMissing,
    InvalidInput,
    KeyMissing,
    TooLarge,
    Unavailable,
)
from sojourn.keys import KeyRing
from sojourn.transfer.training import train

RING = KeyRing.new()


@pytest.fixture
def app() -> str:
    """An app of the test's own."""
    return f"shop:{secrets.token_hex(6)}"


@pytest.fixture
def opened(url: str) -> Callable[..., Sojourn]:
    """Opens the store again, as another process does."""
    if url == "memory://":
        pytest.skip("its records are in one process")
    return partial(sojourn.open, url)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Sojourn]:
    async with sojourn.open(url, compression="zstd") as store:
        yield store


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the time pass for which dictionaries are cached."""
    passed, clock = 0.0, service.monotonic

    def let_pass() -> None:
        nonlocal passed
        passed += CACHE_SECONDS

    monkeypatch.setattr(service, "monotonic", lambda: clock() + passed)
    return let_pass


async def test_values_get_a_dictionary_soon_after_it_was_stored(
    store: Sojourn, opened: Callable[..., Sojourn], app: str, later: Callable[[], None]
) -> None:
    admin = store.admin.dictionaries
    assert await loaded(store, app) == SHIPPED
    before = await fill(store, app)
    added = await admin.add(app, OURS, users=["ada"], seen_by=1)
    assert (added.id, added.active, added.users, added.sealed) == (OURS.id, True, 1, False)
    assert await admin.ls(app) == [(await admin.ls(app))[0], added]
    assert await loaded(store, app) == OURS.id
    after = await fill(store, app)
    async with opened() as reader, opened(compression="zstd") as other:
        assert len(await texts(reader, before)) == len(await texts(reader, after)) == 5
        assert written_with(other, app) == SHIPPED  # nothing waits for the dictionary
        assert await loaded(other, app) == OURS.id
        await admin.activate(app, SHIPPED)
        assert written_with(other, app) == OURS.id
        later()
        assert written_with(other, app) == SHIPPED  # it may be about to go
        assert await loaded(other, app) == SHIPPED
        assert len(await texts(other, after)) == 5
    assert (await admin.get(app, OURS.id)).content == OURS.content


async def test_an_app_does_not_get_the_dictionary_of_another(store: Sojourn, app: str) -> None:
    await store.admin.dictionaries.add(app, OURS)
    assert await loaded(store, f"{app}2") == SHIPPED
    assert [each.id for each in await store.admin.dictionaries.ls(f"{app}2")] == [SHIPPED]


async def test_a_store_with_keys_seals_it(opened: Callable[..., Sojourn], app: str) -> None:
    async with opened(compression="zstd", keys=RING) as store:
        assert (await store.admin.dictionaries.add(app, OURS)).sealed
        assert await loaded(store, app) == OURS.id
        key = await fill(store, app)
        assert len(await texts(store, key)) == 5
        async with opened(compression="zstd") as other:
            assert (await other.admin.dictionaries.ls(app))[1].sealed
            with pytest.raises(KeyMissing):
                await other.admin.dictionaries.get(app, OURS.id)
            assert await loaded(other, app) == SHIPPED


async def test_a_missing_dictionary_is_named_and_nothing_is_quarantined(
    store: Sojourn, opened: Callable[..., Sojourn], app: str
) -> None:
    plain = await fill(store, app)
    await store.admin.dictionaries.add(app, OURS)
    await loaded(store, app)
    key = await fill(store, app)
    fields = await _fields(store, app)
    await _replace(store, app, {})
    async with opened() as reader:
        with pytest.raises(DictionaryMissing) as raised:
            await reader.sessions.get(key)
        assert raised.value.dictionary == OURS.id
        assert len(await texts(reader, plain)) == 5
        assert not (await reader.admin.quarantined(app, "ada"))
        await _replace(store, app, fields)
        assert len(await texts(reader, key)) == 5


async def test_a_damaged_one_is_told_and_not_used(
    store: Sojourn, opened: Callable[..., Sojourn], app: str
) -> None:
    await store.admin.dictionaries.add(app, OURS)
    await loaded(store, app)
    key = await fill(store, app)
    fields = await _fields(store, app)
    content = fields[f"content:{OURS.id}"]
    for wrong in (b"", b"junk", content[:-1], content[:-1] + b"\x00"):
        await _replace(store, app, fields | {f"content:{OURS.id}": wrong})
        async with opened(compression="zstd") as reader:
            with pytest.raises(CorruptRecord, match=OURS.id):
                await reader.sessions.get(key)
            assert await loaded(reader, app) == SHIPPED
            await fill(reader, app)


async def test_a_write_does_not_wait_for_it(
    store: Sojourn, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in an outage nor ever: the shipped one does."""
    source = source_of(store)

    async def down(*_: object) -> None:
        raise Unavailable("The server is away.")

    monkeypatch.setattr(source._store, "run", down)
    assert written_with(store, app) == SHIPPED
    assert await loaded(store, app) == SHIPPED
    with pytest.raises(Unavailable):
        await source.for_reading(app, [OURS.id], writes=False)


async def test_an_outage_is_not_asked_again_by_each_write(
    store: Sojourn, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, asked = source_of(store), 0

    async def down(*_: object) -> None:
        nonlocal asked
        asked += 1
        raise Unavailable("The server is away.")

    monkeypatch.setattr(source._store, "run", down)
    monkeypatch.setattr(service, "monotonic", lambda: 1_000.0)
    for _ in range(9):
        assert await loaded(store, app) == SHIPPED
    assert asked == 1
    monkeypatch.setattr(service, "monotonic", lambda: 1_001.0)
    await loaded(store, app)
    assert asked == 2


async def test_what_is_loading_ends_with_the_store(url: str, app: str) -> None:
    store = sojourn.open(url, compression="zstd")
    source = source_of(store)
    source.for_writing(app)
    (task,) = source._loading
    await store.close()
    assert task.done()


async def test_what_cannot_be_stored_is_refused(store: Sojourn, app: str) -> None:
    admin = store.admin.dictionaries
    with pytest.raises(DictionaryMissing):
        await admin.activate(app, OURS.id)
    with pytest.raises(InvalidInput, match="package"):
        await admin.add(app, shipped()[SHIPPED])
    with pytest.raises(TooLarge):
        await admin.add(app, Dictionary(OURS.content + bytes(1024 * 1024)))
    await admin.add(app, OURS)
    with pytest.raises(Conflict, match="compresses"):
        await admin.remove(app, OURS.id)
    await admin.activate(app, SHIPPED)
    with pytest.raises(Conflict, match="s more"):
        await admin.remove(app, OURS.id)


async def test_it_tells_on_whom_it_was_trained_and_names_nobody(store: Sojourn, app: str) -> None:
    admin = store.admin.dictionaries
    await admin.add(app, OURS, users=["ludwig", "bob"], seen_by=1)
    assert await admin.trained_on(app, "ludwig") == [OURS.id]
    assert await admin.trained_on(app, "eve") == []
    assert not [value for value in (await _fields(store, app)).values() if b"ludwig" in value]


async def test_training_reads_what_an_app_has_stored(store: Sojourn, app: str) -> None:
    for n in range(25):
        await fill(store, app, f"u{n}")
    told: list[tuple[int, int]] = []
    found = await train(store, app, progress=lambda done, total: told.append((done, total)))
    assert (len(found.users), found.samples, found.seen_by) == (25, 25 * 6, 1)
    assert told
    assert b"harbour report: " in found.dictionary.content
    with pytest.raises(InvalidInput, match="100 samples"):
        await train(store, f"{app}2")


async def test_with_keys_it_is_trained_on_what_users_share(url: str, app: str) -> None:
    async with sojourn.open(url, compression="zstd", keys=RING) as store:
        for n in range(19):
            await fill(store, app, f"u{n}")
        with pytest.raises(InvalidInput, match="19 users"):
            await train(store, app)
        await fill(store, app, "u19")
        found = await train(store, app)
        assert found.seen_by == 20
        assert b" harbour report: " in found.dictionary.content
        assert (await store.admin.dictionaries.add(app, found.dictionary)).sealed


async def _fields(store: Sojourn, app: str) -> dict[str, bytes]:
    return await store._rooms["dictionaries"].store.run(ReadDictionaryFields(app))


async def _replace(store: Sojourn, app: str, fields: dict[str, bytes]) -> None:
    inner = store._rooms["dictionaries"].store
    if there := list(await _fields(store, app)):
        await inner.run(RemoveDictionaryFields(app, there))
    if fields:
        await inner.run(SetDictionaryFields(app, fields))


async def test_a_receipt_names_the_dictionaries_that_have_a_users_values(
    store: Sojourn, app: str
) -> None:
    for user in ("ada", "eve"):
        await fill(store, app, user)
    admin = store.admin.dictionaries
    await admin.add(app, OURS, users=["ada", "bob"])
    assert (await store.admin.forget("ada", app=app)).dictionaries == (OURS.id,)
    assert (await store.admin.forget("eve", app=app)).dictionaries == ()
    fields = await _fields(store, app)
    await _replace(store, app, fields | {f"about:{OURS.id}": b"junk"})
    assert (await store.admin.forget("eve", app=app)).dictionaries == (OURS.id,)
    with pytest.raises(CorruptRecord, match=OURS.id):
        await admin.ls(app)
