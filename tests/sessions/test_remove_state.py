"""Values of a session's state are removed once, and only they."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import sojourn
from servers import Server
from sojourn import (
    Event,
    InvalidInput,
    SessionKey,
    SessionNotFound,
    Sojourn,
    StaleSession,
    TooLarge,
)

KEY = SessionKey.of("shop", "ada", "s")


@pytest.fixture(params=["memory", "server", "buffer"])
async def store(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Sojourn]:
    url = "memory://" if request.param == "memory" else server.url
    more: dict[str, Any] = {"on_outage": "buffer"} if request.param == "buffer" else {}
    async with sojourn.open(url, max_state_bytes=60, notices=True, **more) as store:
        state = {"a": 1, "b": [2], "user:a": 3, "app:a": 4}
        await store.sessions.create(*KEY, state=state)
        yield store


async def state(store: Sojourn) -> dict[str, Any]:
    found = await store.sessions.get(KEY)
    assert found is not None
    return found.state


async def test_values_are_gone_and_others_stay(store: Sojourn):
    assert await store.sessions.remove_state(KEY, "a", "never was") == 2
    assert await state(store) == {"b": [2], "user:a": 3, "app:a": 4}
    said = Event(author="a", payload=1, state_delta={"a": 5})
    assert (await store.sessions.append(KEY, said)).version == 3
    assert (await state(store))["a"] == 5


async def test_room_is_there_again(store: Sojourn):
    full = Event(author="a", payload=1, state_delta={"c": "x" * 40})
    await store.sessions.append(KEY, full)
    more = Event(author="a", payload=1, state_delta={"d": "x" * 40})
    with pytest.raises(TooLarge):
        await store.sessions.append(KEY, more)
    await store.sessions.remove_state(KEY, "c")
    await store.sessions.append(KEY, more)
    assert (await state(store))["d"] == "x" * 40


async def test_repeated_it_happens_once(store: Sojourn):
    assert await store.sessions.remove_state(KEY, "a", operation_id="op") == 2
    await store.sessions.append(KEY, Event(author="a", payload=1, state_delta={"a": 5}))
    assert await store.sessions.remove_state(KEY, "a", operation_id="op") == 2
    assert (await state(store))["a"] == 5


async def test_what_is_refused_changes_nothing(store: Sojourn):
    for names in ((), (["a", "b"],), (1,), ("user:a",), ("app:a",), ("temp:a",), ("a", "user:a")):
        with pytest.raises(InvalidInput):
            await store.sessions.remove_state(KEY, *names)  # type: ignore[arg-type]
    with pytest.raises(StaleSession):
        await store.sessions.remove_state(KEY, "a", expected_version=7)
    with pytest.raises(SessionNotFound):
        await store.sessions.remove_state(KEY, "a", incarnation="another")
    with pytest.raises(SessionNotFound):
        await store.sessions.remove_state(KEY._replace(session="none"), "a")  # type: ignore[arg-type]
    assert await state(store) == {"a": 1, "b": [2], "user:a": 3, "app:a": 4}
