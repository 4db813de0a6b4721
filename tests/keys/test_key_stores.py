"""Wrapped keys on another server or in a file, outages, and processes that race."""

# ruff: noqa: ASYNC240 - small files

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sojourn
from extent import FULL
from servers import Server, any_binary
from sojourn.client import Sojourn
from sojourn.errors import (
    ConfigurationError,
    CorruptRecord,
    Erased,
    InvalidInput,
    NewerFormat,
    Unavailable,
)
from sojourn.keys import KeyRing
from sojourn.keys import service as services
from sojourn.keys.service import DataKeySource

RING = KeyRing.new()


def source_of(store: Sojourn) -> DataKeySource:
    source: DataKeySource = store.room("keys")
    return source


async def made(store: Sojourn, user: str, app: str = "shop") -> str:
    active = (await source_of(store).keys_of(app, user, create=True)).active
    assert active is not None
    return active.id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wrapped.json"


async def test_a_file_has_the_keys_and_the_server_has_none(
    shared_server: Server, path: Path
) -> None:
    url = f"{shared_server.url}?namespace=filed&key_store=file:{path}"
    async with sojourn.open(url, keys=RING) as store, sojourn.open(url, keys=RING) as other:
        ids = await asyncio.gather(
            *(made(each, user) for each in (store, other) for user in ("ada", "bob"))
        )
        assert ids[:2] == ids[2:]
        assert path.stat().st_mode & 0o777 == 0o600
        assert {each.name for each in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}
        async with sojourn.open(shared_server.url, namespace="filed", keys=RING) as third:
            assert (await third.admin.keys.usage()).owners == 0
        assert await store.admin.apps_of("ada") == ["shop"]
        assert (await store.admin.forget("ada")).erased["data_keys"] == 1
        source_of(other).forget(("shop", "ada"))  # type: ignore[arg-type]
        with pytest.raises(Erased):
            await made(other, "ada")
        assert await made(other, "bob") == ids[1]
        assert ":ada" not in path.read_text()


async def test_another_server_has_the_keys(shared_server: Server, server: Server) -> None:
    async with sojourn.open(
        shared_server.url,
        namespace="apart",
        keys=RING,
        key_store=server.url,
        operation_timeout=0.8,
    ) as store:
        name = await made(store, "ada")
        async with sojourn.open(server.url, namespace="apart", keys=RING) as keys:
            assert await made(keys, "ada") == name
        async with sojourn.open(shared_server.url, namespace="apart", keys=RING) as wrong:
            found = await source_of(wrong).keys_of("shop", "ada", [name])
            assert "not the key store" in str(found.errors[name])
        server.stop(9)
        await store.ping()
        assert await made(store, "ada") == name
        with pytest.raises(Unavailable):
            await made(store, "bob")
        server.start()


async def test_in_an_outage_a_cached_key_goes_on_until_its_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sojourn.open(server.url, keys=RING, operation_timeout=0.8) as store:
        name = await made(store, "ada")
        server.stop(9)
        assert await made(store, "ada") == name
        with pytest.raises(Unavailable):
            await made(store, "bob")
        with pytest.raises(Unavailable):
            await source_of(store).keys_of("shop", "bob", ["0" * 16])
        clock = services.monotonic
        monkeypatch.setattr(services, "monotonic", lambda: clock() + 60)
        with pytest.raises(Unavailable):
            await made(store, "ada")


async def test_a_service_of_keys_that_is_away_is_an_outage() -> None:
    away = False

    async def give() -> KeyRing:
        if away:
            raise ConnectionError
        return RING

    async with sojourn.open("memory://", keys=give, key_cache_seconds=0.001) as store:
        name = await made(store, "ada")
        away = True
        await asyncio.to_thread(lambda: None)
        while True:  # until what is cached is too old
            try:
                assert await made(store, "ada") == name
            except Unavailable:
                break
            await asyncio.sleep(0)
        away = False
        assert await made(store, "ada") == name


async def test_who_stops_waiting_stops_nobody_else(server: Server) -> None:
    async with sojourn.open(server.url, keys=RING) as store:
        await store.ping()
        server.pause()
        first, *others = [asyncio.create_task(made(store, "ada")) for _ in range(4)]
        await asyncio.sleep(0)
        first.cancel()
        server.resume()
        ids = await asyncio.gather(*others)
        assert len({*ids}) == 1
        with pytest.raises(asyncio.CancelledError):
            await first
        assert source_of(store)._locks[asyncio.get_running_loop()] == {}


