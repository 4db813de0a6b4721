"""Vectors of the application's model: how they are kept, compared, and refused."""

from __future__ import annotations

import asyncio
import threading
from array import array
from typing import Any

import pytest

import sojourn
from servers import Server
from sojourn import InvalidInput
from sojourn.memory import vectors
from sojourn.memory.vectors import Vectors, fused
from sojourn.testing.searching import meaning


def packed(*numbers: float) -> bytes:
    return array("f", numbers).tobytes()


@pytest.fixture(params=["numpy", "python"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr(vectors, "_numpy", lambda: None)
    else:
        pytest.importorskip("numpy")


def test_the_nearest_come_first(arithmetic: None) -> None:
    rows = {1: (1, 0), 2: (0, 5), 3: (3, 3), 4: (-1, 0), 5: (0, 0), 6: (30, 0)}
    known = Vectors([*rows], [packed(*row) for row in rows.values()], 8)
    assert known.nearest(packed(2, 0.1), 10) == [6, 1, 3, 2]
    assert known.nearest(packed(2, 0.1), 1) == [6]
    assert known.nearest(packed(0, 0), 10) == []
    assert Vectors([], [], 8).nearest(packed(1, 0), 10) == []


def test_fusion() -> None:
    best = fused([1, 2, 3], [3, 4])
    assert [number for number, _ in best] == [3, 1, 4, 2]
    assert best[0][1] == pytest.approx(1 / 63 + 1 / 61)


async def test_the_search_is_the_same_without_numpy(arithmetic: None, server: Server) -> None:
    async with sojourn.open(server.url) as store:
        store.memory.embed_with(meaning, 3)
        ada = store.memory.user("ada")
        await ada.put_many({"a": "an automobile", "b": "an oak", "c": "nothing"})
        assert [hit.entry.key for hit in await ada.search("car")] == ["a"]
    with server.client() as client:
        assert client.hstrlen("memory:{memory:user:ada}:entry:a", "vector") == 12
    async with sojourn.open(server.url) as store:  # vectors of another model are passed over
        store.memory.embed_with(lambda texts: [[1.0, 1.0] for _ in texts], 2)
        ada = store.memory.user("ada")
        assert await ada.search("car") == []
        store.memory.embed_with(meaning, 3)
        assert len(await ada.search("car")) == 1
        store.memory.embed_with(lambda texts: [[1.0, 1.0] for _ in texts], 2)
        assert [hit.entry.key for hit in await ada.search("oak")] == ["b"]


async def test_a_plain_function_runs_beside_the_event_loop() -> None:
    threads: list[int] = []

    def embed(texts: list[str]) -> list[list[float]]:
        threads.append(threading.get_ident())
        return [[1.0] for _ in texts]

    async with sojourn.open("memory://") as store:
        store.memory.embed_with(embed, 1)
        await store.memory.user("ada").put("k", 1)
    assert threading.get_ident() not in threads
    assert len(threads) == 1


@pytest.mark.parametrize(
    "given",
    [[], [[1.0]], [[1.0, float("nan")]], [["a", "b"]], [[1.0, 2.0], [1.0, 2.0]], [5], [[1e300, 1]]],
)
async def test_what_is_no_vector_is_refused_and_nothing_written(given: Any) -> None:
    async with sojourn.open("memory://") as store:
        ada = store.memory.user("ada")
        store.memory.embed_with(lambda _: given, 2)
        with pytest.raises(InvalidInput):
            await ada.put("k", 1)
        with pytest.raises(InvalidInput):
            await ada.search("k")
        assert await ada.get("k") is None


@pytest.mark.parametrize(("function", "dimensions"), [(None, 2), (len, 0), (len, 2.5)])
async def test_an_embedding_that_makes_no_sense(function: Any, dimensions: Any) -> None:
    async with sojourn.open("memory://") as store:
        with pytest.raises(InvalidInput):
            store.memory.embed_with(function, dimensions)


async def test_an_embedding_takes_its_own_time(server: Server) -> None:
    async def slow(texts: list[str]) -> list[list[float]]:
        await asyncio.sleep(0.4)
        return await meaning(texts)

    async with sojourn.open(server.url, operation_timeout=0.3) as store:
        store.memory.embed_with(slow, 3)
        ada = store.memory.user("ada")
        await ada.put("k", {"a": "car"})
        await ada.merge("k", {"b": "oak"})
        assert len(await ada.search("car")) == 1
