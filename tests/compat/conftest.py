"""Two versions on one server: what they are built from, and processes that run them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from compat import newer
from compat.build import NO_BASELINE, ROOT, baseline, build_commit, build_this
from compat.side import Side, Version
from servers import CI, NotHere, Server, redis_binary, valkey_binary
from sojourn.keys import KeyRing

OPTIONS = {"namespace": "compat", "notices": True}

SERVERS = {"redis": redis_binary, "valkey": valkey_binary}

FULL = os.environ.get("FULL") == "1"
"""Whether the long form runs: each two neighbours on each server."""

_RING = KeyRing([b"a key of tests, which is no secret"[:32]], "", migrating=True)

RINGS = {
    "waiting": (_RING, ""),
    "sealing": (_RING.activate(*_RING.ids), "&compression=zstd&serializer=msgpack"),
}
"""The same code with the codec off, but for the keys to read what is sealed, and with it on."""


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


def _pairs() -> list[tuple[str, str]]:
    """Which neighbours of this code on which server."""
    if baseline() == NO_BASELINE:
        every = [("newer", "redis"), ("newer", "valkey"), ("sealing", "redis")]
        return every if FULL else every[:1]
    every = [("baseline", "redis"), ("newer", "valkey"), ("newer", "redis"), ("baseline", "valkey")]
    every.append(("sealing", "redis"))
    return every if FULL else every[:1]


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Version]:
    """Build a version, once for all processes that run tests side by side."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "compat"
    folder.mkdir(exist_ok=True)

    def build(name: str) -> Version:
        if name == "this":
            return Version(name, ROOT / "src")
        if name in RINGS:
            ring, options = RINGS[name]
            path = own / f"{name}.json"
            if not path.exists():
                ring.save(path)
            return Version(name, ROOT / "src", f"keys={quote(str(path))}{options}")
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tree = folder / name / "tree"
            if not (folder / f"{name}.done").exists():
                _build(name, folder / name)
                (folder / f"{name}.done").touch()
        return Version(name, tree)

    return build


def _build(name: str, folder: Path) -> None:
    try:
        if name == "baseline":
            build_commit(baseline(), folder)
        else:
            newer.patch(build_this(folder))
    except RuntimeError as error:
        pytest.fail(str(error))


@pytest.fixture(scope="module", params=_pairs(), ids="-".join)
def pair(
    request: pytest.FixtureRequest,
    builds: Callable[[str], Version],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    """Each two neighbours on their server in turn."""
    neighbour, row = request.param
    other, this = builds(neighbour), builds("waiting" if neighbour == "sealing" else "this")
    try:
        binary = SERVERS[row]()
    except NotHere as missing:
        if CI:
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    server = Server(tmp_path_factory.mktemp(row), binary).start()
    earlier, later = (other, this) if neighbour == "baseline" else (this, other)
    yield Pair(earlier, later, server)
    server.close()


@pytest.fixture(scope="module")
def processes(
    pair: Pair, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], list[Side]]]:
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
