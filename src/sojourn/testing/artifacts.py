"""Contract of every artifact store."""

# ruff: noqa: D102, PLR2004, S101 - cases are named by what they show, and assert

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import pytest

from sojourn.artifacts import Artifact
from sojourn.client import Sojourn
from sojourn.errors import Conflict, InvalidInput
from sojourn.ids import SessionKey, UserKey

PIECE = 512 * 1024


async def data_of(store: Sojourn, owner: SessionKey | UserKey, name: str) -> list[bytes]:
    """The data of all versions."""
    found = [
        await store.artifacts.load(owner, name, version=each.version)
        for each in await store.artifacts.versions(owner, name)
    ]
    return [each.data for each in found if each is not None]


@pytest.mark.anyio
class ArtifactsContract:
    """Derive from it and give the fixture `store`."""

    @pytest.fixture
    def key(self) -> SessionKey:
        """A session of a user of the test's own."""
        return SessionKey.of("contract", f"user-{secrets.token_hex(6)}", "s")

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"x",
            "🦊\x00\r\n".encode(),
            bytes(range(256)) * 256,
            *(secrets.token_bytes(PIECE + more) for more in (-1, 0, 1)),
            secrets.token_bytes(3 * PIECE + 5),
        ],
        ids=len,
    )
    async def test_bytes_come_back(self, store: Sojourn, key: SessionKey, data: bytes) -> None:
        before = time.time()
        version = await store.artifacts.save(
            key, "a.bin", data, mime_type="image/png", metadata={"a": [1, None, 2**60, "é"]}
        )
        assert version == 0
        found = await store.artifacts.load(key, "a.bin")
        assert found is not None
        assert found.data == data
        assert (found.version, found.size, found.mime_type) == (0, len(data), "image/png")
        assert found.metadata == {"a": [1, None, 2**60, "é"]}
        assert before - 60 < found.created < time.time() + 60

    async def test_any_bytes_will_do_and_are_kept_as_they_were(
        self, store: Sojourn, key: SessionKey
    ) -> None:
        given = bytearray(b"one")
        await store.artifacts.save(key, "a", given)
        given[:] = b"two"
        await store.artifacts.save(key, "a", memoryview(given)[::2], created=12.5)
        assert await data_of(store, key, "a") == [b"one", b"to"]
        last = await store.artifacts.find(key, "a")
        assert last is not None
        assert (last.created, last.mime_type) == (12.5, "application/octet-stream")
        assert last.metadata == {}

    async def test_versions_count_from_zero(self, store: Sojourn, key: SessionKey) -> None:
        saved = [
            await store.artifacts.save(key, "a", b"v%d" % n, metadata={"n": n}) for n in range(12)
        ]
        assert saved == list(range(12))
        versions = await store.artifacts.versions(key, "a")
        newest = await store.artifacts.versions(key, "a", newest_first=True)
        assert newest == versions[::-1]
        assert [each.metadata for each in versions] == [{"n": n} for n in range(12)]
        assert [each.version for each in versions] == saved
        for n in (0, 10, 11):
            found = await store.artifacts.load(key, "a", version=n)
            assert found is not None
            assert found.data == b"v%d" % n
            assert await store.artifacts.find(key, "a", version=n) == versions[n]
        assert await store.artifacts.find(key, "a") == versions[-1]
        for none in (-1, 12, 2**70):
            assert await store.artifacts.load(key, "a", version=none) is None
            assert await store.artifacts.find(key, "a", version=none) is None

    async def test_what_is_not_there_is_none(self, store: Sojourn, key: SessionKey) -> None:
        assert await store.artifacts.load(key, "a") is None
        assert await store.artifacts.load(key, "a", version=0) is None
        assert await store.artifacts.find(key, "a") is None
        assert await store.artifacts.versions(key, "a") == []
        assert await store.artifacts.names(key) == []
        assert not await store.artifacts.delete(key, "a")

    async def test_owners_and_names_never_meet(self, store: Sojourn, key: SessionKey) -> None:
        others = SessionKey.of(key.app, f"{key.user}:s", "s")
        owners: list[SessionKey | UserKey] = [
            key,
            key.owner,
            SessionKey.of(key.app, key.user, "t"),
            SessionKey.of(key.app, key.user, "s:a"),
            others,
            others.owner,
        ]
        names = ["a", "a:data:x", "/a", "A", "é/🦊", " ", "a:versions", "*"]
        for owner in owners:
            for name in names:
                await store.artifacts.save(owner, name, repr((owner, name)).encode())
        for owner in owners:
            assert await store.artifacts.names(owner) == sorted(names)
            for name in names:
                assert await data_of(store, owner, name) == [repr((owner, name)).encode()]
        for name in names:
            assert await store.artifacts.delete(key, name)
        assert await store.artifacts.names(key) == []
        assert len(await store.artifacts.names(key.owner)) == len(names)

    async def test_after_deletion_it_is_as_if_it_had_never_been(
        self, store: Sojourn, key: SessionKey
    ) -> None:
        for n in range(3):
            await store.artifacts.save(key, "a", b"%d" % n * PIECE * n)
        await store.artifacts.save(key, "b", b"b")
        assert await store.artifacts.delete(key, "a")
        assert not await store.artifacts.delete(key, "a")
        assert await store.artifacts.load(key, "a") is None
        assert await store.artifacts.load(key, "a", version=1) is None
        assert await store.artifacts.versions(key, "a") == []
        assert await store.artifacts.names(key) == ["b"]
        assert await store.artifacts.save(key, "a", b"new") == 0
        assert await data_of(store, key, "a") == [b"new"]

    @pytest.mark.parametrize("size", [3, 2 * PIECE])
    async def test_a_repeated_save_is_one_version(
        self, store: Sojourn, key: SessionKey, size: int
    ) -> None:
        one, two = b"1" * size, b"2" * size
        assert await store.artifacts.save(key, "a", one, operation_id="op:1") == 0
        assert await store.artifacts.save(key, "a", two) == 1
        assert await store.artifacts.save(key, "a", one, operation_id="op:1") == 0
        assert await store.artifacts.save(key, "b", two, operation_id="op:1") == 0
        assert await data_of(store, key, "a") == [one, two]
        assert await data_of(store, key, "b") == [two]

    async def test_a_late_save_does_not_bring_back_what_was_deleted(
        self, store: Sojourn, key: SessionKey
    ) -> None:
        for size in (1, 2 * PIECE):
            await store.artifacts.save(key, "a", b"1" * size, operation_id=f"op{size}")
            await store.artifacts.delete(key, "a")
            await store.artifacts.save(key, "a", b"1" * size, operation_id=f"op{size}")
            assert await store.artifacts.names(key) == []
            assert await store.artifacts.load(key, "a") is None

    async def test_a_repeated_delete_spares_the_successor(
        self, store: Sojourn, key: SessionKey
    ) -> None:
        assert not await store.artifacts.delete(key, "a", operation_id="early")
        await store.artifacts.save(key, "a", b"1", operation_id="op")
        assert await store.artifacts.delete(key, "a", operation_id="op")
        await store.artifacts.save(key, "a", b"2")
        assert await store.artifacts.delete(key, "a", operation_id="op")
        assert not await store.artifacts.delete(key, "a", operation_id="early")
        assert await data_of(store, key, "a") == [b"2"]

    async def test_saves_at_once_are_versions_one_after_the_other(
        self, store: Sojourn, key: SessionKey
    ) -> None:
        data = [b"%02d" % n * (1 if n % 4 else PIECE) for n in range(20)]
        saved = await asyncio.gather(*(store.artifacts.save(key, "a", each) for each in data))
        assert sorted(saved) == list(range(20))
        kept = await data_of(store, key, "a")
        assert [kept[version] for version in saved] == data

    async def test_who_loads_while_others_save_and_delete_gets_a_whole_version(
        self, store: Sojourn, key: SessionKey
    ) -> None:
        async def write() -> None:
            for n in range(12):
                await store.artifacts.save(key, "a", b"%d" % (n % 10) * (PIECE + 1 + n))
                await asyncio.sleep(0)
                if n % 3 == 2:
                    await store.artifacts.delete(key, "a")

        async def read(seen: list[Artifact | None]) -> None:
            while not writing.done():
                seen.append(await store.artifacts.load(key, "a"))
                await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        seen: list[Artifact | None] = []
        await asyncio.gather(writing, read(seen), read(seen))
        for found in seen:
            assert found is None or found.data == found.data[:1] * (found.size)
        assert seen

    async def test_artifacts_move_with_their_versions(
        self, store: Sojourn, key: SessionKey
    ) -> None:
        to = SessionKey.of(key.app, key.user, "t")
        for n in range(3):
            await store.artifacts.save(key, "a", b"%d" % n * PIECE * n, metadata={"n": n})
        await store.artifacts.save(key, "b", b"b", mime_type="text/plain")
        versions = await store.artifacts.versions(key, "a")
        data = await data_of(store, key, "a")
        assert await store.artifacts.move(key, to) == ["a", "b"]
        assert await store.artifacts.names(key) == []
        assert await store.artifacts.versions(key, "a") == []
        assert await store.artifacts.names(to) == ["a", "b"]
        assert await store.artifacts.versions(to, "a") == versions
        assert await data_of(store, to, "a") == data
        assert await store.artifacts.move(key, to) == []
        assert await store.artifacts.save(to, "a", b"more") == 3
        assert await store.artifacts.delete(to, "a")
        assert await store.artifacts.names(to) == ["b"]

    async def test_a_save_repeated_after_the_move_is_one_version(
        self, store: Sojourn, key: SessionKey
    ) -> None:
        await store.artifacts.save(key, "a", b"0")
        await store.artifacts.save(key, "a", b"1", operation_id="op")
        await store.artifacts.move(key, key.owner)
        for owner in (key, key.owner):
            assert await store.artifacts.save(owner, "a", b"1", operation_id="op") == 1
        assert await store.artifacts.names(key) == []
        assert await data_of(store, key.owner, "a") == [b"0", b"1"]
        await store.artifacts.delete(key.owner, "a")
        await store.artifacts.save(key.owner, "a", b"1", operation_id="op")
        assert await store.artifacts.names(key.owner) == []

    async def test_what_the_new_owner_has_is_not_overwritten(
        self, store: Sojourn, key: SessionKey
    ) -> None:
        for name in ("a", "b", "c"):
            await store.artifacts.save(key, name, b"session's")
        await store.artifacts.save(key.owner, "b", b"user's")
        with pytest.raises(Conflict, match="'b'"):
            await store.artifacts.move(key, key.owner)
        assert await store.artifacts.names(key) == ["b"]
        assert await data_of(store, key.owner, "b") == [b"user's"]
        await store.artifacts.delete(key.owner, "b")
        assert await store.artifacts.move(key, key.owner) == ["b"]
        assert await data_of(store, key.owner, "b") == [b"session's"]

    async def test_artifacts_never_move_to_another_user(
        self, store: Sojourn, key: SessionKey
    ) -> None:
        await store.artifacts.save(key, "a", b"1")
        for to in (key, SessionKey.of(key.app, "bob", "s"), UserKey.of("other", key.user)):
            with pytest.raises(InvalidInput):
                await store.artifacts.move(key, to)
        assert await store.artifacts.names(key) == ["a"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"owner": None},
            {"owner": ("app", "user", "s")},
            {"owner": UserKey.__new__(UserKey, "", "u")},  # type: ignore[arg-type]
            {"name": ""},
            {"name": 5},
            {"name": "\ud800"},
            {"name": "x" * 600},
            {"data": "text"},
            {"data": None},
            {"mime_type": None},
            {"mime_type": "\ud800"},
            {"metadata": [1]},
            {"metadata": {"a": b"bytes"}},
            {"metadata": {"a": float("nan")}},
            {"created": "now"},
            {"created": float("inf")},
            {"operation_id": ""},
        ],
    )
    async def test_what_makes_no_sense_is_refused(
        self, store: Sojourn, key: SessionKey, wrong: dict[str, Any]
    ) -> None:
        arguments: dict[str, Any] = {"owner": key, "name": "a", "data": b"", **wrong}
        with pytest.raises(InvalidInput):
            await store.artifacts.save(**arguments)
        assert await store.artifacts.names(key) == []
        with pytest.raises(InvalidInput):
            await store.artifacts.load(key, "a", version="1")  # type: ignore[arg-type]
