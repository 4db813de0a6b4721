"""Stores with an outage buffer, whose server, network and process are hurt by the dice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest

import sojourn
from faults.checker import check
from faults.client import Client, Ways
from faults.inject import ALWAYS, hurt, kill
from faults.load import Load
from faults.mortals import Mortals
from faults.notebook import Entry, Notebook, Place
from faults.stored import look
from proxy import Proxy
from servers import Server, any_binary
from sojourn import SessionKey
from sojourn.telemetry import ReplayReport

HASTY = Ways(timeout=0.5, pause=0.01)
CUTS = ("cut before the request", "cut after the request", "cut in the reply")
STALLS = ("stall", "stall after the request")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that forgets nothing that it has acknowledged."""
    server = Server(tmp_path / "server", any_binary(), ALWAYS).start()
    yield server
    server.close()


@pytest.fixture
async def mortals() -> AsyncIterator[Mortals]:
    async with Mortals() as mortals:
        yield mortals


class BufferedLoad(Load):
    """A load on stores that buffer, with what they report."""

    def __init__(self, *urls: str, **options: Any) -> None:
        super().__init__(*urls, ways=HASTY, on_outage="buffer", **options)
        self.reports: list[ReplayReport] = []

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        for store in self.stores:
            store.on_replay(self.reports.append)
        return self

    @property
    def waiting(self) -> int:
        return sum(store.stats().buffered for store in self.stores)

    @property
    def replayed(self) -> int:
        return sum(report.applied + report.duplicates for report in self.reports)

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not what():
                await asyncio.sleep(0.005)
                self._raise()

    async def buffered(self, more: int) -> None:
        """Wait until so many more writes wait for the server."""
        wanted = self.waiting + more
        await self.until(lambda: self.waiting >= wanted)

    async def finish(self) -> None:
        """Also wait until nothing is buffered any more."""
        await super().finish()
        await self.until(lambda: self.waiting == 0)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_server_that_is_killed_and_frozen(
    server: Server, tmp_path: Path, seed: int
) -> None:
    dice = Random(seed)
    urls, journal = (server.url, server.url), str(tmp_path / "journal")
    async with BufferedLoad(*urls, journal=journal, seed=seed) as load:
        for _ in range(4):
            await load.written(50)
            if dice.random() < 0.5:
                await kill(server, dice)
                await load.buffered(dice.randrange(1, 80))
                await asyncio.to_thread(server.start)
            else:
                server.pause()
                await load.buffered(dice.randrange(1, 80))
                server.resume()
        await load.written(50)
    refused = believe(load.reports, load.entries)
    assert {entry.incarnation for entry in refused} <= perhaps_deleted(load.entries)
    assert load.report([server.client()]).problems() == []
    assert load.replayed > 0


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_network_that_cuts_and_stalls(server: Server, seed: int) -> None:
    async with (
        Proxy(server.port) as one,
        Proxy(server.port) as two,
        BufferedLoad(one.url, two.url, seed=seed) as load,
    ):
        with hurt([one, two], Random(seed), *CUTS, *STALLS):
            await load.written(300)
            await load.until(lambda: load.replayed + load.waiting > 10)
        await load.written(50)
    refused = believe(load.reports, load.entries)
    assert {entry.incarnation for entry in refused} <= perhaps_deleted(load.entries)
    assert load.report([server.client()]).problems() == []
    assert load.replayed > 0


def believe(reports: list[ReplayReport], entries: list[Entry]) -> list[Entry]:
    """Note what a report says was refused. Gives the writes that were."""
    refused = {each.operation_id: each.reason for report in reports for each in report.refused}
    found = [entry for entry in entries if entry.operation_id in refused]
    assert len(found) == len(refused)
    for entry in found:
        assert refused[entry.operation_id].startswith("SessionNotFound")
        entry.outcome = "failed"
    return found


def perhaps_deleted(entries: list[Entry]) -> set[str]:
    return {e.incarnation for e in entries if e.kind == "delete" and e.outcome != "failed"}


