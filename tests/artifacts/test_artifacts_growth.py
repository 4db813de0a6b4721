"""Artifacts as another version of Sojourn may have written them."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

import sojourn
from planting import DAMAGED, ENCODED, FIELDS, NEWER, RAW, ROWS_OF_SERVERS, Planter, planters
from sojourn import CorruptRecord, DictionaryMissing, NewerFormat, SessionKey, UserKey
from sojourn.artifacts.keys import ArtifactRoomKeys
from sojourn.artifacts.model import ArtifactPlace
from sojourn.artifacts.operations.archive import ReadArchivedArtifact


@pytest.fixture(scope="module", params=ROWS_OF_SERVERS)
def planter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planter]:
    yield from planters(request.param, tmp_path_factory.mktemp(request.param))


class Bench:
    """An artifact of two versions, whose lifetime is set anew by each touch."""

    def __init__(self, store: sojourn.Sojourn, planter: Planter) -> None:
        self.store = store
        self.planter = planter
        self.key = SessionKey.of(f"shop-{secrets.token_hex(4)}", "ada", "s")
        self.to = UserKey.of(self.key.app, "ada")
        self.head = ArtifactRoomKeys().artifact(self.key, "a.bin").head
        self.moved = ArtifactRoomKeys().artifact(self.to, "a.bin").head

    async def save(self, data: bytes = b"x") -> int:
        return await self.store.artifacts.save(self.key, "a.bin", data, metadata={"a": 1})

    async def load(self, version: int | None = None) -> bytes | None:
        found = await self.store.artifacts.load(self.key, "a.bin", version=version)
        return None if found is None else found.data

    def record(self, **members: object) -> None:
        """Add members to the record of version 0, or take them out (None)."""
        client = self.planter.client
        found = json.loads(client.hget(self.head, "version:0") or b"")
        found = {name: each for name, each in (found | members).items() if each is not None}
        client.hset(self.head, "version:0", json.dumps(found))

    def data(self) -> list[bytes]:
        """The keys of its data, where it was moved to."""
        return list(self.planter.client.scan_iter(f"{self.moved}:data:*"))

    def content(self) -> dict[bytes, bytes]:
        return self.planter.client.hgetall(self.head)


@pytest.fixture
async def bench(planter: Planter) -> AsyncIterator[Bench]:
    async with sojourn.open(planter.url, artifact_ttl=1000) as store:
        made = Bench(store, planter)
        await made.save(b"one")
        await made.save(b"two")
        yield made


async def test_fields_that_are_not_known_are_passed_over_and_kept(bench: Bench) -> None:
    planted = FIELDS | {"format": "1.9", "version:9": "later", "data:9": "later"}
    bench.planter.plant(bench.head, planted)
    assert await bench.load() == b"two"
    assert await bench.save(b"three") == 2
    async with sojourn.open(bench.planter.url, artifact_ttl=5000) as longer:  # so it is touched
        await longer.artifacts.load(bench.key, "a.bin")
        await longer.disconnect()
    bench.planter.assert_kept(bench.head, planted)
    found = await bench.store.artifacts.versions(bench.key, "a.bin")
    assert [(each.version, each.size, each.newer) for each in found] == [
        *((0, 3, False), (1, 3, False), (2, 5, False)),
    ]
    assert await bench.store.artifacts.move(bench.key, bench.to) == ["a.bin"]
    bench.planter.assert_kept(bench.moved, planted)
    assert not bench.planter.client.exists(bench.head)
    assert await bench.store.artifacts.names(bench.to) == ["a.bin"]
    assert await bench.store.artifacts.delete(bench.to, "a.bin")
    assert not bench.planter.client.exists(bench.moved)
    bench.planter.assert_nothing_in_quarantine()


async def test_members_that_are_not_known_are_passed_over_and_kept(bench: Bench) -> None:
    bench.record(mood={"is": "good"}, sha="1")
    record = bench.content()[b"version:0"]
    assert await bench.load(0) == b"one"
    await bench.save()
    assert bench.content()[b"version:0"] == record
    assert await bench.store.artifacts.move(bench.key, bench.to) == ["a.bin"]
    assert bench.planter.client.hget(bench.moved, "version:0") == record


async def test_an_export_gets_what_is_not_known(bench: Bench) -> None:
    bench.planter.plant(bench.head)
    bench.record(mood={"is": "good"})
    archived = await bench.store.artifacts._store.run(
        ReadArchivedArtifact(ArtifactPlace(bench.key, "a.bin"))
    )
    assert archived is not None
    assert archived.more == {"mood": b"good", "raw": RAW}
    assert archived.versions[0].more == {"mood": b'{"is": "good"}'}
    assert archived.versions[1].more == {}


async def test_what_may_be_missing_takes_its_default(bench: Bench) -> None:
    bench.planter.client.hdel(bench.head, "format", "expires")
    bench.record(created=None, mime_type=None, metadata=None)
    found = await bench.store.artifacts.find(bench.key, "a.bin", version=0)
    assert found is not None
    assert (found.created, found.mime_type, found.metadata) == (0, "application/octet-stream", {})
    assert await bench.load(0) == b"one"
    assert await bench.save() == 2
    assert await bench.store.artifacts.move(bench.key, bench.to) == ["a.bin"]
    assert await bench.store.artifacts.delete(bench.to, "a.bin")


@pytest.mark.parametrize("member", ["size", "chunks", "crc"])
async def test_what_must_be_there_is_missed(bench: Bench, member: str) -> None:
    bench.record(**{member: None})
    with pytest.raises(CorruptRecord):
        await bench.load(0)


# ── what is newer ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("planted", [{"format": "2"}, {"format": "2.1", "version:0": "?"}])
async def test_an_artifact_of_a_newer_format(
    bench: Bench, planted: dict[bytes | str, bytes | str]
) -> None:
    bench.planter.plant(bench.head, planted)
    before = bench.content()
    for call in (
        bench.load(),
        bench.load(0),
        bench.store.artifacts.find(bench.key, "a.bin"),
        bench.store.artifacts.versions(bench.key, "a.bin"),
        bench.save(),
        bench.store.artifacts.save(bench.key, "a.bin", b"x" * 600_000),
    ):
        with pytest.raises(NewerFormat):
            await call
    assert bench.content() == before
    assert await bench.store.artifacts.names(bench.key) == ["a.bin"]
    assert await bench.store.artifacts.move(bench.key, bench.to) == ["a.bin"]
    bench.planter.assert_kept(bench.moved, planted)
    assert len(bench.data()) == 2
    assert await bench.store.artifacts.delete(bench.to, "a.bin")
    assert not bench.planter.client.exists(bench.moved)
    assert bench.data() == []
    assert await bench.save() == 0
    bench.planter.assert_nothing_in_quarantine()


async def test_one_whose_data_cannot_be_named_is_not_moved(bench: Bench) -> None:
    bench.planter.client.hdel(bench.head, "versions")
    bench.planter.plant(bench.head, {"format": "2", "count": "2"})
    with pytest.raises(NewerFormat):
        await bench.load()
    with pytest.raises(NewerFormat):
        await bench.store.artifacts.move(bench.key, bench.to)
    assert await bench.store.artifacts.delete(bench.key, "a.bin")
    assert not bench.planter.client.exists(bench.head)


@pytest.mark.parametrize("name", [ENCODED, b"\xff", b"a:b", b"[1]"])
async def test_data_with_a_name_that_no_key_has(bench: Bench, name: bytes) -> None:
    """They cannot be loaded; the other versions can, also at another owner's."""
    bench.planter.plant(bench.head, {"data:0": name})
    assert await bench.store.artifacts.move(bench.key, bench.to) == ["a.bin"]
    moved = await bench.store.artifacts.load(bench.to, "a.bin")
    assert moved is not None
    assert moved.data == b"two"
    assert len(bench.data()) == 1
    assert await bench.store.artifacts.delete(bench.to, "a.bin")
    assert bench.data() == []
    assert await bench.store.admin.forget("ada", app=bench.key.app)
    left = [key for key in bench.planter.client.scan_iter("*") if bench.key.app.encode() in key]
    assert left == []


