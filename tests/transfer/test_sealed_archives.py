"""Sealed archives: nobody reads them without the key, and none that was changed is imported."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from transfer_kit import fill, picture

import sojourn
from extent import examples
from servers import Server
from sojourn import InvalidArchive, InvalidInput, KeyMissing, NewerFormat, SessionKey, transfer
from sojourn.keys.ring import KeyRing
from sojourn.transfer import locking
from sojourn.transfer.sealing import sealed, unseal

KEY = SessionKey.of("shop", "ada", "s")
WORDS = (b"marzipan", b"tangerine", b"cardamom", b"saffron", b'"shop"', b'"ada"')
SECRET = "correct horse"


@pytest.fixture(autouse=True)
def cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "_COST", 2**10)


async def fill_a_little(store: sojourn.Sojourn) -> None:
    made = await store.sessions.create(*KEY, title="saffron", state={"k": "cardamom"})
    event = sojourn.Event(author="user", payload={"text": "marzipan"})
    await store.sessions.append(made.key, event)
    await store.artifacts.save(KEY, "f.txt", b"tangerine" * 1000)
    await store.memory.user("ada", app="shop").put("one", {"v": "marzipan"}, text="saffron")
    await store.cache.put("c", "cardamom", ttl=100)


async def test_a_store_with_keys_into_one_with_others(server: Server, tmp_path: Path) -> None:
    """All is opened for the archive, which is sealed, and sealed again for the other store."""
    ring, path = KeyRing.new(), tmp_path / "archive"
    async with sojourn.open(server.url, keys=ring, serializer="msgpack") as store:
        await fill(store)
        before = await picture(store)
        done = await transfer.export(store, path, cache=True)
        assert done.sealed == f"master key {ring.active}"
        assert (done.counts.unreadable, done.counts.newer) == (0, 0)
        assert (await transfer.import_(store, path)).conflicts == 0
    assert path.stat().st_mode & 0o777 == 0o600
    for word in (b"hello", b"shop", b"blue", b'"kind":"session"'):
        assert word not in path.read_bytes()
    async with sojourn.open("memory://", keys=KeyRing.new()) as other:
        with pytest.raises(KeyMissing) as caught:
            await transfer.import_(other, path)
        assert caught.value.key_id == ring.active
        assert (await other.admin.apps()).names == []
        assert (await transfer.import_(other, path, keys=ring)).counts == done.counts
        assert await picture(other) == before
        again = await transfer.import_(other, path, keys=ring)
        assert again.conflicts == 0
    async with sojourn.open("memory://") as plain:
        assert (await transfer.import_(plain, path, keys=ring)).counts == done.counts
        assert await picture(plain) == before


async def test_an_archive_with_a_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    async with sojourn.open("memory://") as store:
        await fill_a_little(store)
        done = await transfer.export(store, path, cache=True, passphrase=SECRET)
        assert done.sealed == "a passphrase"
        assert not any(word in path.read_bytes() for word in WORDS)
        async with sojourn.open("memory://") as other:
            for wrong in (None, "another"):
                with pytest.raises(KeyMissing, match="passphrase"):
                    await transfer.import_(other, path, passphrase=wrong)
                with pytest.raises(KeyMissing):
                    await transfer.verify(path, passphrase=wrong)
            found = await transfer.verify(path, passphrase=SECRET)
            assert (found.counts, found.sealed) == (done.counts, "a passphrase")
            assert (await transfer.import_(other, path, passphrase=SECRET)).counts == done.counts


async def test_plain_text_is_asked_for_by_name(tmp_path: Path) -> None:
    ring = KeyRing.new()
    async with sojourn.open("memory://", keys=ring) as store:
        await fill_a_little(store)
        plain = await transfer.export(store, tmp_path / "plain", plain=True)
        assert plain.sealed == ""
        assert b"marzipan" in (tmp_path / "plain").read_bytes()
        with pytest.raises(InvalidInput):
            await transfer.export(store, tmp_path / "x", plain=True, passphrase=SECRET)
        with pytest.raises(InvalidInput):
            await transfer.export(store, tmp_path / "x", passphrase=" ")
        async with sojourn.open("memory://", keys=KeyRing.new()) as other:
            await transfer.import_(other, tmp_path / "plain")
            assert (await transfer.import_(other, tmp_path / "plain")).conflicts == 0


async def test_what_cannot_be_opened_is_named_one_by_one(server: Server, tmp_path: Path) -> None:
    async with sojourn.open(server.url, keys=KeyRing.new()) as store:
        await fill_a_little(store)
    told: list[str] = []
    async with sojourn.open(server.url) as store:
        done = await transfer.export(store, tmp_path / "a", cache=True, told=told.append)
    assert done.counts == transfer.Counts(newer=4)
    assert len(told) == 4
    assert all("sealed with the key" in each for each in told if "memory" not in each)


async def test_a_gap_in_a_log_stays_one(server: Server, tmp_path: Path) -> None:
    async with sojourn.open(server.url) as store:
        for number in range(3):
            await store.sessions.create("shop", "ada", str(number))
            events = [sojourn.Event(author="a", payload=n) for n in range(3)]
            await store.sessions.append(SessionKey.of("shop", "ada", str(number)), *events)
        with server.client() as client:
            client.lset("session:{shop:ada}:1:events", 1, "damaged")
        assert (await transfer.export(store, tmp_path / "a")).counts.unreadable == 1
    async with sojourn.open("memory://", keys=KeyRing.new()) as other:
        assert (await transfer.import_(other, tmp_path / "a")).counts.sessions == 3
        found = await other.sessions.get(SessionKey.of("shop", "ada", "1"))
        assert found is not None
        assert [event.seq for event in found.events] == [1, 3]
        assert not found.complete


async def test_a_sealed_archive_goes_on_where_it_was_cut(server: Server, tmp_path: Path) -> None:
    path, half = tmp_path / "archive", tmp_path / "half"
    async with sojourn.open(server.url, keys=KeyRing.new()) as store:
        await fill_a_little(store)
        for user in ("bob", "eve"):
            await store.sessions.create("shop", user, "s", title=user * 50)
        done = await transfer.export(store, path, passphrase=SECRET)
        data = path.read_bytes()
        first = data.index(b"\n") + 1
        for end in (0, 1, first - 1, first, first + 2, first + 50, len(data) // 2, len(data) - 1):
            half.unlink(missing_ok=True)
            half.write_bytes(data[:end])
            if end:
                with pytest.raises(InvalidArchive):
                    await transfer.verify(half, passphrase=SECRET)
            again = await transfer.export(store, half, passphrase=SECRET)
            assert (again.counts, again.resumed) == (done.counts, end > 0)
            assert (await transfer.verify(half, passphrase=SECRET)).counts == done.counts
            assert half.read_bytes().startswith(_whole(data, end))
        half.write_bytes(data[:-1])
        for wrong in ({"passphrase": "another"}, {}):
            with pytest.raises(KeyMissing):
                await transfer.export(store, half, **wrong)
        with pytest.raises(InvalidInput, match="sealed"):
            await transfer.export(store, half, plain=True)
        await transfer.export(store, tmp_path / "plain", plain=True)
        (tmp_path / "plain").write_bytes((tmp_path / "plain").read_bytes()[:-1])
        with pytest.raises(InvalidInput, match="plain text"):
            await transfer.export(store, tmp_path / "plain", passphrase=SECRET)


def _whole(data: bytes, end: int) -> bytes:
    """The frames of an archive that end before a place."""
    kept = b""
    for frame in frames_of(data):
        if len(kept) + len(frame) > end:
            break
        kept += frame
    return kept


async def test_versions_without_sealed_archives_are_told(tmp_path: Path) -> None:
    async with sojourn.open("memory://") as store:
        await transfer.export(store, tmp_path / "a", passphrase=SECRET)
    first = (tmp_path / "a").read_bytes().split(b"\n")[0]
    with pytest.raises(NewerFormat):
        unseal(first, "")  # as those read it
    line = msgspec.json.decode(first)
    del line["sum"]
    for change in ({"format": 3}, {"format": "7.1", "sealed": 3}):
        body = json.dumps({**line, **change}, separators=(",", ":")).encode()
        (tmp_path / "newer").write_bytes(sealed(body[:-1], "")[0] + b"\n???")
        with pytest.raises(NewerFormat):
            await transfer.verify(tmp_path / "newer", passphrase=SECRET)


@pytest.mark.parametrize(
    "asked",
    [
        *({"n": 2**40}, {"n": 1000}, {"r": 2**20}, {"p": 2**30}, {"n": 0}, {"n": 2**17, "r": 1}),
        *({"salt": "?"}, {"key": "x"}),
    ],
    ids=str,
)
async def test_a_first_line_that_asks_for_too_much(
    tmp_path: Path, asked: dict[str, object]
) -> None:
    async with sojourn.open("memory://") as store:
        await transfer.export(store, tmp_path / "a", passphrase=SECRET)
    first, rest = (tmp_path / "a").read_bytes().split(b"\n", 1)
    line = msgspec.json.decode(first)
    del line["sum"]
    line["sealed"] |= asked
    (tmp_path / "a").write_bytes(sealed(msgspec.json.encode(line)[:-1], "")[0] + b"\n" + rest)
    async with asyncio.timeout(20):
        with pytest.raises((InvalidArchive, KeyMissing)):
            await transfer.verify(tmp_path / "a", passphrase=SECRET)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Two of several frames, of the same content."""
    folder, found = tmp_path_factory.mktemp("archives"), list[bytes]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locking, "_COST", 2**10)
        patch.setattr("sojourn.transfer.writing.FRAME", 200)

        async def write() -> None:
            async with sojourn.open("memory://") as store:
                await fill_a_little(store)
                for name in ("a", "b"):
                    await transfer.export(store, folder / name, passphrase=SECRET)
                    found.append((folder / name).read_bytes())

        asyncio.run(write())
    return found[0], found[1]