@pytest.mark.parametrize("seed", [1, 2])
async def test_sessions_that_another_deletes_in_the_outage(server: Server, seed: int) -> None:
    dice, reports = Random(seed), list[ReplayReport]()
    options = {"namespace": "deleted", "operation_timeout": HASTY.timeout}
    async with (
        Proxy(server.port) as proxy,
        sojourn.open(proxy.url, on_outage="buffer", **options) as store,  # type: ignore[arg-type]
        sojourn.open(server.url, **options) as direct,  # type: ignore[arg-type]
    ):
        store.on_replay(reports.append)
        ours, other = (
            Client(name, each, dice, HASTY) for name, each in (("ours", store), ("other", direct))
        )
        places = [Place("shop", "ada", f"s{n}") for n in range(8)]
        born = {place: await ours.create(place) for place in places}
        proxy.on_request = lambda _: "drop"
        before = len(ours.book.entries)
        dead = set(dice.sample(places, 4))
        things = [*places * 5, *(("delete", place) for place in dead)]
        dice.shuffle(things)
        for thing in things:
            if isinstance(thing, Place):
                await ours.append(thing, born[thing])
                continue
            place = thing[1]
            delete = Entry("delete", place, f"delete {place.session}", born[place])
            await other.perform(
                delete,
                partial(direct.sessions.delete, SessionKey.of(*place), incarnation=born[place]),
            )
            if dice.random() < 0.5:
                await other.append(place, await other.create(place))
        buffered = ours.book.entries[before:]
        assert {entry.outcome for entry in buffered} == {"acknowledged"}
        proxy.on_request = lambda _: "pass"
        async with asyncio.timeout(20):
            while not reports:
                await asyncio.sleep(0.01)
    (report,) = reports
    refused = believe(reports, buffered)
    assert refused == [entry for entry in buffered if entry.place in dead]
    assert report.applied + report.duplicates == len(buffered) - len(refused)
    with server.client() as client:
        found = check(look([client], "deleted"), [ours.book, other.book])
    assert (found.problems(), ours.findings, other.findings) == ([], [], [])


@pytest.mark.parametrize("moment", ["outage", "replay"])
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_process_that_is_killed_and_its_heirs(
    server: Server, mortals: Mortals, tmp_path: Path, moment: str, seed: int
) -> None:
    dice = Random(f"{moment} {seed}")
    journal, paths = tmp_path / "journal", [tmp_path / f"m{n}" for n in range(3)]
    async with Proxy(server.port) as proxy:
        url = f"{proxy.url}?namespace=killed"
        process = await mortals.bear("go_on", url, journal, *paths)
        mortals.go()
        await told(paths, 40)
        await kill(server, dice)
        await told(paths, acknowledged(paths) + dice.randrange(150, 300))
        if moment == "replay":
            die_at_request(dice.randrange(1, 40), process, proxy, dice)
            await asyncio.to_thread(server.start)
        else:
            await asyncio.sleep(dice.random() * 0.01)
            os.kill(process, signal.SIGKILL)
        await mortals.ended()
        assert left(journal) > 0
        leave_half(journal, dice)
        if moment == "outage":
            await asyncio.to_thread(server.start)
        for _ in range(3):
            heir = await mortals.bear("inherit", url, journal)
            die_at_request(dice.randrange(1, 30), heir, proxy, dice)
            mortals.go()
            await mortals.ended()
        assert left(journal) > 0
        proxy.on_request = lambda _: "pass"
        await mortals.bear("inherit", url, journal)
        mortals.go()
        await mortals.ended()
    books = [Notebook.read(path.name, path) for path in paths]
    with server.client() as direct:
        assert check(look([direct], "killed"), books).problems() == []
    assert list(journal.iterdir()) == []


def acknowledged(paths: list[Path]) -> int:
    """How many writes the processes were told to be done."""
    return sum(path.read_text().count('"acknowledged"') for path in paths if path.exists())


async def told(paths: list[Path], number: int) -> None:
    async with asyncio.timeout(20):
        while acknowledged(paths) < number:
            await asyncio.sleep(0.002)


def left(journal: Path) -> int:
    """How many writes files in the journal hold."""
    return sum(path.read_bytes().count(b" +") for path in journal.glob("*.journal"))


def leave_half(journal: Path, dice: Random) -> None:
    """As an heir does that is killed while it takes a journal over."""
    (path,) = journal.glob("*.journal")
    data = path.read_bytes()
    path.with_name("half.journal").write_bytes(data[: dice.randrange(len(data) + 1)])


def die_at_request(number: int, process: int, proxy: Proxy, dice: Random) -> None:
    """Kill a process about when it sends a request, which the server gets or not."""
    how, soon = dice.choice(("drop", "lose")), dice.random() * 0.003
    loop, before = asyncio.get_running_loop(), len(proxy.requests)

    def on_request(_: bytes) -> str:
        now = len(proxy.requests) - before + 1
        if now == number:
            loop.call_later(soon, os.kill, process, signal.SIGKILL)
        return "pass" if now < number else how if now == number else "drop"

    proxy.on_request = on_request
