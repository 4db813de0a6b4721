"""on_outage="buffer": a log that others cut is never held as it was before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from outage_kit import ALWAYS, buffering, replayed, said, texts

import sojourn
from proxy import Proxy
from servers import Server, any_binary
from sojourn import Event, OutcomeUnknown, Session, Unavailable
from sojourn.client import Sojourn


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


@pytest.fixture
async def made(store: Sojourn) -> Session[Event]:
    made = await store.sessions.create("shop", "ada")
    for text in ("one", "two", "three"):
        await store.sessions.append(made.key, said(text))
    return made


async def cut(other: Sojourn, made: Session[Event], *, drop: int) -> None:
    """Another process takes back what was said last, and says as much."""
    await other.sessions.trim(made.key, drop=drop)
    await other.sessions.append(made.key, said("theirs"))


BETWEEN = [("nothing", 1), ("nothing", 3), ("update", 1), ("update", 2), ("touch", 1), ("touch", 3)]


@pytest.mark.parametrize("way", BETWEEN)
async def test_an_append_behind_a_cut_is_all_that_is_held(
    store: Sojourn, other: Sojourn, server: Server, made: Session[Event], way: tuple[str, int]
) -> None:
    between, drop = way
    await cut(other, made, drop=drop)
    if between == "update":
        await store.sessions.update(made.key, title="changed")
    if between == "touch":
        await store.sessions.touch(made.key)
    await store.sessions.append(made.key, said("ours"))
    server.stop(9)
    seen = await store.sessions.get(made.key)
    assert (texts(seen), seen.complete, seen.events[0].seq) == (["ours"], False, 5 - drop)


async def test_a_cut_behind_a_touch_is_noticed(
    store: Sojourn, other: Sojourn, server: Server, made: Session[Event]
) -> None:
    await other.sessions.trim(made.key, drop=1)
    await store.sessions.touch(made.key)
    await store.sessions.append(made.key, said("ours"))
    server.stop(9)
    assert texts(await store.sessions.get(made.key)) == ["ours"]


async def test_what_was_cut_in_an_outage_is_not_held_after_it(
    server: Server, other: Sojourn
) -> None:
    async with (
        Proxy(server.port) as proxy,
        sojourn.open(proxy.url, on_outage="buffer", operation_timeout=0.8) as store,
    ):
        made = await store.sessions.create("shop", "ada")
        for text in ("one", "two", "three"):
            await store.sessions.append(made.key, said(text))
        proxy.on_request = lambda _: "drop"
        assert not (await store.sessions.append(made.key, said("ours"))).durable
        await cut(other, made, drop=1)
        proxy.on_request = lambda _: "pass"
        await replayed(store)
        proxy.on_request = lambda _: "drop"
        with pytest.raises(Unavailable):
            await store.sessions.get(made.key)
        assert texts(await other.sessions.get(made.key)) == ["one", "two", "theirs", "ours"]
        proxy.on_request = lambda _: "pass"


@pytest.mark.parametrize("call", ["update", "trim", "save", "delete"])
async def test_what_is_in_doubt_is_not_held(server: Server, call: str) -> None:
    async with (
        Proxy(server.port) as proxy,
        sojourn.open(proxy.url, on_outage="buffer", operation_timeout=0.8) as store,
    ):
        made = await store.sessions.create("shop", "ada", title="before")
        options: dict[str, object] = {
            "update": {"title": "after"},
            "trim": {"keep": 0},
            "save": {"title": "after"},
        }.get(call, {})
        proxy.on_request = lambda _: "lose"
        with pytest.raises(OutcomeUnknown):
            await getattr(store.sessions, call)(made.key, **options)
        with pytest.raises(Unavailable):
            await store.sessions.get(made.key)
