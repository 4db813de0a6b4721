"""Two callers share nothing that one of them could edit, whatever they ask for: in every room."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

import sojourn
from servers import Server
from sojourn import Event, SessionKey
from sojourn.client import Sojourn

KEY = SessionKey.of("sharing", "u", "s")
TALK = SessionKey.of("sharing", "u", "h")
WHO = {"app_name": "sharing", "user_id": "u"}


def editable(value: object) -> dict[int, object]:
    """What somebody could edit in a value, by its identity."""
    found: dict[int, object] = {}
    waiting: list[Any] = [value]
    while waiting:
        each: Any = waiting.pop()
        if isinstance(each, dict | list | set | bytearray | BaseModel):
            if id(each) in found:
                continue
            found[id(each)] = each
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list | set | tuple):
            waiting += each
        elif isinstance(each, msgspec.Struct):
            waiting += [getattr(each, name) for name in each.__struct_fields__]
        elif isinstance(each, BaseModel):
            waiting += [each.__dict__, each.__pydantic_extra__]
    return found


async def _filled(store: Sojourn) -> None:
    state = {"k": [1], "user:x": {"a": [1]}, "app:y": [{}]}
    await store.sessions.delete(KEY)
    await store.sessions.create(*KEY, state=state, metadata={"m": [1]}, labels={"l": "1"})
    await store.sessions.append(
        KEY, Event(author="user", payload={"a": [1, {"b": []}]}, state_delta={"k": [2]})
    )
    await store.history(TALK).append("user", [{"type": "text", "text": "x"}], {"m": [1]})
    await store.memory.user("u").put("tea", {"green": [1]}, metadata={"x": [1]})
    await store.artifacts.save(KEY, "f", b"data", metadata={"x": [1]})
    await store.cache.put("sharing", {"v": [1]}, ttl=100)


async def _computed() -> dict[str, list[int]]:
    await asyncio.sleep(0)
    return {"v": [1]}


def _ours(store: Sojourn) -> dict[str, Callable[[], Awaitable[object]]]:
    mine, art = store.memory.user("u"), store.artifacts
    return {
        "get": lambda: store.sessions.get(KEY),
        "get_many": lambda: store.batch.get([KEY]),
        "ensure": lambda: store.sessions.ensure(*KEY),
        "list": lambda: store.sessions.list("sharing", "u"),
        "recent": lambda: store.admin.recent("sharing"),
        "user_state": lambda: store.sessions.user_state("sharing", "u"),
        "history": lambda: store.history(TALK).all(),
        "cache": lambda: store.cache.get("sharing"),
        "fetch": lambda: store.cache.fetch("sharing-fetched", _computed, ttl=100),
        "memory": lambda: mine.get("tea"),
        "entry": lambda: mine.entry("tea"),
        "entries": mine.list,
        "latest": mine.latest,
        "several": lambda: mine.get_many(["tea"]),
        "search": lambda: mine.search("tea"),
        "artifact": lambda: art.load(KEY, "f"),
        "versions": lambda: art.versions(KEY, "f"),
        "found": lambda: art.find(KEY, "f"),
    }


def _adks(store: Sojourn) -> dict[str, Callable[[], Awaitable[object]]]:
    adk = pytest.importorskip("sojourn.integrations.adk")
    sessions, art = adk.SessionService(store), adk.ArtifactService(store)
    memory = adk.MemoryService(store)
    name = {**WHO, "session_id": "s"}
    return {
        "get": lambda: sessions.get_session(**name),
        "list": lambda: sessions.list_sessions(**WHO),
        "user_state": lambda: sessions.get_user_state(**WHO),
        "search": lambda: memory.search_memory(**WHO, query="tea"),
        "artifact": lambda: art.load_artifact(**name, filename="f"),
        "versions": lambda: art.list_artifact_versions(**name, filename="f"),
    }


def _langchains(store: Sojourn) -> dict[str, Callable[[], Awaitable[object]]]:
    chain = pytest.importorskip("sojourn.integrations.langchain")
    kept = chain.KeyValueStore("sharing", store)
    cache = chain.LLMCache(store)
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration

    said = ChatGeneration(message=AIMessage([{"type": "text", "text": "x"}]))

    async def values() -> object:
        await kept.amset([("k", b"v")])
        return await kept.amget(["k"])

    async def cached() -> object:
        await cache.aupdate("p", "m", [said])
        return await cache.alookup("p", "m")

    return {
        "history": lambda: chain.ChatMessageHistory(TALK, store).aget_messages(),
        "values": values,
        "cache": cached,
    }


@pytest.mark.parametrize("calls", [_ours, _adks, _langchains], ids=["sojourn", "adk", "langchain"])
@pytest.mark.parametrize("where", ["memory", "server"])
async def test_what_one_caller_edits_no_other_sees(
    where: str, calls: Callable[[Sojourn], dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    url = "memory://"
    if where == "server":
        server: Server = request.getfixturevalue("shared_server")
        url = server.url
    async with sojourn.open(url) as store:
        await _filled(store)
        for name, call in calls(store).items():
            found = [await call() for _ in range(4)]
            found += await asyncio.gather(call(), call())
            parts = [editable(each) for each in found]
            assert name == "values" or any(parts), name
            for one, other in itertools.combinations(parts, 2):
                assert not one.keys() & other.keys(), name
