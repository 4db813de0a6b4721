"""Rotation of master keys from the command line, killed at any step, and sweeps of what is left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import sojourn
from extent import FULL
from servers import Server, any_binary
from sojourn.client import Sojourn
from sojourn.errors import ConfigurationError, InvalidInput
from sojourn.keys import KeyRing, KeySweep

DAY = 86_400.0
"""A test lets none pass: it sweeps with ages of its own."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("rotation"), any_binary()).start()
    yield server
    server.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


async def ids_of(store: Sojourn, users: int) -> list[str]:
    found = [
        (await store.room("keys").keys_of("shop", f"u{n}", create=True)).active.id
        for n in range(users)
    ]
    assert len({*found}) == users
    return found


# Kills itself in place of, or right after, its n-th step that reaches the server.
CHILD = """
import asyncio, os, signal, sys
import sojourn
from sojourn.keys import KeyRing, admin

async def main(url, path, steps, before):
    admin._TOGETHER = 3
    async with sojourn.open(url, keys=path) as store:
        inner = store.admin.keys._store
        class Mortal:
            left = steps
            async def run(self, operation):
                Mortal.left -= 1
                last = Mortal.left == 0
                if last and before:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = await inner.run(operation)
                if last:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result
        store.admin.keys._store = Mortal()
        await store.admin.keys.rotate()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "before"))
"""
STEPS = range(1, 24) if FULL else (6,)
"""One lists, and then each of ten users takes one to read and one to write."""


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"] if FULL else ["after"])
async def test_a_rotation_that_was_killed_is_finished_by_the_next(
    server: Server, path: Path, step: int, when: str
) -> None:
    url = f"{server.url}?namespace=killed-{step}-{when}"
    ring = KeyRing.new()
    ring.save(path)
    async with sojourn.open(url, keys=str(path)) as store:
        ids = await ids_of(store, 10)
    KeyRing.edit(path, KeyRing.add)
    (second,) = set(KeyRing.load(path).ids) - {ring.active}
    KeyRing.edit(path, lambda each: each.activate(second))
    child = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-c", CHILD, url, str(path), str(step), when], check=False, timeout=30
    )
    assert child.returncode == (-9 if step < 22 else 0)
    async with sojourn.open(url, keys=str(path)) as store:
        assert await ids_of(store, 10) == ids
        usage = await store.admin.keys.usage()
        assert sum(usage.wraps.values()) == 10
        if step < 21:
            assert usage.wraps[ring.active] > 0
        done = await store.admin.keys.rotate()
        assert (done.rewrapped, done.already) == (usage.wraps[ring.active], usage.wraps[second])
    async with sojourn.open(url, keys=KeyRing.load(path).remove(ring.active)) as last:
        assert await ids_of(last, 10) == ids


# ── sweeps ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def store(server: Server, request: pytest.FixtureRequest) -> AsyncIterator[Sojourn]:
    lives: dict[str, Any] = dict.fromkeys(
        ("session_ttl", "state_ttl", "memory_ttl", "knowledge_ttl", "history_ttl"), DAY
    )
    namespace = f"swept-{abs(hash(request.node.name))}"
    async with sojourn.open(
        server.url, keys=KeyRing.new(), namespace=namespace, artifact_ttl=DAY, **lives
    ) as store:
        yield store


async def test_keys_of_whom_nothing_is_left_are_swept_in_two_steps(store: Sojourn) -> None:
    source, keys = store.room("keys"), store.admin.keys
    await store.sessions.create("shop", "here")
    await store.cache.put("k", 1, tenant="shop:cached")
    await store.memory.user("remembered", app="shop").put("k", 1)
    for user in ("here", "cached", "remembered", "gone", "returns", None):
        await source.keys_of("shop", user, create=True)
    owners = (await keys.usage()).owners
    assert await keys.sweep() == KeySweep(owners, 0, 0), "they are too young"
    assert await keys._sweep(DAY, -1) == KeySweep(owners, 2, 0)
    source._cached.clear()
    await source.keys_of("shop", "returns")
    assert await keys._sweep(-1, -1) == KeySweep(owners, 0, 2), (
        "all that was asked for is at an end"
    )
    assert (await keys.usage()).owners == owners - 2
    assert await source.keys_of("shop", "gone", create=True)


async def test_where_records_live_for_ever_nothing_is_swept(server: Server) -> None:
    async with sojourn.open(
        server.url, namespace="endless", keys=KeyRing.new(), state_ttl=None
    ) as store:
        await store.room("keys").keys_of("shop", "gone", create=True)
        assert await store.admin.keys.sweep() == KeySweep(1, 0, 0)
        with pytest.raises(InvalidInput):
            await store.admin.keys.sweep(idle=86_399)
    async with sojourn.open("memory://", keys=KeyRing.new()) as store:
        with pytest.raises(ConfigurationError):
            await store.admin.keys.sweep()