async def test_more_versions_than_there_are_fields_are_not_looked_for(bench: Bench) -> None:
    bench.planter.plant(bench.head, {"versions": "999999999999999"})
    read = ReadArchivedArtifact(ArtifactPlace(bench.key, "a.bin"))
    for call in (bench.load(), bench.save(), bench.store.artifacts._store.run(read)):
        with pytest.raises(CorruptRecord):
            await call
    assert await bench.store.artifacts.delete(bench.key, "a.bin")
    assert not bench.planter.client.exists(bench.head)


@pytest.mark.parametrize("encoding", ["zstd:d1", {"name": "zstd"}])
async def test_data_with_an_encoding(bench: Bench, encoding: object) -> None:
    bench.record(encoding=encoding, chunks=7)
    with pytest.raises(DictionaryMissing if encoding == "zstd:d1" else NewerFormat):
        await bench.load(0)
    found = await bench.store.artifacts.find(bench.key, "a.bin", version=0)
    assert found is not None
    assert (found.newer, found.size, found.metadata) == (True, 3, {"a": 1})
    marked = [each.newer for each in await bench.store.artifacts.versions(bench.key, "a.bin")]
    assert marked == [True, False]
    assert await bench.load() == b"two"
    record = bench.content()[b"version:0"]
    assert await bench.save() == 2
    assert bench.content()[b"version:0"] == record
    assert await bench.store.artifacts.delete(bench.key, "a.bin")


@pytest.mark.parametrize("record", [ENCODED, NEWER])
async def test_a_record_with_an_encoding(bench: Bench, record: bytes) -> None:
    bench.planter.plant(bench.head, {"version:0": record})
    for call in (bench.load(0), bench.store.artifacts.find(bench.key, "a.bin", version=0)):
        with pytest.raises(NewerFormat):
            await call
    marked = [each.newer for each in await bench.store.artifacts.versions(bench.key, "a.bin")]
    assert marked == [True, False]
    assert await bench.load() == b"two"
    assert await bench.save() == 2
    bench.planter.assert_kept(bench.head, {"version:0": record})


@pytest.mark.parametrize(
    "planted", [{"format": "second"}, {"version:0": DAMAGED}, {"versions": "999999999999999"}]
)
async def test_what_was_damaged_is_corrupt_as_before(
    bench: Bench, planted: dict[bytes | str, bytes | str]
) -> None:
    bench.planter.plant(bench.head, planted)
    with pytest.raises(CorruptRecord):
        await bench.load(0)
    with pytest.raises(CorruptRecord):
        await bench.store.artifacts.versions(bench.key, "a.bin")
    assert await bench.store.artifacts.delete(bench.key, "a.bin")
