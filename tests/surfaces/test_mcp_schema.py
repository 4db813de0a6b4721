"""What a client sees of the tools before it calls one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from google.genai import types
from mcp import Client
from mcp_kit import MODES, call, fails
from mcp_types import Tool

import sojourn
from sojourn.surfaces.mcp import Identity, RequestContext, memory, server_of, sessions

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
    "thread_list": ("List threads", READS),
    "thread_read": ("Read a thread's messages", READS),
    "cache_get": ("Read a cached result", READS),
    "cache_put": ("Cache a result", REPLACES),
    "cache_delete": ("Forget a cached result", REPLACES),
    "cache_invalidate": ("Forget cached results of a tag", REPLACES),
}


@pytest.fixture(params=MODES)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with sojourn.open("memory://") as store:
        server = server_of(RequestContext(store.guard(), Identity("shop", "ada")))
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
        assert f"\n- {name}: is not taken: leave it out.\n" in said


async def test_each_change_takes_an_operation_id(client: Client) -> None:
    for tool in await tools(client):
        changes = TOOLS[tool.name][1] != READS and tool.name != "cache_invalidate"
        assert ("operation_id" in tool.input_schema["properties"]) is changes, tool.name


def test_texts_and_lists_are_limited() -> None:
    """By the server: the schemas that clients see do not count characters."""
    for tool in [*sessions.TOOLS, *memory.TOOLS]:
        for place in schemas(tool.fn_metadata.arg_model.model_json_schema()):
            if place.get("type") == "string":
                assert place["maxLength"] <= 100_000, tool.name
            if place.get("type") == "array":
                assert place["maxItems"] <= 100, tool.name
            if place.get("type") == "integer":
                assert "minimum" in place, tool.name


async def test_every_argument_has_a_type_that_every_client_knows(client: Client) -> None:
    """Gemini refuses lists of types and lists without items, Cursor arguments without a type."""
    seen: list[str] = []
    for tool in await tools(client):
        schema = tool.input_schema
        assert schema["type"] == "object"
        for name, argument in arguments(schema):
            seen.append(name)
            for each in argument.get("anyOf", [argument]):
                assert isinstance(each.get("type"), str), (tool.name, name, each)
            assert "title" not in argument
            assert argument.get("default", "") is not None, (tool.name, name)
        for place in schemas(schema):
            assert not {"$ref", "$defs", "oneOf", "allOf"} & set(place), tool.name
            if place.get("type") == "array":
                assert place["items"], tool.name
    assert {"payload", "content", "value", "state", "operation_id"} <= set(seen)


async def test_gemini_is_given_a_type_for_every_argument(client: Client) -> None:
    """By Google's own conversion, which passes over what Gemini does not know."""
    for tool in await tools(client):
        converted = types.Schema.from_json_schema(json_schema=types.JSONSchema(**tool.input_schema))
        assert set(converted.properties or {}) == set(tool.input_schema["properties"])
        for name, argument in (converted.properties or {}).items():
            for each in argument.any_of or [argument]:
                assert each.type, (tool.name, name)
                assert each.type != types.Type.ARRAY or each.items, (tool.name, name)


async def test_the_list_of_tools_is_short(client: Client) -> None:
    found = await client.list_tools()
    listed = found.model_dump(mode="json", by_alias=True, exclude_none=True)["tools"]
    assert len(json.dumps(listed, separators=(",", ":"))) < 21_000
    for tool in listed:
        assert 0 < len(tool["description"]) <= 200, tool["name"]
        for place in schemas(tool["inputSchema"]):
            assert len(place.get("description", "")) <= 100, tool["name"]


async def test_results_are_typed(client: Client) -> None:
    for tool in await tools(client):
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == "object"
        assert tool.output_schema["properties"]


async def test_any_json_is_taken_where_any_is_said(client: Client) -> None:
    """Also null and lists in lists, of which the schemas do not speak; text stays text."""
    for value in ("text", "[1]", 1, 1.5, True, None, {"a": None}, [], [[1], "x"]):
        await call(client, "memory_put", key="k", value=value)
        assert (await call(client, "memory_get", key="k"))["entry"]["value"] == value
    await call(client, "memory_put", key="k", value=1, text=None, metadata=None, ttl=None)


async def test_lists_begin_with_what_was_changed_last(client: Client) -> None:
    for name in ("first", "second"):
        await call(client, "session_create", session=name)
    newest = (await call(client, "session_list"))["sessions"]
    assert [each["session"] for each in newest] == ["second", "first"]
    assert (await call(client, "session_list", newest_first=False))["sessions"] == newest[::-1]
    listed = (await client.list_resources()).resources
    assert [str(each.uri).rpartition("/")[2] for each in listed] == ["second", "first"]


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
    said = await fails(client, tool, **arguments)
    first, *wrong, known = said.splitlines()
    assert first == f"{tool} was not called, as its arguments are wrong:"
    assert wrong
    assert all(line.startswith("- ") for line in wrong)
    assert known.startswith("Its arguments are: ")
    assert "pydantic" not in said
    assert "http" not in said


def arguments(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each argument with its schema, also those of objects in lists."""
    for place in schemas(schema):
        yield from place.get("properties", {}).items()


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
