"""A client that is killed between any two commands, and others that go on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import redis

import sojourn
from faults.checker import check
from faults.client import Client, Ways
from faults.mortal import NAME, PLACES
from faults.mortals import Mortals
from faults.notebook import Entry, Notebook
from faults.stored import look
from proxy import Proxy
from servers import Server
from sojourn import Event, SessionKey


async def live(  # noqa: PLR0917 - what, where and when
    mortals: Mortals,
    proxy: Proxy,
    url: str,
    path: Path,
    point: tuple[int, int] | None,
    life: str = "live",
) -> list[bytes]:
    """One life, cut off at a point: so many requests, and so many commands of the next.

    Gives the requests that it had sent.
    """
    process = await mortals.bear(life, url, path)

    def die() -> None:
        with suppress(ProcessLookupError):  # over its other connection
            os.kill(process, signal.SIGKILL)
        raise ConnectionAbortedError

    def on_request(data: bytes) -> str | int:
        if point is None or len(proxy.requests) != point[0]:
            return "pass"
        return starts(data)[: point[1] + 1][-1]

    proxy.requests.clear()
    proxy.between = die
    proxy.on_request = on_request
    mortals.go()
    await mortals.ended()
    return list(proxy.requests)


def starts(data: bytes) -> list[int]:
    """Where the commands in a request start, and where the last one ends."""
    found, at = [0], 0
    while at < len(data):
        end = data.index(b"\r\n", at)
        words, at = int(data[at + 1 : end]), end + 2
        for _ in range(words):
            end = data.index(b"\r\n", at)
            at = end + 2 + int(data[at + 1 : end]) + 2
        found.append(at)
    return found


@pytest.fixture
async def proxy(shared_server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(shared_server.port) as proxy:
        yield proxy


@pytest.fixture
async def mortals() -> AsyncIterator[Mortals]:
    async with Mortals() as mortals:
        yield mortals


@pytest.mark.parametrize("repeats", [True, False], ids=["repeated", "left"])
async def test_a_client_that_is_killed_between_any_two_commands(
    shared_server: Server, proxy: Proxy, mortals: Mortals, tmp_path: Path, repeats: bool
) -> None:
    url = f"{proxy.url}?namespace=whole{repeats}"
    whole = await live(mortals, proxy, url, tmp_path / "whole", None)
    assert {entry.outcome for entry in Notebook.read(NAME, tmp_path / "whole").entries} == {
        "acknowledged"
    }
    points = [(k, n) for k, data in enumerate(whole) for n in range(len(starts(data)))]
    assert len(points) > 40
    outcomes: set[str] = set()
    with shared_server.client() as direct:
        for number, point in enumerate(points):
            space, path = f"life{number}{repeats}", tmp_path / f"{number}"
            await live(mortals, proxy, f"{proxy.url}?namespace={space}", path, point)
            book = Notebook.read(NAME, path)
            outcomes |= {entry.outcome for entry in book.entries}
            async with sojourn.open(shared_server.url, namespace=space) as store:
                heir = Client("heir", store, Random(1), Ways())
                if repeats:
                    await repeat(store, book)
                await go_on(heir, store)
                await until_nothing_is_left_to_carry(direct, space)
            found = check(look([direct], space), [book, heir.book])
            assert (point, found.problems(), heir.findings) == (point, [], [])
    assert outcomes == {"acknowledged", "unknown"}


async def repeat(store: sojourn.Sojourn, book: Notebook) -> None:
    """Do again what was not answered, as a process does that had written it down before."""
    for entry in book.entries:
        if entry.outcome == "unknown":
            await CALLS[entry.kind](store, entry)
            entry.outcome = "acknowledged"


async def _create(store: sojourn.Sojourn, entry: Entry) -> None:
    state = {key: value for key, value in entry.values.items() if key != "@title"}
    title = entry.values["@title"]
    await store.sessions.create(
        *entry.place, state=state, title=title, operation_id=entry.operation_id
    )


async def _append(store: sojourn.Sojourn, entry: Entry) -> None:
    events = [Event(author=NAME, payload=1, id=event) for event in entry.events]
    events[-1] = Event(author=NAME, payload=1, id=events[-1].id, state_delta=entry.values)
    await store.sessions.append(
        SessionKey.of(*entry.place), *events, operation_id=entry.operation_id
    )


async def _update(store: sojourn.Sojourn, entry: Entry) -> None:
    await store.sessions.update(
        SessionKey.of(*entry.place), title=entry.values["@title"], operation_id=entry.operation_id
    )


async def _delete(store: sojourn.Sojourn, entry: Entry) -> None:
    key, incarnation = SessionKey.of(*entry.place), entry.incarnation
    await store.sessions.delete(key, incarnation=incarnation, operation_id=entry.operation_id)


CALLS = {"create": _create, "append": _append, "update": _update, "delete": _delete}


async def go_on(heir: Client, store: sojourn.Sojourn) -> None:
    """Another client writes to the sessions that there are."""
    for place in PLACES:
        found = await store.sessions.get(SessionKey.of(*place))
        if found is not None:
            assert found.complete
            await heir.append(place, found.incarnation)


async def until_nothing_is_left_to_carry(direct: redis.Redis, space: str) -> None:
    """What is carried over is taken out of the outbox by a call that nobody waits for."""
    async with asyncio.timeout(10):
        while await asyncio.to_thread(direct.exists, f"{space}:outbox:{{shop:ada}}"):
            await asyncio.sleep(0.005)