@pytest.mark.parametrize("active", [True, False])
async def test_who_asks_at_the_same_time_shares_the_round_trip(
    shared_server: Server, active: bool
) -> None:
    ring = RING if active else KeyRing.new(migrating=True, active=False)
    async with sojourn.open(shared_server.url, namespace=f"asks-{active}", keys=ring) as store:
        calls: list[str] = []
        store.on_call(lambda fact: calls.append(fact.name))
        asked = [source_of(store).keys_of("shop", "ada", create=True) for _ in range(20)]
        assert len({*map(str, await asyncio.gather(*asked))}) == 1
        # without an active master key, each asks for what others may have made since
        assert calls == (["keys.read", "keys.add"] if active else ["keys.read"] * 2)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", CorruptRecord),
        ("[]", CorruptRecord),
        ('{"format": "1", "owners": [["shop"]]}', CorruptRecord),
        ('{"format": "1", "owners": [["shop", "ada", {"active": "?"}]]}', CorruptRecord),
        ('{"format": 1, "owners": []}', CorruptRecord),
        ('{"format": "2", "owners": {}}', NewerFormat),
    ],
)
async def test_a_file_that_cannot_be_read_stays_as_it_is(
    path: Path, text: str, error: type[Exception]
) -> None:
    path.write_text(text)
    async with sojourn.open("memory://", keys=RING, key_store=f"file:{path}") as store:
        with pytest.raises(error):
            await made(store, "ada")
    assert path.read_text() == text


async def test_a_file_keeps_what_a_newer_version_has_added(path: Path) -> None:
    async with sojourn.open("memory://", keys=RING, key_store=f"file:{path}") as store:
        await made(store, "ada")
        found: dict[str, Any] = json.loads(path.read_text())
        found["owners"][0][2]["more"] = "text"
        found["label"] = "x"
        path.write_text(json.dumps(found))
        await made(store, "bob")
    after = json.loads(path.read_text())
    assert after["owners"][0][2]["more"] == "text"
    assert after["label"] == "x"
    assert [each[:2] for each in after["owners"]] == [["shop", "ada"], ["shop", "bob"]]


def test_a_file_is_refused_where_none_can_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sojourn.keys.files.fcntl", None)
    with pytest.raises(ConfigurationError, match="needs locks of files"):
        sojourn.open("memory://", keys=RING, key_store=f"file:{tmp_path}/keys")


async def test_a_folder_that_is_not_there_or_is_full_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder"):
        sojourn.open("memory://", keys=RING, key_store=f"file:{tmp_path}/none/keys")
    with pytest.raises(InvalidInput, match="belongs to keys="):
        sojourn.open("memory://", key_store=f"file:{tmp_path}/keys")
    for lost in ("memory:", "memory://"):
        with pytest.raises(ConfigurationError, match="with this process"):
            sojourn.open("redis://127.0.0.1:1", keys=RING, key_store=lost)
    folder = tmp_path / "folder"
    folder.mkdir()
    async with sojourn.open("memory://", keys=RING, key_store=f"file:{folder}/keys") as store:
        folder.rmdir()
        with pytest.raises(Unavailable):
            await made(store, "ada")


RACER = """
import asyncio, sys
import sojourn

async def main(url, keys, users):
    async with sojourn.open(url, keys=keys) as store:
        await store.ping()
        print("ready", flush=True)
        sys.stdin.readline()
        source = store.room("keys")
        found = await asyncio.gather(
            *(source.keys_of("shop", str(user), create=True) for user in range(users))
        )
        print(*(each.active.id for each in found), flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.skipif(not FULL, reason="ten processes: make test-all")
@pytest.mark.parametrize("where", ["server", "file"])
def test_ten_processes_that_race_use_one_key(tmp_path: Path, where: str) -> None:
    server = Server(tmp_path / "server", any_binary()).start()
    ring = tmp_path / "ring.json"
    RING.save(ring)
    url = server.url if where == "server" else f"{server.url}?key_store=file:{tmp_path}/keys"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, url, str(ring), "20"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for _ in range(10)
    ]
    try:
        for each in racers:
            assert each.stdout
            assert each.stdout.readline() == "ready\n"
        found = {each.communicate("go\n", timeout=60)[0] for each in racers}
    finally:
        for each in racers:
            each.kill()
            each.wait()
        server.close()
    assert len(found) == 1
    assert len({*found.pop().split()}) == 20
