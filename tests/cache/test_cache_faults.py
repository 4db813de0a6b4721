"""The one who computes dies, the server goes, a reply is lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import sojourn
from proxy import Proxy
from servers import Server, any_binary
from sojourn import Unavailable

COMPUTING = Path(__file__).with_name("computing.py")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, any_binary(), ["--appendonly", "yes"]).start()
    yield server
    server.close()


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url, operation_timeout=0.5) as store:
        yield store


async def answer() -> str:
    return "computed"


async def test_the_lease_of_a_process_that_was_killed_is_taken_over(
    server: Server, store: sojourn.Sojourn
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, COMPUTING, server.url, "entry", "0.6"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"computing\n"
    waiting = asyncio.create_task(store.cache.fetch("entry", answer))
    await asyncio.wait([waiting], timeout=1.5)  # it renews its lease while it lives
    assert not waiting.done()
    process.kill()
    await process.wait()
    assert await waiting == "computed"
    assert store.cache.stats().waits == 1


async def test_without_a_server_it_computes_and_says_so(
    server: Server, store: sojourn.Sojourn, caplog: pytest.LogCaptureFixture
) -> None:
    await store.cache.put("entry", "kept")
    server.stop(9)
    assert await store.cache.fetch("entry", answer) == "computed"
    assert store.cache.stats().unavailable == 1
    assert "cannot be asked" in caplog.text
    with pytest.raises(Unavailable):
        await store.cache.get("entry")
    server.start()
    async with asyncio.timeout(20):
        while await store.cache.fetch("entry", answer) != "kept":
            await asyncio.sleep(0.02)


async def test_a_server_that_goes_while_it_is_computed_loses_no_result(
    server: Server, store: sojourn.Sojourn
) -> None:
    async def compute() -> str:
        server.stop(9)
        return "computed"

    assert await store.cache.fetch("entry", compute, lease=0.5) == "computed"


def lose(proxy: Proxy, nth: int) -> list[bytes]:
    """Lose the reply to the nth script that is sent from now on; what was lost."""
    scripts: list[bytes] = []
    lost: list[bytes] = []

    def on_request(data: bytes) -> str:
        if b"EVALSHA" not in data:
            return "pass"
        scripts.append(data)
        if len(scripts) != nth:
            return "pass"
        lost.append(data)
        return "lose"

    proxy.on_request = on_request
    return lost


@pytest.mark.parametrize("nth", [1, 2])
async def test_a_step_whose_reply_is_lost_is_computed_and_kept_once(
    server: Server, nth: int
) -> None:
    runs: list[int] = []

    async def step() -> int:
        runs.append(1)
        return len(runs)

    async with Proxy(server.port) as proxy, sojourn.open(proxy.url) as store:
        lost = lose(proxy, nth)
        async with asyncio.timeout(5):  # or it waits for its own lease
            assert await store.cache.fetch("entry", step) == 1
        assert lost
        assert await store.cache.fetch("entry", step) == 1


async def test_a_write_whose_reply_is_lost_is_done_once(server: Server) -> None:
    async with Proxy(server.port) as proxy, sojourn.open(proxy.url) as store:
        lost = lose(proxy, 1)
        await store.cache.put("entry", 1)
        assert lost
        assert await store.cache.get("entry") == 1
        lost = lose(proxy, 1)
        assert await store.cache.delete("entry")
        assert lost
        assert await store.cache.get("entry") is None


async def test_cancelling_leaves_no_lease_and_no_task(store: sojourn.Sojourn) -> None:
    started = asyncio.Event()

    async def compute() -> None:
        started.set()
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    call = asyncio.create_task(store.cache.fetch("entry", compute, lease=60))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(5):
        assert await store.cache.fetch("entry", answer) == "computed"
    await asyncio.sleep(0)
    assert not [t for t in asyncio.all_tasks() - before if "sojourn.cache" in repr(t)]
