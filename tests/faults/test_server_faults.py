"""A server that is killed, frozen or loses its power, under load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from faults.client import Ways
from faults.inject import ALWAYS, EVERYSEC, AofSizes, freeze, kill_and_restart
from faults.lateness import Lateness
from faults.load import Load
from servers import Server, any_binary

HASTY = Ways(timeout=1.0, pause=0.01)


@pytest.fixture(params=["always", "everysec"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server with an append-only file."""
    options = ALWAYS if request.param == "always" else EVERYSEC
    server = Server(tmp_path, any_binary(), options).start()
    yield server
    server.close()


def is_lossy(server: Server) -> bool:
    return bool(server.ask("CONFIG", "GET", "appendfsync")[1] != "always")


async def test_a_server_that_is_killed_under_load(server: Server) -> None:
    dice, lossy, lateness = Random(1), is_lossy(server), Lateness()
    async with Load(server.url, server.url, ways=HASTY._replace(lossy=lossy)) as load:
        kills = []
        for _ in range(8):
            await load.written(100)
            kills.append(await kill_and_restart(server, dice))
        await load.written(100)
    report = load.report([server.client()])
    assert report.problems(lossy=lossy) == []
    lost = [finding.entry for finding in report.lost if finding.entry]
    late = lateness.worst  # where clients are late to hear, a server is late to write
    assert all(any(at - 2 - late < entry.told <= at + late for at in kills) for entry in lost)


@pytest.mark.parametrize("server", ["everysec"], indirect=True)
async def test_a_power_cut_loses_a_second_at_most_and_doubles_nothing(server: Server) -> None:
    async with Load(server.url, server.url, ways=HASTY._replace(lossy=True)) as load:
        sizes = AofSizes(server)
        await load.written(300)
        since = await sizes.power_cut(server, Random(1), seconds=1)
        await load.written(200)
    report = load.report([server.client()])
    assert report.problems(lossy=True) == []
    assert report.doubled == []
    lost = [finding.entry for finding in report.lost if finding.entry]
    assert lost
    assert all(since < entry.told for entry in lost)


@pytest.mark.parametrize("server", ["always"], indirect=True)
async def test_a_server_that_is_frozen_for_less_than_a_deadline_is_no_error(
    server: Server,
) -> None:
    async with Load(server.url, server.url, ways=HASTY._replace(timeout=2.0)) as load:
        for _ in range(3):
            await load.written(100)
            await freeze(server, 0.4)
        await load.written(100)
    assert load.report([server.client()]).problems() == []
    assert load.errors <= {"SessionNotFound"}


@pytest.mark.parametrize("server", ["always"], indirect=True)
async def test_a_server_that_is_frozen_for_longer_than_a_deadline(server: Server) -> None:
    async with Load(server.url, server.url, ways=HASTY._replace(timeout=0.5)) as load:
        for seconds in (0.8, 1.5):
            await load.written(100)
            await freeze(server, seconds)
        await load.written(100)
    report = load.report([server.client()])
    assert report.problems() == []
    assert "OutcomeUnknown" in load.errors
    assert report.resolved > 0
    assert load.repeated > 0
