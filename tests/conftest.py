"""What all tests share: a store's place on every topology, servers, and how tests run together."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cluster import ClusterSet
from extent import FULL, examples
from sentinel import SentinelSet
from servers import Server, any_binary
from together import alone_or_not, arrange
from topologies import ROWS, start

os.environ.pop("COLUMNS", None)  # xdist's, to workers; our command line heeds it
gc.disable()  # until the tests are collected: a million objects come, and none goes

settings.register_profile("extent", max_examples=examples(100), deadline=None)
settings.load_profile("extent")


collect_ignore = [] if FULL else ["faults/test_fixtures.py", "telemetry/test_dashboard.py"]
"""Tests of what other tests stand on."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """With `-n auto`: three times as many as there are processors, for most of them wait."""
    return 3 * (os.cpu_count() or 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    arrange(items)


def pytest_collection_finish() -> None:
    """What the tests are made of stays: no collection of garbage need look at it again."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with alone_or_not(item.config, alone=item.get_closest_marker("quiet") is not None):
        return (yield)


@pytest.fixture(scope="session", params=ROWS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of each topology in turn."""
    started = start(request.param, tmp_path_factory.mktemp(request.param))
    yield started.url
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


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of ours is set; those that the test sets go with it."""
    words = ("SOJOURN_", "REDIS_", "MEMORY_TTL", "KNOWLEDGE_TTL", "HISTORY_TTL")
    for name in [name for name in os.environ if name.upper().startswith(words)]:
        monkeypatch.delenv(name)
    return monkeypatch
