"""A write that is repeated is acknowledged only when replicas have what was done the first time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

import sojourn
from extent import FULL
from servers import BINARIES, NotHere, Server, until
from sojourn import Event, OutcomeUnknown, SessionKey
from sojourn.memory import Draft


@pytest.fixture(params=BINARIES if FULL else ["valkey-9"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """A primary and its only replica, which has all."""
    try:
        binary = BINARIES[request.param]()
    except NotHere as error:
        pytest.skip(str(error))
    primary = Server(tmp_path / "primary", binary).start()
    replica = Server(tmp_path / "replica", binary).start()
    try:
        replica.ask("REPLICAOF", "127.0.0.1", primary.port)
        until("the replica is there", lambda: primary.ask("WAIT", 1, 100) == 1)
        yield primary, replica
    finally:
        replica.close()
        primary.close()


Do = Callable[[sojourn.Sojourn, SessionKey], Awaitable[object]]

WRITES: dict[str, Do] = {
    "create": lambda store, key: store.sessions.create(*key, operation_id="op"),
    "append": lambda store, key: store.sessions.append(
        key, Event(author="a", payload=1), operation_id="op"
    ),
    "update": lambda store, key: store.sessions.update(key, title="t", operation_id="op"),
    "save": lambda store, key: store.sessions.save(key, operation_id="op"),
    "trim": lambda store, key: store.sessions.trim(key, drop=1, operation_id="op"),
    "rotate": lambda store, key: store.sessions.rotate(key, operation_id="op"),
    "delete": lambda store, key: store.sessions.delete(key, operation_id="op"),
    "put": lambda store, key: store.memory.user(key.user).put("k", 1, operation_id="op"),
    "add": lambda store, key: store.memory.user(key.user).add(
        {"k": Draft(value=1)}, operation_id="op"
    ),
    "remove": lambda store, key: store.memory.user(key.user).delete("k", operation_id="op"),
    "artifact": lambda store, key: store.artifacts.save(key, "a", b"1", operation_id="op"),
    "no artifact": lambda store, key: store.artifacts.delete(key, "a", operation_id="op"),
    "cached": lambda store, key: store.cache.put(key.user, 1, operation_id="op"),
    "uncached": lambda store, key: store.cache.delete(key.user, operation_id="op"),
}
OF_A_SESSION = ("append", "update", "save", "trim", "rotate", "delete")


async def test_a_repeated_write_waits_for_the_replicas(pair: tuple[Server, Server]) -> None:
    primary, replica = pair
    replica.pause()
    keys = {what: SessionKey.of("shop", what, "s") for what in WRITES}
    async with sojourn.open(primary.url) as store:
        for what, key in keys.items():
            if what in OF_A_SESSION:
                await store.sessions.create(*key)
            await WRITES[what](store, key)

    async def repeat(what: str) -> object:
        url = f"{primary.url}?durability=replicas&operation_timeout=0.7"
        async with sojourn.open(url) as store:
            try:
                return await WRITES[what](store, keys[what])
            except OutcomeUnknown as error:
                return type(error)

    outcomes = await asyncio.gather(*map(repeat, WRITES))
    expected = dict.fromkeys(WRITES, OutcomeUnknown)
    assert dict(zip(WRITES, outcomes, strict=True)) == expected
    replica.resume()
    with primary.client() as admin:
        admin.set("last", 1)
        until("the replica has all", lambda: admin.wait(1, 1000) == 1)
    assert OutcomeUnknown not in [await repeat(what) for what in WRITES]
