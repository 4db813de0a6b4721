"""Two versions on one server: builds once a session, processes once a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from compat import newer
from compat.build import NO_BASELINE, ROOT, baseline, build_commit, build_this
from compat.side import Side, Version
from conftest import ROWS, start
from servers import Server

OPTIONS = {"namespace": "compat", "notices": True}


class Pair(NamedTuple):
    """Two neighbours and the server that they share; `earlier` came before `later`."""

    earlier: Version
    later: Version
    server: Server


class Sides(NamedTuple):
    """Processes of both, each with a store that has just been opened on an empty server."""

    earlier: Side
    later: Side
    server: Server

    def in_order(self, first: str) -> tuple[Side, Side]:
        """The one that is to begin, and the other."""
        return (self.earlier, self.later) if first == "earlier" else (self.later, self.earlier)


def _pairs() -> list[object]:
    """Which neighbours on which server. The rest of the combinations runs in the long form."""
    slow = pytest.mark.slow
    if baseline() == NO_BASELINE:
        chosen = [("newer", "redis", ()), ("newer", "valkey", slow)]
    else:
        chosen = [
            *(("baseline", "valkey", ()), ("newer", "redis", ())),
            *(("baseline", "redis", slow), ("newer", "valkey", slow)),
        ]
    return [
        pytest.param((neighbour, row), id=f"{neighbour}-{row}", marks=marks)
        for neighbour, row, marks in chosen
        if row in ROWS
    ]


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Version]:
    """Wheels that were built and unpacked; made when the first test asks."""
    return {}


@pytest.fixture(scope="session", params=_pairs())
def pair(
    request: pytest.FixtureRequest,
    versions: dict[str, Version],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    """Each two neighbours on their server in turn."""
    neighbour, row = request.param
    for name in ("this", neighbour):
        if name not in versions:
            versions[name] = Version(name, _build(name, tmp_path_factory.mktemp(name)))
    server = start(row, tmp_path_factory.mktemp(f"compat-{row}"))
    assert isinstance(server, Server)
    both = versions["this"], versions[neighbour]
    earlier, later = both if neighbour == "newer" else both[::-1]
    yield Pair(earlier, later, server)
    server.close()


def _build(name: str, folder: Path) -> Path:
    try:
        if name == "this":
            return ROOT / "src"
        if name == "newer":
            tree = build_this(folder)
            newer.patch(tree)
            return tree
        return build_commit(baseline(), folder)
    except RuntimeError as error:
        pytest.fail(str(error))


@pytest.fixture(scope="session")
def processes(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], list[Side]]]:
    """A process of each of the two, in the place of one that a failed test left at work."""
    folder = tmp_path_factory.mktemp("sides")
    both = [Side(pair.earlier, folder), Side(pair.later, folder)]

    def at_rest() -> list[Side]:
        for place, side in enumerate(both):
            if side.asked or side.process.poll() is not None:
                side.kill()
                both[place] = Side(side.version, folder)
        return both

    yield at_rest
    for each in at_rest():
        each.close()


@pytest.fixture
def sides(pair: Pair, processes: Callable[[], list[Side]]) -> Sides:
    """Both versions, at the beginning."""
    pair.server.ask("FLUSHALL")
    earlier, later = processes()
    for each in (earlier, later):
        each.open(pair.server.url, **OPTIONS)
    return Sides(earlier, later, pair.server)
