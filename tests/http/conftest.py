"""One `sojourn serve` for the tests of a module, on a namespace of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from http_kit import Api, Keys

import sojourn
from servers import Server


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def namespace() -> str:
    return f"http-{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
def api(
    shared_server: Server, keys: Keys, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    log = tmp_path_factory.mktemp("log") / "access.jsonl"
    api = Api(shared_server.url, keys, "--access-log", str(log), namespace=namespace)
    api.log = log
    yield api
    api.kill()


@pytest.fixture
async def store(shared_server: Server, namespace: str) -> AsyncIterator[sojourn.Sojourn]:
    """What the server serves, behind its back."""
    async with sojourn.open(shared_server.url, namespace=namespace) as store:
        yield store


@pytest.fixture
async def ada(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client("ada") as client:
        yield client


@pytest.fixture
async def ops(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client("ops") as client:
        yield client
