"""What a client sees of the tools before it calls one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from mcp import Client
from mcp_kit import MODES, fails
from mcp_types import Tool

import sojourn
from sojourn.surfaces.mcp import Desk, Identity, server_of

READS, WRITES, REPLACES = (True, False, True), (False, False, False), (False, True, True)
"""Read-only, destructive, idempotent."""

TOOLS = {
    "session_create": ("Begin a session", WRITES),
    "session_get": ("Read a session", READS),
    "session_events": ("Read a session's events", READS),
    "session_append": ("Add events to a session", WRITES),
    "session_list": ("List sessions", READS),
    "session_update": ("Change a session", REPLACES),
    "session_delete": ("Delete a session", REPLACES),
    "session_state": ("Read a session's state", READS),
    "session_set_state": ("Set a session's state", (False, True, False)),
    "history_append": ("Add a message", WRITES),
    "history_read": ("Read messages", READS),
    "memory_put": ("Remember", REPLACES),
    "memory_get": ("Recall", READS),
    "memory_merge": ("Change what is remembered", REPLACES),
    "memory_delete": ("Forget", REPLACES),
    "memory_list": ("List what is remembered", READS),
    "memory_search": ("Search the memory", READS),
    "cache_get": ("Read a cached result", READS),
    "cache_put": ("Cache a result", REPLACES),
    "cache_delete": ("Forget a cached result", REPLACES),
    "cache_invalidate": ("Forget cached results of a tag", REPLACES),
}


@pytest.fixture(params=MODES)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with sojourn.open("memory://") as store:
        server = server_of(Desk(store.guard(), Identity("shop", "ada")))
        async with Client(server, mode=request.param) as client:
            yield client


async def tools(client: Client) -> list[Tool]:
    return (await client.list_tools()).tools


async def test_the_tools_and_what_they_may_do(client: Client) -> None:
    found: dict[str, Any] = {}
    for tool in await tools(client):
        hints = tool.annotations
        assert hints is not None
        assert hints.open_world_hint is False
        assert hints.title == tool.title
        reads = bool(hints.read_only_hint)
        found[tool.name] = (
            tool.title,
            (reads, hints.destructive_hint is True, hints.idempotent_hint is True),
        )
    assert found == TOOLS


async def test_no_tool_takes_a_user_or_an_app(client: Client) -> None:
    for tool in await tools(client):
        names = set(properties(tool.input_schema))
        assert not names & {"app", "app_name", "user", "user_id", "own", "tenant", "namespace"}
        assert tool.input_schema["additionalProperties"] is False
    for name in ("user", "app", "own", "tenant"):
        said = await fails(client, "session_list", **{name: "eve"})
        assert f"\n{name}\n" in said


async def test_each_change_takes_an_operation_id(client: Client) -> None:
    for tool in await tools(client):
        changes = TOOLS[tool.name][1] != READS and tool.name != "cache_invalidate"
        assert ("operation_id" in tool.input_schema["properties"]) is changes, tool.name


async def test_texts_and_lists_are_limited_and_results_are_typed(client: Client) -> None:
    for tool in await tools(client):
        assert tool.description
        assert tool.output_schema is not None
        for place in schemas(tool.input_schema):
            if place.get("type") == "string":
                assert place["maxLength"] <= 100_000, tool.name
            if place.get("type") == "array":
                assert place["maxItems"] <= 100, tool.name
            if place.get("type") == "integer":
                assert "minimum" in place, tool.name


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("session_list", {"limit": 0}),
        ("session_list", {"limit": 101}),
        ("session_get", {"session": ""}),
        ("session_get", {"session": "x" * 513}),
        ("session_get", {}),
        ("session_append", {"session": "s", "events": []}),
        ("session_append", {"session": "s", "events": [{"payload": 1}]}),
        ("session_append", {"session": "s", "events": [{"author": "a", "payload": 1, "seq": 3}]}),
        ("memory_put", {"key": "k", "value": 1, "operation_id": "x" * 129}),
        ("cache_put", {"name": "n", "value": 1, "ttl": -1}),
    ],
)
async def test_arguments_outside_the_schema_are_refused(
    client: Client, tool: str, arguments: dict[str, Any]
) -> None:
    assert "validation error" in await fails(client, tool, **arguments)


def properties(schema: Any) -> Iterator[str]:
    for place in schemas(schema):
        yield from place.get("properties", {})


def schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Each schema in a schema."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from schemas(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from schemas(part)
