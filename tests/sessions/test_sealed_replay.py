"""Buffered writes that were sealed, replayed after their data key was replaced or dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import sojourn
from servers import Server, any_binary
from sojourn.codecs.codec import sealed_with
from sojourn.errors import Tampered
from sojourn.keys import KeyRing
from sojourn.telemetry import ReplayReport


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server", any_binary(), ["--appendonly", "yes"]).start()
    yield server
    server.close()


def said(text: str, **more: Any) -> sojourn.Event:
    return sojourn.Event(author="user", payload=text, **more)


async def leave(server: Server, journal: Path, **options: Any) -> sojourn.SessionKey:
    """Write to a session, and leave one more write, and one more session, in a journal."""
    options |= {"on_outage": "buffer", "journal": str(journal)}
    async with sojourn.open(server.url, **options) as store:
        key = (await store.sessions.create("shop", "ada", title="tea", state={"app:c": 0})).key
        await store.sessions.append(key, said("one"))
        server.stop()
        delta = {"a": 1, "user:b": 2, "app:c": 3}
        written = await store.sessions.append(key, said("two", state_delta=delta))
        assert not written.durable
        assert not (await store.sessions.create("shop", "ada", title="coffee")).durable
    server.start()
    return key


async def replay(server: Server, journal: Path, **options: Any) -> ReplayReport:
    options |= {"on_outage": "buffer", "journal": str(journal), "key_cache_seconds": 0.1}
    async with sojourn.open(server.url, **options) as store:
        told: asyncio.Future[ReplayReport] = asyncio.get_running_loop().create_future()
        store.on_replay(told.set_result)
        await store.sessions.count("shop", "ada")  # whatever asks looks for what waits
        return await asyncio.wait_for(told, 10)


def sealing_keys(server: Server, key: sojourn.SessionKey) -> set[str]:
    """With what the content of a user's sessions and state is sealed."""
    with redis.Redis.from_url(server.url) as client:
        values = client.lrange(f"session:{{shop:ada}}:{key.session}:events", 0, -1)
        for name in client.scan_iter("session:{shop:ada}:*", _type="hash"):
            values.append(client.hget(name, "title"))
        values.append(client.hget("state:{shop:ada}", "state:b"))
        return {sealed_with(value) for value in values}


async def test_what_waits_is_sealed_with_the_key_of_now(own: Server, tmp_path: Path) -> None:
    ring, journal = KeyRing.new(), tmp_path / "journal"
    key = await leave(own, journal, keys=ring, compression="zstd")
    async with sojourn.open(own.url, keys=ring, key_cache_seconds=0.1) as store:
        (first,) = await store.admin.keys.of("shop", "ada")
        second = await store.admin.keys.new_data_key("shop", "ada")
        report = await replay(own, journal, keys=ring, compression="zstd")
        assert (report.applied, report.refused) == (2, ())
        session = await store.sessions.get(key)
        assert session is not None
        assert session.complete
        assert [event.payload for event in session.events] == ["one", "two"]
        assert session.state == {"a": 1, "user:b": 2, "app:c": 3}
        page = await store.sessions.list("shop", "ada")
        assert {each.title for each in page.sessions} == {"tea", "coffee"}
        assert sealing_keys(own, key) == {first.id, second}
        assert (await store.admin.reseal("shop", "ada")).dropped == [first.id]
        assert await store.sessions.get(key) is not None


async def test_what_waits_under_a_dropped_key_spoils_no_session(
    own: Server, tmp_path: Path
) -> None:
    ring, journal = KeyRing.new(), tmp_path / "journal"
    key = await leave(own, journal, keys=ring)
    async with sojourn.open(own.url, keys=ring, key_cache_seconds=0.1) as store:
        assert (await store.admin.reseal("shop", "ada")).dropped
        report = await replay(own, journal, keys=ring)
        assert report.applied == 0
        assert [each.reason.partition(":")[0] for each in report.refused] == ["Erased", "Erased"]
        session = await store.sessions.get(key)
        assert session is not None
        assert [event.payload for event in session.events] == ["one"]
        assert await store.sessions.count("shop", "ada") == 1


async def test_what_waits_unsealed_is_refused_where_all_is_sealed(
    own: Server, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    await leave(own, journal, compression="zstd", serializer="msgpack")
    report = await replay(own, journal, keys=KeyRing.new())
    assert report.applied == 0
    assert {each.reason.partition(":")[0] for each in report.refused} == {Tampered.__name__}
    assert [path.name for path in journal.rglob("refused.jsonl")]  # for people to look at
