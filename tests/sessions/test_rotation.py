"""What a rotation leaves on the server, and what becomes of it when replies are lost."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from outage_kit import ALWAYS, buffering, replayed, said, texts

import sojourn
from faults.mortals import Mortals
from proxy import Proxy
from servers import Server, any_binary
from sojourn import (
    CorruptRecord,
    OutcomeUnknown,
    ServerOutOfMemory,
    SessionKey,
    SessionNotFound,
    Unavailable,
)
from sojourn.sessions import Rotated

KEY = SessionKey.of("shop", "ada", "old")


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url, notices=True) as store:
        yield store


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


async def filled(store: sojourn.Sojourn, **options: Any) -> None:
    """A session with all that one can have."""
    await store.sessions.create(*KEY, state={"n": 1}, **options)
    await store.sessions.append(KEY, said("one"), operation_id="op")
    for name in ("a", "b"):
        await store.artifacts.save(KEY, name, b"0")
        await store.artifacts.save(KEY, name, b"1")


async def whole(store: sojourn.Sojourn, key: SessionKey) -> None:
    """All of it is there, once, and nothing under the old id."""
    session = await store.sessions.get(key)
    assert session is not None
    assert (session.complete, session.state, session.length) == (True, {"n": 1}, 1)
    assert await store.sessions.get(KEY) is None
    listed = (await store.sessions.list("shop", "ada")).sessions
    assert [each.key for each in listed] == [key]
    assert await store.artifacts.names(KEY) == []
    assert await store.artifacts.names(key) == ["a", "b"]
    for name in ("a", "b"):
        assert len(await store.artifacts.versions(key, name)) == 2


# ── on the server ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ttl", [100, None])
async def test_no_key_of_the_old_id_is_left_and_none_is_immortal(
    store: sojourn.Sojourn, client: redis.Redis, ttl: float | None
) -> None:
    await filled(store, ttl=ttl)
    before = {
        kind: client.pexpiretime(f"session:{{shop:ada}}:old{kind}") for kind in ("", ":events")
    }
    expiry = client.zscore("sessions:{shop:ada}:expiry", "old")
    done = await store.rotate(KEY)
    new = done.key.session
    for kind, expires in before.items():
        assert client.pexpiretime(f"session:{{shop:ada}}:{new}{kind}") == expires
    assert client.zscore("sessions:{shop:ada}:expiry", new) == expiry
    # Until a day has passed, a late save of an artifact that is repeated finds that it was done.
    left = [key for key in client.keys("*") if key.endswith("}:old") or "}:old:" in key]
    assert all(":saved:" in key for key in left)
    endless = {key.split(":")[0] for key in client.keys("*") if client.ttl(key) == -1}
    assert endless == (set() if ttl else {"session", "sessions", "recent", "users", "apps"})


async def test_an_index_that_was_evicted_is_made_again_with_its_lifetime(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    await filled(store)
    client.delete("sessions:{shop:ada}", "sessions:{shop:ada}:expiry")
    done = await store.rotate(KEY)
    await whole(store, done.key)
    for index in ("sessions:{shop:ada}", "sessions:{shop:ada}:expiry"):
        assert 0 < client.ttl(index) <= 2_600_000 * 1.02


async def test_a_log_that_was_evicted_stays_incomplete(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    await filled(store)
    client.delete("session:{shop:ada}:old:events", "session:{shop:ada}:old:ops")
    done = await store.rotate(KEY)
    session = await store.sessions.get(done.key)
    assert session is not None
    assert (session.complete, session.length) == (False, 1)


async def test_a_page_behind_an_equal_place_misses_no_rotated_session(
    store: sojourn.Sojourn,
) -> None:
    for name in "abcz":
        await store.sessions.create("shop", "ada", name, created=1.0)
    first = await store.sessions.list("shop", "ada", limit=3)
    done = await store.sessions.rotate(SessionKey.of("shop", "ada", "z"))
    rest = await store.sessions.list("shop", "ada", limit=3, cursor=first.cursor)
    assert done.key in [each.key for each in rest.sessions]


async def test_a_session_that_cannot_be_read_keeps_its_id(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    await filled(store)
    client.hset("session:{shop:ada}:old", "expires", "soon")
    before = sorted(client.keys("*"))
    with pytest.raises(CorruptRecord):
        await store.rotate(KEY)
    assert sorted(key for key in client.keys("*") if "quarantine" not in key) == before


async def test_a_full_server_changes_nothing(store: sojourn.Sojourn, server: Server) -> None:
    await filled(store)
    server.ask("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(ServerOutOfMemory):
        await store.rotate(KEY, operation_id="r")
    server.ask("CONFIG", "SET", "maxmemory", "0")
    assert await store.sessions.get(KEY) is not None
    await whole(store, (await store.rotate(KEY, operation_id="r")).key)


async def test_artifacts_that_are_damaged_or_lost_are_so_under_the_new_id(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    await filled(store)
    for name in ("lost", "foreign", "partly"):
        await store.artifacts.save(KEY, name, b"1")
    client.delete("artifact:{shop:ada}:old:lost")
    client.set("artifact:{shop:ada}:old:foreign", "text", px=100_000)
    client.delete(*client.keys("artifact:{shop:ada}:old:partly:data:*"))
    client.hset("artifact:{shop:ada}:old:a", "versions", "x")
    done = await store.rotate(KEY)
    assert await store.artifacts.names(done.key) == ["a", "b", "foreign", "lost", "partly"]
    for name in ("a", "lost", "partly"):
        with pytest.raises(CorruptRecord):
            await store.artifacts.load(done.key, name)
    assert client.get(f"artifact:{{shop:ada}}:{done.key.session}:foreign") == "text"


# ── other processes ────────────────────────────────────────────────────────────────────────────


async def test_what_another_process_has_read_before_is_gone_for_it(
    store: sojourn.Sojourn, server: Server
) -> None:
    await filled(store)
    async with sojourn.open(server.url) as other:
        before = await other.sessions.get(KEY)
        assert before is not None
        done = await store.rotate(KEY)
        assert await other.sessions.get(KEY) is None
        with pytest.raises(SessionNotFound):
            await other.sessions.append(KEY, said("two"), incarnation=before.incarnation)
        await whole(other, done.key)


async def test_in_an_outage_nothing_is_rotated(tmp_path: Path) -> None:
    server = Server(tmp_path / "lasting", any_binary(), ALWAYS).start()
    async with buffering(server) as store:
        await store.sessions.create(*KEY)
        server.stop(9)
        assert not (await store.sessions.append(KEY, said("one"))).durable
        with pytest.raises(Unavailable):
            await store.rotate(KEY)
        assert not (await store.sessions.append(KEY, said("two"))).durable
        server.start()
        async with asyncio.timeout(20):
            while (
                done := await store.sessions.safe.rotate(KEY, operation_id="r")
            ).status == "unavailable":
                await asyncio.sleep(0.001)
        session = await store.sessions.get(done.unwrap().key)
        assert texts(session) == ["one", "two"]  # what waited came first
    server.close()


async def test_what_waits_for_the_old_id_is_refused_when_it_is_replayed(
    store: sojourn.Sojourn, server: Server
) -> None:
    async with Proxy(server.port) as proxy:
        between = server.url.replace(f":{server.port}", f":{proxy.port}")
        away = sojourn.open(between, on_outage="buffer", operation_timeout=0.3)
        async with away:
            await filled(away)
            proxy.on_request = lambda _: "drop"
            assert not (await away.sessions.append(KEY, said("late"))).durable
            done = await store.rotate(KEY)
            proxy.on_request = lambda _: "pass"
            report = await replayed(away)
            assert [each.reason.split(":")[0] for each in report.refused] == ["SessionRotated"]
            assert await away.sessions.get(KEY) is None
            await whole(away, done.key)


# ── lost replies, lost clients ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("what", ["lose", "drop", "trim"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
async def test_a_rotation_happens_once_whatever_is_lost(
    store: sojourn.Sojourn, server: Server, what: str, nth: int
) -> None:
    await filled(store)
    scripts: list[bytes] = []

    def on_request(data: bytes) -> str:
        if b"EVALSHA" in data:
            scripts.append(data)
        return what if b"EVALSHA" in data and len(scripts) == nth else "pass"

    async with Proxy(server.port) as proxy, sojourn.open(proxy.url) as client:
        proxy.on_request = on_request
        done = await client.rotate(KEY)
        await whole(client, done.key)
    assert len(scripts) >= nth


async def test_a_rotation_in_doubt_is_settled_by_its_operation_id(
    store: sojourn.Sojourn, server: Server
) -> None:
    await filled(store)
    async with (
        Proxy(server.port) as proxy,
        sojourn.open(proxy.url, operation_timeout=0.2) as client,
    ):
        await client.ping()
        proxy.on_request = lambda data: "mute" if b"EVALSHA" in data else "pass"
        with pytest.raises(OutcomeUnknown) as caught:
            await client.rotate(KEY)
    done = await store.rotate(KEY, operation_id=caught.value.operation_id)
    assert done.repeated
    await whole(store, done.key)


async def test_artifacts_that_could_not_be_moved_leave_the_rotation_in_doubt(
    store: sojourn.Sojourn, server: Server
) -> None:
    await filled(store)

    def on_request(data: bytes) -> str:
        return "stall" if b"artifact" in data else "pass"

    async with Proxy(server.port) as proxy:
        proxy.on_request = on_request
        async with sojourn.open(proxy.url, operation_timeout=0.3) as client:
            with pytest.raises(OutcomeUnknown) as caught:
                await client.rotate(KEY)
    done = await store.rotate(KEY, operation_id=caught.value.operation_id)
    assert done.repeated
    await whole(store, done.key)


async def test_a_client_that_is_killed_at_any_request_leaves_a_rotation_that_can_be_repeated(
    shared_server: Server, tmp_path: Path
) -> None:
    async with Proxy(shared_server.port) as proxy, Mortals() as mortals:
        at, seen = 0, 1
        while at < seen:
            at += 1
            space = f"rotate-{secrets.token_hex(4)}"
            async with sojourn.open(shared_server.url, namespace=space) as store:
                await filled(store)
                process = await mortals.bear("rotate", f"{proxy.url}?namespace={space}", *KEY)

                def on_request(_: bytes, process: int = process, at: int = at) -> str:
                    if len(proxy.requests) + 1 != at:
                        return "pass"
                    os.kill(process, signal.SIGKILL)
                    return ("lose", "drop")[at % 2]

                proxy.requests.clear()
                proxy.on_request = on_request
                mortals.go()
                await mortals.ended()
                seen = max(seen, len(proxy.requests) + (len(proxy.requests) >= at))
                done = await store.rotate(KEY, operation_id="r")
                assert isinstance(done, Rotated)
                await whole(store, done.key)
        assert at > 4
