"""What is kept in this process is changed by one thread at a time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import sojourn
from sojourn import Event, SessionKey

THREADS, TIMES = 4, 200


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_threads_with_loops_of_their_own_lose_nothing_in_memory() -> None:
    store = sojourn.open("memory://", notices=True)
    key = SessionKey.of("shop", "ada", "s")
    asyncio.run(store.sessions.create(*key))
    scope = store.memory.user("ada")

    async def write(thread: int) -> None:
        for number in range(TIMES):
            event = Event(author="a", payload=number, state_delta={f"{thread}-{number}": 1})
            await store.sessions.append(key, event)
            await scope.merge("counts", {f"{thread}-{number}": 1})

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda thread: asyncio.run(write(thread)), range(THREADS)))

    async def read() -> tuple[int, int, int, list[int]]:
        found = await store.sessions.get(key)
        assert found is not None
        counts = await scope.get("counts")
        return found.version, len(found.state), len(counts), [each.seq for each in found.events]

    every = THREADS * TIMES
    assert asyncio.run(read()) == (every + 1, every, every, [*range(1, every + 1)])
