"""Where a store takes no ids of its callers, an id that is not known makes no session."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.adk.errors.input_validation_error import InputValidationError
from langchain_core.messages import HumanMessage
from outage_kit import ALWAYS, replayed, said

import sojourn
from servers import Server, any_binary
from sojourn import Event, InvalidId, SessionKey, SessionNotFound, StaleSession
from sojourn.integrations.adk import SessionService
from sojourn.integrations.langchain import ChatMessageHistory
from sojourn.telemetry import CallFact


@pytest.fixture
async def strict(url: str) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(url, strict_ids=True) as strict:
        yield strict


@pytest.fixture
def key() -> SessionKey:
    return SessionKey.of(f"app-{secrets.token_hex(6)}", "ada", "unknown")


async def nothing_was_made(store: sojourn.Sojourn, key: SessionKey) -> None:
    assert await store.sessions.get(key) is None
    assert (await store.sessions.list(key.app)).sessions == []
    assert (await store.admin.users(key.app)).names == []
    assert await store.sessions.user_state(key.app, key.user) == {}


async def test_an_id_that_the_caller_brings_creates_nothing(
    strict: sojourn.Sojourn, key: SessionKey
) -> None:
    for options in ({}, {"fresh": True}, {"operation_id": "op"}):
        with pytest.raises(InvalidId, match="strict_ids"):
            await strict.sessions.create(*key, state={"user:u": 1}, **options)
    await nothing_was_made(strict, key)


async def test_an_id_that_is_not_known_creates_nothing(
    strict: sojourn.Sojourn, key: SessionKey
) -> None:
    for call in (
        strict.sessions.ensure(*key, state={"user:u": 1, "app:a": 2}),
        strict.sessions.ensure(*key, last=0, operation_id="op"),
        strict.sessions.save(key, events=[said("x")], state={"a": 1}),
        strict.sessions.save(key, expected_version=0),
        strict.history(key).append("user", "Hello"),
        strict.history(key).extend([{"role": "user", "content": "Hello"}]),
        strict.history("anyone").append("user", "Hello"),
        ChatMessageHistory(key, strict).aadd_messages([HumanMessage("Hello")]),
    ):
        with pytest.raises(SessionNotFound):
            await call
    (saved,) = await strict.batch.save({key: {"title": "T"}})
    assert isinstance(saved, SessionNotFound)
    await nothing_was_made(strict, key)
    assert await strict.history(key).all() == []


async def test_a_session_that_is_known_is_like_any_other(
    strict: sojourn.Sojourn, key: SessionKey
) -> None:
    made = await strict.sessions.create(key.app, key.user, state={"n": 1})
    assert await strict.sessions.ensure(*made.key, title="other") == made
    await strict.history(made.key).append("user", "Hello")
    await ChatMessageHistory(made.key, strict).aadd_messages([HumanMessage("you")])
    assert [each.content for each in await strict.history(made.key).all()] == ["Hello", "you"]
    assert len((await strict.sessions.ensure(*made.key, last=1)).events) == 1
    with pytest.raises(StaleSession):
        await strict.sessions.save(made.key, expected_version=0)
    assert await strict.sessions.save(made.key, state={"n": 2}, operation_id="op") == 4
    assert await strict.sessions.save(made.key, operation_id="op") == 4
    done = await strict.rotate(made.key)
    with pytest.raises(SessionNotFound):
        await strict.sessions.ensure(*made.key)
    assert (await strict.sessions.ensure(*done.key)).state == {"n": 2}


async def test_adk_is_told_in_its_own_words(strict: sojourn.Sojourn, key: SessionKey) -> None:
    service = SessionService(strict)
    with pytest.raises(InputValidationError, match="strict_ids"):
        await service.create_session(
            app_name=key.app, user_id=key.user, session_id=key.session, state={"user:u": 1}
        )
    await nothing_was_made(strict, key)
    made = await service.create_session(app_name=key.app, user_id=key.user)
    again = await service.get_session(app_name=key.app, user_id=key.user, session_id=made.id)
    assert again is not None


async def test_no_race_makes_one(strict: sojourn.Sojourn, key: SessionKey) -> None:
    """A session that goes while others ensure and save it stays gone."""
    made = await strict.sessions.create(key.app, key.user)
    results = await asyncio.gather(
        strict.sessions.delete(made.key),
        *(strict.sessions.save(made.key, title=f"{n}") for n in range(5)),
        *(strict.sessions.ensure(*made.key) for _ in range(5)),
        *(strict.history(made.key).append("user", "Hello") for _ in range(5)),
        return_exceptions=True,
    )
    unlike = [each for each in results if isinstance(each, BaseException)]
    assert all(isinstance(each, SessionNotFound) for each in unlike)
    assert await strict.sessions.get(made.key) is None


async def test_it_costs_no_round_trip_more(shared_server: Server, key: SessionKey) -> None:
    taken: dict[bool, list[int]] = {}
    for is_strict in (False, True):
        async with sojourn.open(shared_server.url, strict_ids=is_strict) as store:
            made = await store.sessions.create(key.app, key.user)
            calls: list[CallFact] = []
            store.on_call(calls.append)
            counts: list[int] = []
            for call in (
                store.sessions.ensure(*made.key),
                store.sessions.save(made.key, title="T"),
                store.history(made.key).append("user", "x"),
            ):
                calls.clear()
                await call
                counts.append(sum(each.name.startswith("sessions.") for each in calls))
            taken[is_strict] = counts
    assert all(ours <= free for ours, free in zip(taken[True], taken[False], strict=True))
    async with sojourn.open(shared_server.url, strict_ids=True) as store:
        names: list[str] = []
        store.on_call(lambda fact: names.append(fact.name))
        for refused in (store.sessions.save(key), store.history(key).append("user", "x")):
            with pytest.raises(SessionNotFound):
                await refused
        assert names == ["sessions.save", "sessions.append"]


async def test_the_url_may_say_so(key: SessionKey) -> None:
    async with sojourn.open("memory://?strict_ids=true") as store:
        with pytest.raises(InvalidId):
            await store.sessions.create(*key)


async def test_sessions_with_ids_of_our_making_begin_in_an_outage_too(
    tmp_path: Path, key: SessionKey
) -> None:
    server = Server(tmp_path / "server", any_binary(), ALWAYS).start()
    store = sojourn.open(server.url, strict_ids=True, on_outage="buffer", operation_timeout=0.3)
    async with store:
        await store.ping()
        server.stop(9)
        made = await store.sessions.create(key.app, key.user)
        await store.sessions.append(made.key, Event(author="a", payload=1))
        assert (await store.sessions.ensure(*made.key)).length == 1
        server.start()
        await replayed(store)
        assert (await store.sessions.ensure(*made.key)).durable
    server.close()
