"""on_outage="buffer": what a call is told while others are replayed, and what is held."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from outage_kit import ALWAYS, buffering, replayed, said, texts

import sojourn
from proxy import Proxy
from servers import Server, any_binary
from sojourn import OutcomeUnknown, Unavailable
from sojourn.calls.operation import Operation
from sojourn.client import Sojourn
from sojourn.sessions.operations import Append


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server", any_binary(), ALWAYS).start()
    yield server
    server.close()


@pytest.fixture
async def store(server: Server) -> AsyncIterator[Sojourn]:
    async with buffering(server) as store:
        yield store


@pytest.fixture
async def other(server: Server) -> AsyncIterator[Sojourn]:
    """Another process, that buffers nothing."""
    async with sojourn.open(server.url, operation_timeout=5) as other:
        yield other


async def test_a_write_that_was_sent_is_in_doubt_though_the_buffer_is_full(
    server: Server, other: Sojourn
) -> None:
    async with buffering(server, buffer_calls=1) as store:
        full, sent = [await store.sessions.create("shop", "ada") for _ in range(2)]
        await store.sessions.append(sent.key, said("before"))
        server.pause()
        _, error = await asyncio.gather(  # both are sent, and what fills the buffer ends first
            store.sessions.append(full.key, said("fills it")),
            store.sessions.append(sent.key, said("sent"), operation_id="op"),
            return_exceptions=True,
        )
        assert isinstance(error, OutcomeUnknown)
        assert error.operation_id == "op"
        server.resume()
        await replayed(store)
        await other.sessions.append(sent.key, said("sent"), operation_id="op")
    assert texts(await other.sessions.get(sent.key)) == ["before", "sent"]


async def test_a_replay_whose_reply_was_lost_is_looked_for_in_the_log(
    server: Server, other: Sojourn
) -> None:
    async with Proxy(server.port) as proxy:
        options = {"on_outage": "buffer", "operation_timeout": 0.8}
        async with sojourn.open(proxy.url, **options) as store:  # type: ignore[arg-type]
            made = await store.sessions.create("shop", "ada")
            server.stop(9)
            with pytest.raises(Unavailable):
                await store.sessions.list("shop", "ada")  # so nothing more is sent
            await store.sessions.append(made.key, said("once"))
            heard = list[bytes]()

            def answers_no_more(data: bytes) -> str:
                heard.extend([data] * (b"once" in data))
                return "lose" if len(heard) == 1 else "drop" if heard else "pass"

            proxy.on_request = answers_no_more
            server.start()
            async with asyncio.timeout(10):
                while not texts(await other.sessions.get(made.key)):
                    await asyncio.sleep(0.01)
            for _ in range(1100):
                await other.sessions.append(made.key, said("other"))
            with server.client() as client:  # as after a day, or an eviction
                client.delete(f"session:{{shop:ada}}:{made.key.session}:ops")
            proxy.on_request = lambda _: "pass"
            report = await replayed(store)
    assert (report.applied, report.duplicates) == (0, 1)
    assert texts(await other.sessions.get(made.key)).count("once") == 1


async def test_a_write_that_was_done_is_not_refused_by_what_goes_on_here(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    made = await store.sessions.create("shop", "ada")
    inner: Any = store._rooms["sessions"].buffer._store  # type: ignore[union-attr]
    gate, real = asyncio.Event(), inner.run

    async def slow(operation: Operation[Any]) -> Any:
        written = await real(operation)
        if isinstance(operation, Append):
            await gate.wait()
        return written

    inner.run = slow
    first = asyncio.create_task(
        store.sessions.append(made.key, said("first"), expected_version=made.version)
    )
    async with asyncio.timeout(10):
        while not texts(await other.sessions.get(made.key)):
            await asyncio.sleep(0.01)
    inner.run = real
    server.stop(9)
    await store.sessions.append(made.key, said("second"))
    await store.sessions.append(made.key, said("third"))
    gate.set()
    assert (await first).durable
    server.start()
    await replayed(store)
    assert texts(await other.sessions.get(made.key)) == ["first", "second", "third"]


async def test_a_call_does_not_wait_for_a_long_replay(server: Server) -> None:
    async with Proxy(server.port) as proxy:
        options = {"on_outage": "buffer", "operation_timeout": 0.8}
        async with sojourn.open(proxy.url, **options) as store:  # type: ignore[arg-type]
            made = await store.sessions.create("shop", "ada")
            server.stop(9)
            for n in range(500):
                await store.sessions.append(made.key, said(str(n)))
            proxy.on_request = lambda _: 0.1
            server.start()
            async with asyncio.timeout(20):
                while store.stats().buffered == 500:
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(5):
                with pytest.raises(Unavailable, match="Nothing of this call was sent"):
                    await store.sessions.update(made.key, title="new")
                assert not (await store.sessions.append(made.key, said("500"))).durable
            proxy.on_request = lambda _: "pass"
            await replayed(store)


async def test_state_of_a_user_is_not_overwritten_by_older_writes_that_waited(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    one, two = [await store.sessions.create("shop", "ada") for _ in range(2)]
    server.stop(9)
    older = {f"{scope}:n": 1 for scope in ("user", "app")}
    await store.sessions.append(one.key, said("older", **older))
    server.start()
    newer = dict.fromkeys(older, 2)
    await store.sessions.append(two.key, said("newer", **newer))
    async with asyncio.timeout(20):
        while store.stats().buffered:
            await asyncio.sleep(0.01)
    found = await other.sessions.get(two.key)
    assert found is not None
    assert found.state == newer


async def test_a_call_is_not_told_that_it_was_sent_when_only_the_replay_was(
    server: Server,
) -> None:
    async with Proxy(server.port) as proxy:
        options = {"on_outage": "buffer", "operation_timeout": 0.8}
        async with sojourn.open(proxy.url, **options) as store:  # type: ignore[arg-type]
            made = await store.sessions.create("shop", "ada")
            proxy.on_request = lambda data: "drop" if b"lost" in data else "pass"
            assert not (await store.sessions.append(made.key, said("lost"))).durable
            with pytest.raises(Unavailable, match="Nothing of this call was sent") as caught:
                await store.sessions.update(made.key, title="new")
            assert not isinstance(caught.value, OutcomeUnknown)


async def test_what_others_wrote_before_our_last_event_leaves_no_hole(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    made = await store.sessions.create("shop", "ada")
    await store.sessions.append(made.key, said("ours"))
    await other.sessions.append(made.key, said("theirs"))
    await store.sessions.append(made.key, said("ours, too"))
    server.stop(9)
    await store.sessions.append(made.key, said("in the outage"))
    found = await store.sessions.get(made.key)
    assert found is not None
    assert (texts(found), found.length, found.complete) == (
        ["ours, too", "in the outage"],
        4,
        False,
    )
    assert [event.seq for event in found.events] == [3, 4]


async def test_a_disk_that_fails_leaves_a_buffered_write_in_doubt(
    server: Server, other: Sojourn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async with buffering(server, journal=tmp_path / "journal") as store:
        made = await store.sessions.create("shop", "ada")
        server.pause()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", broken)
            with pytest.raises(OutcomeUnknown, match="Input/output error") as caught:
                await store.sessions.append(made.key, said("one"))
        server.resume()
        await replayed(store)
        again = await other.sessions.append(
            made.key, said("one"), operation_id=caught.value.operation_id
        )
        assert again.repeated
    assert texts(await other.sessions.get(made.key)) == ["one"]


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("end", ["rotate", "delete"])
async def test_the_report_says_what_became_of_a_write_whose_session_is_gone(
    server: Server, stored: bool, end: str
) -> None:
    """It was sent, and its reply was lost; then the session was rotated or deleted elsewhere."""
    async with (
        Proxy(server.port) as proxy,
        sojourn.open(server.url) as other,
        buffering(proxy) as store,  # type: ignore[arg-type]
    ):
        made = await store.sessions.create("shop", "ada")
        await store.sessions.append(made.key, said("one"))
        heard: list[bytes] = []

        def cut(data: bytes) -> str:
            heard.extend([data] if b"doubtful" in data else [])
            first = stored and len(heard) == 1 and b"doubtful" in data
            return "lose" if first else "drop"

        proxy.on_request = cut
        done = await store.sessions.append(made.key, said("doubtful"))
        assert not done.durable
        if end == "rotate":
            key = (await other.sessions.rotate(made.key)).key
            key = (await other.sessions.rotate(key)).key
            found = await other.sessions.get(key)
            assert texts(found) == ["one", "doubtful"][: 1 + stored]
        else:
            key = made.key
            await other.sessions.delete(key)
        proxy.on_request = lambda _: "pass"
        report = await replayed(store)
    assert report.applied == 0
    if stored and end == "rotate":
        assert (report.duplicates, report.refused) == (1, ())
    else:
        (refused,) = report.refused
        assert report.duplicates == 0
        assert "may have been applied" in refused.reason
        assert "Nothing was written" not in refused.reason
        kind = "SessionRotated" if end == "rotate" else "SessionNotFound"
        assert refused.reason.startswith(f"{kind}: ")
        assert key.session not in refused.reason or end == "delete"
