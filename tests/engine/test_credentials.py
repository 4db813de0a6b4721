"""Credential providers that are slow, block, fail or lag behind: no fault of the server."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.credentials import CredentialProvider

import sojourn
import sojourn.sync
from cluster import ClusterSet
from servers import Server, any_binary
from sojourn import AccessDenied, ConfigurationError, Event, Unavailable
from sojourn.telemetry import OutageFact

PASSWORD = "right"


class Provider(CredentialProvider):
    """Answers as it is told; the method that redis-py awaits calls this one."""

    def __init__(self, answer: Callable[[int], str] = lambda _: PASSWORD) -> None:
        self.answer = answer
        self.asked = 0
        self.threads: set[int] = set()

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        self.asked += 1
        self.threads.add(threading.get_ident())
        return (self.answer(self.asked),)


class Awaited:
    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def get_credentials_async(self) -> tuple[str, str]:
        await self.go.wait()
        return "default", PASSWORD


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(Path(tmp_path_factory.mktemp("locked")), any_binary(), password=PASSWORD)
    yield server.start()
    server.close()


@pytest.fixture
def bare(locked: Server) -> str:
    return f"redis://127.0.0.1:{locked.port}"


def names() -> tuple[str, str]:
    return "shop", secrets.token_hex(4)


async def test_a_slow_provider_is_waited_for_beyond_the_time_outs(bare: str) -> None:
    provider = Awaited()
    options = {"connect_timeout": 0.2, "operation_timeout": 0.4}
    async with sojourn.open(bare, credential_provider=provider, **options) as store:  # type: ignore[arg-type]
        facts = list[OutageFact]()
        store.on_outage(facts.append)
        for _ in range(2):
            with pytest.raises(Unavailable, match="has taken too long") as caught:
                await store.ping()
            assert "server runs" not in str(caught.value)
        asyncio.get_running_loop().call_later(0.2, provider.go.set)
        await store.ping()
        assert facts == []
        assert store.stats().lost_connections == 0


async def test_what_came_after_its_call_is_used_by_the_next(bare: str) -> None:
    gate = threading.Event()
    provider = Provider(lambda _: PASSWORD if gate.wait(20) else "")
    async with sojourn.open(bare, credential_provider=provider, operation_timeout=0.3) as store:
        with pytest.raises(Unavailable, match="too long"):
            await store.ping()
        gate.set()
        await store.ping()
        assert provider.asked == 1


async def test_a_provider_that_blocks_is_asked_in_a_thread(bare: str) -> None:
    def blocking(_: int) -> str:
        time.sleep(0.5)
        return PASSWORD

    provider = Provider(blocking)
    async with sojourn.open(bare, credential_provider=provider) as store:
        longest, last = 0.0, time.monotonic()
        ping = asyncio.create_task(store.ping())
        while not ping.done():
            await asyncio.sleep(0.01)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
        await ping
    assert threading.get_ident() not in provider.threads
    assert longest < 0.4


async def test_an_old_password_is_tried_again(bare: str) -> None:
    provider = Provider(lambda turn: "old" if turn <= 2 else PASSWORD)
    async with sojourn.open(bare, credential_provider=provider) as store:
        await asyncio.gather(*(store.sessions.create(*names()) for _ in range(5)))
        assert store.stats().outages == 0


async def test_a_password_that_stays_wrong_is_refused(bare: str) -> None:
    async with sojourn.open(
        bare, credential_provider=Provider(lambda _: "wrong"), operation_timeout=0.5
    ) as store:
        with pytest.raises(AccessDenied):
            await store.ping()


async def test_a_provider_that_fails_is_asked_again_and_has_its_say(bare: str) -> None:
    healthy = threading.Event()

    def answer(_: int) -> str:
        if not healthy.is_set():
            raise LookupError("the vault is sealed")
        return PASSWORD

    async with sojourn.open(
        bare, credential_provider=Provider(answer), operation_timeout=0.4
    ) as store:
        with pytest.raises(Unavailable, match="LookupError: the vault is sealed") as caught:
            await store.ping()
        assert "server answered" not in str(caught.value)
        asyncio.get_running_loop().call_later(0.1, healthy.set)
        await store.ping()
        assert store.stats().outages == 0


async def test_a_provider_that_several_connections_wait_for_is_no_fault_of_the_server(
    bare: str,
) -> None:
    healthy = threading.Event()

    def answer(_: int) -> str:
        time.sleep(0.05)
        if not healthy.is_set():
            raise LookupError("the vault is sealed")
        return PASSWORD

    async with sojourn.open(
        bare, credential_provider=Provider(answer), operation_timeout=0.6
    ) as store:

        async def ask() -> None:
            large = store.sessions.get(sojourn.SessionKey.of(*names(), "s1"))  # its own connection
            outcomes = await asyncio.gather(store.ping(), large, return_exceptions=True)
            assert all("the vault is sealed" in str(each) for each in outcomes), outcomes

        await ask()
        healthy.set()
        await store.ping()
        assert store.stats().lost_connections == 0


async def test_a_provider_of_nonsense_is_told_so(bare: str) -> None:
    async with sojourn.open(
        bare,
        credential_provider=Provider(lambda _: None),  # type: ignore[arg-type,return-value]
        operation_timeout=0.4,
    ) as store:
        with pytest.raises(Unavailable, match="as text"):
            await store.ping()


async def test_a_lent_client_lends_its_provider(locked: Server) -> None:
    provider = Provider(lambda turn: "old" if turn == 1 else PASSWORD)
    client = redis.Redis(port=locked.port, credential_provider=provider)
    async with sojourn.open(client) as store:
        await store.ping()


def test_a_sync_store_takes_one(bare: str) -> None:
    with sojourn.sync.open(bare, credential_provider=Provider()) as store:
        key = store.sessions.create(*names()).key
        store.sessions.append(key, Event(author="a", payload=1))


async def test_all_nodes_of_a_cluster_take_what_it_gives(tmp_path: Path) -> None:
    cluster = ClusterSet(tmp_path, any_binary(), password=PASSWORD).start()
    try:
        url = f"redis+cluster://127.0.0.1:{cluster.nodes[0].port}"
        async with sojourn.open(url, credential_provider=Provider()) as store:
            await asyncio.gather(*(store.sessions.create(*names()) for _ in range(20)))
    finally:
        cluster.close()


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("redis://:secret@localhost", Provider()),
        ("redis://localhost?credential_provider=x", None),
        ("redis+sentinel://u:secret@localhost/main", Provider()),
        ("redis://localhost", object()),
        ("embedded:x", Provider()),
    ],
)
def test_what_cannot_be_is_refused_at_open(url: str, provider: Provider | None) -> None:
    with pytest.raises(ConfigurationError) as caught:
        sojourn.open(url, credential_provider=provider)
    assert "secret" not in str(caught.value)