def frames_of(data: bytes) -> list[bytes]:
    """The first line, and the frames."""
    first = data.index(b"\n") + 1
    found, at = [data[:first]], first
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        found.append(data[at:end])
        at = end
    return found


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=some.data())
async def test_no_changed_archive_is_imported(
    archives: tuple[bytes, bytes], tmp_path: Path, drawn: some.DataObject
) -> None:
    data, other = archives
    frames = frames_of(data)
    assert len(frames) > 4
    numbers = some.integers(0, len(frames) - 1)
    bits = some.integers(0, 8 * len(data) - 1)
    forged = drawn.draw(
        some.one_of(
            bits.map(lambda at: _flipped(data, at)),
            bits.map(lambda at: data[: at // 8]),
            numbers.map(lambda n: b"".join(frames[:n] + frames[n + 1 :])),
            numbers.map(lambda n: b"".join([*frames[: n + 1], frames[n], *frames[n + 1 :]])),
            some.permutations(frames).map(b"".join),
            numbers.map(lambda n: b"".join([*frames[:n], frames_of(other)[n], *frames[n + 1 :]])),
            some.binary(min_size=1, max_size=40).map(lambda more: data + more),
        )
    )
    if forged in (data, other):
        return
    (tmp_path / "a").write_bytes(forged)
    async with sojourn.open("memory://") as store:
        with pytest.raises((InvalidArchive, KeyMissing)):
            await transfer.import_(store, tmp_path / "a", passphrase=SECRET)
        assert (await store.admin.apps()).names == []
        assert await store.admin.artifacts.owners("shop", "ada") == []


def _flipped(value: bytes, at: int) -> bytes:
    changed = bytearray(value)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


async def test_a_frame_that_says_too_much_is_not_read(tmp_path: Path) -> None:
    async with sojourn.open("memory://") as store:
        await fill_a_little(store)
        await transfer.export(store, tmp_path / "a", passphrase=SECRET)
    first = frames_of((tmp_path / "a").read_bytes())[0]
    (tmp_path / "a").write_bytes(first + b"\xff\xff\xff\xff" + b"x" * 100)
    with pytest.raises(InvalidArchive, match="frame"):
        await transfer.verify(tmp_path / "a", passphrase=SECRET)
