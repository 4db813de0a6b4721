"""A read whose reply comes late must not replace what this process was told meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from outage_kit import ALWAYS, buffering, replayed, said, texts

from servers import Server, any_binary
from sojourn import Event, OutcomeUnknown, Unavailable
from sojourn.calls.operation import Operation
from sojourn.client import Sojourn
from sojourn.sessions.operations import Append, Read


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server", any_binary(), ALWAYS).start()
    yield server
    server.close()


@pytest.fixture
async def store(server: Server) -> AsyncIterator[Sojourn]:
    async with buffering(server) as store:
        yield store


async def late(
    store: Sojourn, kind: type[Operation[Any]], call: Awaitable[Any], work: Awaitable[Any]
) -> None:
    """Do some work between the server's reply to an operation and its arrival."""
    inner: Any = store._rooms["sessions"].buffer._store  # type: ignore[union-attr]
    real: Callable[..., Awaitable[Any]] = inner.run
    replied, goes_on = asyncio.Event(), asyncio.Event()

    async def held_up(operation: Operation[Any]) -> Any:
        if not isinstance(operation, kind):
            return await real(operation)
        inner.run = real  # only this call
        reply = await real(operation)
        replied.set()
        await goes_on.wait()
        return reply

    inner.run = held_up
    task = asyncio.ensure_future(call)
    await replied.wait()
    await work
    goes_on.set()
    await task


async def test_what_was_acknowledged_is_shown(store: Sojourn, server: Server) -> None:
    made = await store.sessions.create("shop", "ada")
    await store.sessions.append(made.key, said("one"))
    append = store.sessions.append(made.key, said("two", n=2))
    await late(store, Read, store.sessions.get(made.key), append)
    server.stop(9)
    found = await store.sessions.get(made.key)
    assert texts(found) == ["one", "two"]
    assert found is not None
    assert (found.complete, found.state) == (True, {"n": 2})
    done = await store.sessions.append(made.key, said("three"))
    assert done.seqs == range(3, 4)


async def test_a_later_read_is_what_counts(store: Sojourn, server: Server) -> None:
    made = await store.sessions.create("shop", "ada")
    await store.sessions.append(made.key, said("one"))
    async with buffering(server) as other:

        async def work() -> None:
            await other.sessions.append(made.key, said("two"))
            await store.sessions.get(made.key)

        await late(store, Read, store.sessions.get(made.key), work())
    server.stop(9)
    assert texts(await store.sessions.get(made.key)) == ["one", "two"]


@pytest.mark.parametrize("call", ["delete", "save", "trim", "rotate", "forget"])
async def test_what_is_gone_does_not_come_back(store: Sojourn, server: Server, call: str) -> None:
    made = await store.sessions.create("shop", "ada")
    await store.sessions.append(made.key, said("one"), said("two"))
    work: dict[str, Callable[[], Awaitable[Any]]] = {
        "delete": lambda: store.sessions.delete(made.key),
        "save": lambda: store.sessions.save(made.key, events=[said("other")]),
        "trim": lambda: store.sessions.trim(made.key, keep=1),
        "rotate": lambda: store.sessions.rotate(made.key),
        "forget": lambda: store.admin.forget("ada", app="shop"),
    }
    await late(store, Read, store.sessions.get(made.key), work[call]())
    server.stop(9)
    with pytest.raises(Unavailable):
        await store.sessions.get(made.key)


async def test_a_lifetime_that_was_changed_is_kept(store: Sojourn, server: Server) -> None:
    made = await store.sessions.create("shop", "ada", ttl=3600)
    touch = store.sessions.update(made.key, ttl=60)
    await late(store, Read, store.sessions.get(made.key), touch)
    server.stop(9)
    found = await store.sessions.get(made.key)
    assert found is not None
    assert found.ttl == 60


async def test_an_append_that_is_answered_late_sets_nothing_back(
    store: Sojourn, server: Server
) -> None:
    """A large one travels on the other connection."""
    made = await store.sessions.create("shop", "ada")
    append = store.sessions.append(made.key, said("two", n=2))
    await late(store, Append, store.sessions.append(made.key, said("one", n=1)), append)
    server.stop(9)
    with pytest.raises(Unavailable):  # it cannot be known, but it is never 1
        await store.sessions.get(made.key)


async def test_what_was_read_of_a_write_in_doubt_is_not_refused(
    store: Sojourn, server: Server
) -> None:
    """The answer to an append is lost, and a read on the other connection shows its events."""
    made = await store.sessions.create("shop", "ada")
    await store.sessions.append(made.key, said("one"))
    inner: Any = store._rooms["sessions"].buffer._store  # type: ignore[union-attr]
    real = inner.run

    async def lost(operation: Operation[Any]) -> Any:
        if not isinstance(operation, Append):
            return await real(operation)
        inner.run = real
        await real(operation)
        assert texts(await store.sessions.get(made.key)) == ["one", "two"]
        server.pause()
        raise OutcomeUnknown("no answer", operation_id=operation.write.operation_id)

    inner.run = lost
    event = Event(author="user", payload="two", id="second", state_delta={"n": 2})
    done = await store.sessions.append(made.key, event, operation_id="twice")
    assert not done.durable  # whether replicas have it, say, is known when it has been replayed
    found = await store.sessions.get(made.key)
    assert texts(found) == ["one", "two"]
    more = await store.sessions.append(made.key, said("three"))
    assert more.seqs == range(3, 4)
    server.resume()
    report = await replayed(store)
    assert (report.applied, report.duplicates, report.refused) == (1, 1, ())
    assert texts(await store.sessions.get(made.key)) == ["one", "two", "three"]
