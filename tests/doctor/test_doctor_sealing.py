"""Findings about the keys that seal a store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from doctor_kit import ADVICE, OK, PROBLEM

import sojourn
from servers import Server
from sojourn.doctor.model import Finding
from sojourn.keys import KeyRing
from sojourn.keys.keys import DataKeyRoomKeys
from sojourn.keys.model import KeyOwner

CHECKS = {"master-keys", "migration", "key-store"}


@pytest.fixture
def namespace(shared_server: Server, request: pytest.FixtureRequest) -> str:
    """One in which a user has a data key that RING wraps."""
    name = request.node.name.replace("[", "-").replace("]", "")[:60]

    async def fill() -> None:
        async with sojourn.open(shared_server.url, namespace=name, keys=RING) as store:
            await store.room("keys").keys_of("shop", "ada", create=True)

    asyncio.run(fill())
    return name


RING = KeyRing.new()


def examined(server: Server, namespace: str, **options: Any) -> dict[str, Finding]:
    async def examine() -> dict[str, Finding]:
        async with sojourn.open(server.url, namespace=namespace, **options) as store:
            report = await store.admin.doctor.examine()
            return {each.check: each for each in report.findings if each.group == "Encryption"}

    return asyncio.run(examine())


def test_a_store_without_keys_is_not_asked_for_them(shared_server: Server, namespace: str) -> None:
    assert examined(shared_server, namespace) == {}


def test_a_ring_that_opens_all_is_well(shared_server: Server, namespace: str) -> None:
    found = examined(shared_server, namespace, keys=RING)
    assert found["master-keys"].level is OK
    assert found["key-store"].level is ADVICE
    assert found.keys() == CHECKS - {"migration"}


def test_a_missing_master_key_is_named(shared_server: Server, namespace: str) -> None:
    found = examined(shared_server, namespace, keys=KeyRing.new())["master-keys"]
    assert found.level is PROBLEM
    assert RING.active in found.what


def test_keys_of_an_old_master_key_are_to_be_rewrapped(
    shared_server: Server, namespace: str
) -> None:
    more = RING.add()
    found = examined(shared_server, namespace, keys=more.activate([*more.ids][1]))["master-keys"]
    assert (found.level, found.todo) == (ADVICE, "sojourn keys rotate")


def test_a_ring_without_an_active_key_is_advised_against(
    shared_server: Server, namespace: str
) -> None:
    ring = KeyRing.new(migrating=True, active=False)
    assert examined(shared_server, f"{namespace}-empty", keys=ring)["master-keys"].level is ADVICE
    assert examined(shared_server, namespace, keys=ring)["master-keys"].level is PROBLEM


def test_damaged_keys_are_a_problem(shared_server: Server, namespace: str) -> None:
    name, _ = DataKeyRoomKeys(namespace).data_keys(KeyOwner("shop", "ada"))
    with shared_server.client() as client:
        client.hset(name, "key:0123456789abcdef", "x")
    assert examined(shared_server, namespace, keys=RING)["master-keys"].level is PROBLEM


def test_a_migration_should_end(shared_server: Server, namespace: str) -> None:
    found = examined(shared_server, namespace, keys=RING.migrate(migrating=True))
    assert found["migration"].level is ADVICE


def test_a_key_store_of_its_own_is_well(
    shared_server: Server, namespace: str, tmp_path: Path
) -> None:
    store = f"file:{tmp_path}/keys"
    found = examined(shared_server, namespace, keys=RING, key_store=store)
    assert found["key-store"].level is OK
