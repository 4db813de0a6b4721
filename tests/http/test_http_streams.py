"""Server-sent events: what is appended comes, once and in order, whoever appended it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from http_kit import Api, Keys, problem

import sojourn
from servers import Server
from sojourn import Event, SessionKey

SECONDS = 20


class Stream:
    """The messages of a stream."""

    def __init__(self, reply: httpx.Response) -> None:
        self._lines = reply.aiter_lines()

    async def next(self) -> dict[str, Any]:
        """The next message: its event, its id, its data."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(SECONDS):
            async for line in self._lines:
                if not line and "event" in found:
                    return found
                name, _, value = line.partition(": ")
                if name in ("event", "id", "data"):
                    found[name] = json.loads(value) if name == "data" else value
        raise EOFError

    async def seqs(self, count: int) -> list[int]:
        """The numbers of the next events."""
        found = list[int]()
        while len(found) < count:
            told = await self.next()
            if told["event"] == "append":
                assert told["id"] == str(told["data"]["seq"])
                found.append(told["data"]["seq"])
        return found


@asynccontextmanager
async def stream(
    client: httpx.AsyncClient, path: str, last: int | None = None, after: int | None = None
) -> AsyncIterator[Stream]:
    headers = {} if last is None else {"last-event-id": str(last)}
    query = "" if after is None else f"?after={after}"
    async with client.stream("GET", f"{path}/events/stream{query}", headers=headers) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        yield Stream(reply)


@pytest.fixture
async def key(store: sojourn.Sojourn) -> SessionKey:
    return (await store.sessions.create("stream", "ada", secrets.token_hex(8))).key


def at(key: SessionKey) -> str:
    return f"/apps/{key.app}/users/{key.user}/sessions/{key.session}"


async def say(store: sojourn.Sojourn, key: SessionKey, count: int = 1) -> None:
    await store.sessions.append(key, *(Event(author="user", payload="x") for _ in range(count)))


async def test_events_come_as_they_are_appended_by_anybody(
    ada: httpx.AsyncClient, store: sojourn.Sojourn, key: SessionKey
) -> None:
    await say(store, key, 2)
    async with stream(ada, at(key)) as now, stream(ada, at(key), after=0) as all_:
        assert await all_.seqs(2) == [1, 2]
        await say(store, key, 2)
        assert await now.seqs(2) == [3, 4]
        assert await all_.seqs(2) == [3, 4]
        body = {"events": [{"author": "user", "payload": 1}]}
        assert (await ada.post(f"{at(key)}/events", json=body)).status_code == 201
        assert await now.seqs(1) == [5]
        assert await all_.seqs(1) == [5]


async def test_a_reader_goes_on_behind_what_it_has(
    ada: httpx.AsyncClient, store: sojourn.Sojourn, key: SessionKey
) -> None:
    await say(store, key, 1200)  # more than a page
    async with stream(ada, at(key), last=7) as resumed:
        assert await resumed.seqs(1193) == list(range(8, 1201))
    async with stream(ada, at(key), last=1199, after=3) as resumed:
        assert await resumed.seqs(1) == [1200]


async def test_a_reader_that_has_more_than_there_is_is_told(
    ada: httpx.AsyncClient, store: sojourn.Sojourn, key: SessionKey
) -> None:
    await say(store, key, 3)
    async with stream(ada, at(key), last=9) as told:
        assert (await told.next())["data"] == {"version": 2, "length": 3, "cut": True}
        await say(store, key)
        assert await told.seqs(1) == [4]


async def test_changes_and_the_end_are_told(
    ada: httpx.AsyncClient, store: sojourn.Sojourn, key: SessionKey
) -> None:
    await say(store, key, 3)
    async with stream(ada, at(key)) as told:
        await store.sessions.update(key, title="t")
        assert (await told.next()) == {
            "event": "update", "data": {"version": 3, "length": 3, "cut": False},
        }  # fmt: skip
        await store.sessions.trim(key, drop=2)
        assert (await told.next())["data"] == {"version": 4, "length": 1, "cut": True}
        await say(store, key)
        assert await told.seqs(1) == [2]
        await ada.delete(at(key))
        assert (await told.next())["event"] == "gone"
        with pytest.raises(EOFError):
            await told.next()


async def test_one_that_is_made_again_is_another(
    ada: httpx.AsyncClient, store: sojourn.Sojourn, key: SessionKey
) -> None:
    await say(store, key, 3)
    async with stream(ada, at(key)) as told:
        await store.sessions.delete(key)
        await store.sessions.create(*key)
        assert (await told.next())["event"] == "gone"


async def test_nobody_follows_what_is_not_there_or_anothers(
    api: Api, ada: httpx.AsyncClient, key: SessionKey
) -> None:
    problem(await ada.get("/apps/stream/users/ada/sessions/none/events/stream"), 404)
    problem(await ada.get(f"{at(key)}/events/stream", headers={"last-event-id": "x"}), 422)
    async with api.client("eve") as eve:
        problem(await eve.get(f"{at(key)}/events/stream"), 404)


async def test_a_reader_misses_nothing_when_the_server_is_killed(
    shared_server: Server, keys: Keys
) -> None:
    namespace = f"http-{secrets.token_hex(4)}"
    api = Api(shared_server.url, keys, namespace=namespace)
    try:
        async with (
            sojourn.open(shared_server.url, namespace=namespace) as store,
            api.client("ada") as ada,
        ):
            key = (await store.sessions.create("stream", "ada", "s")).key
            async with stream(ada, at(key)) as first:
                await say(store, key, 5)
                assert await first.seqs(5) == [1, 2, 3, 4, 5]
                await say(store, key, 5)
                api.kill()
            await say(store, key, 5)
            api.start()
            async with stream(ada, at(key), last=5) as again:
                assert await again.seqs(10) == list(range(6, 16))
    finally:
        api.kill()


async def test_where_there_are_notices_readers_are_woken_by_them(
    shared_server: Server, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOJOURN_NOTICES", "1")
    namespace = f"http-{secrets.token_hex(4)}"
    api = Api(shared_server.url, keys, namespace=namespace)
    try:
        async with (
            sojourn.open(shared_server.url, namespace=namespace, notices=True) as store,
            api.client("ada") as ada,
        ):
            key = (await store.sessions.create("stream", "ada", "s")).key
            async with stream(ada, at(key), after=0) as told:
                for n in range(1, 6):
                    await say(store, key)
                    assert await told.seqs(1) == [n]
    finally:
        api.kill()
