"""A backup from before an erasure is restored: what was sealed stays unreadable, or is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sojourn
from servers import Server
from sojourn import Event, SessionKey
from sojourn.client import Sojourn
from sojourn.errors import Erased
from sojourn.keys import KeyRing
from sojourn.transfer import export

RING = KeyRing.new()
KEY = SessionKey.of("shop", "ada", "8e42")


def backup(server: Server, namespace: str) -> dict[bytes, tuple[bytes, int]]:
    with server.client() as client:
        names = client.keys(f"{namespace}:*")
        return {name: (client.dump(name), max(0, client.pttl(name))) for name in names}


def restore(server: Server, stored: dict[bytes, tuple[bytes, int]]) -> None:
    with server.client() as client:
        for name, (value, ttl) in stored.items():
            client.restore(name, ttl, value, replace=True)


async def filled(store: Sojourn) -> None:
    await store.sessions.create("shop", "ada", "8e42", state={"tea": "green", "user:name": "Ada"})
    await store.sessions.append(KEY, Event(author="user", payload="s3cret"))


async def test_with_a_key_store_of_its_own_nobody_reads_it(
    shared_server: Server, tmp_path: Path
) -> None:
    keys = tmp_path / "wrapped"
    where = {"namespace": "apart", "keys": RING, "key_store": f"file:{keys}"}
    async with sojourn.open(shared_server.url, **where) as store:  # type: ignore[arg-type]
        await filled(store)
        before = backup(shared_server, "apart")
        assert (await store.admin.forget("ada")).copies == "key_store"
    restore(shared_server, before)
    for month_later in (False, True):
        if month_later:
            found = json.loads(keys.read_text())
            keys.write_text(json.dumps({**found, "destroyed": {}}))
        async with sojourn.open(shared_server.url, **where) as store:  # type: ignore[arg-type]
            with pytest.raises(Erased):
                await store.sessions.get(KEY)
            assert await store.admin.quarantined("shop", "ada") == []
            if not month_later:
                with pytest.raises(Erased):
                    await store.sessions.append(KEY, Event(author="user", payload="more"))
    assert backup(shared_server, "apart").keys() >= before.keys()


async def test_on_the_same_server_the_backup_has_the_key(shared_server: Server) -> None:
    async with sojourn.open(shared_server.url, namespace="same", keys=RING) as store:
        await filled(store)
        before = backup(shared_server, "same")
        assert (await store.admin.forget("ada")).copies == "server"
    restore(shared_server, before)
    async with sojourn.open(shared_server.url, namespace="same", keys=RING) as store:
        with pytest.raises(Erased):
            await store.sessions.get(KEY)  # the mark of the erasure is newer than the backup
    with shared_server.client() as client:
        client.delete(*client.keys("same:destroyed:*"))
    async with sojourn.open(shared_server.url, namespace="same", keys=RING) as store:
        found = await store.sessions.get(KEY)
        assert found is not None
        assert [event.payload for event in found.events] == ["s3cret"]


async def test_an_export_has_no_key(shared_server: Server, tmp_path: Path) -> None:
    async with sojourn.open(shared_server.url, namespace="exported", keys=RING) as store:
        await filled(store)
        await export(store, tmp_path / "archive", plain=True)
        await export(store, tmp_path / "sealed")
        (info,) = await store.admin.keys.of("shop", "ada")
    text = (tmp_path / "archive").read_bytes()
    assert b"8e42" in text
    for secret in (info.master, '"room":"keys"'):
        assert secret.encode() not in text
    sealed = (tmp_path / "sealed").read_bytes()
    for secret in ("8e42", "s3cret", info.id, '"room":"keys"'):
        assert secret.encode() not in sealed
