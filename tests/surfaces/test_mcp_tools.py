"""What the tools do, over real HTTP, in both eras of the protocol."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_kit import MODES, Web, answer, call, fails
from mcp_types import TextResourceContents

import sojourn
from servers import Server
from sojourn.surfaces.mcp.documents import ANSWER_BYTES, PREVIEW

LARGE = "x" * 2 * ANSWER_BYTES


@pytest.fixture(scope="module")
def web(shared_server: Server) -> Iterator[Web]:
    namespace = f"mcp-{secrets.token_hex(4)}"
    web = Web(shared_server.url, "--namespace", namespace, "--user", "ada")
    yield web
    web.kill()


@pytest.fixture(params=MODES)
async def client(web: Web, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with web.client(mode=request.param) as client:
        yield client


@pytest.fixture
async def session(client: Client) -> str:
    return (await call(client, "session_create", title="T"))["session"]


async def say(client: Client, session: str, *payloads: Any) -> None:
    events = [{"author": "user", "payload": payload} for payload in payloads]
    await call(client, "session_append", session=session, events=events)


async def test_a_session_from_its_beginning_to_its_end(client: Client) -> None:
    made = await call(
        client,
        "session_create",
        title="Trip",
        state={"step": 1, "user:name": "Ada"},
        metadata={"a": [1]},
        labels={"flow": "plan", "old": "x"},
        ttl=600,
    )
    session = made["session"]
    assert (made["title"], made["version"], made["length"]) == ("Trip", 1, 0)
    assert 590 < made["expires"] - made["created"] < 610
    events = [{"author": "user", "payload": {"q": "?"}, "state_delta": {"step": 2, "seen": True}}]
    added = await call(client, "session_append", session=session, events=events)
    assert added == {"version": 2, "seqs": [1], "repeated": False}
    changed = await call(
        client, "session_update", session=session, status="ended", labels={"old": None}
    )
    assert changed == {"version": 3}
    for flow, count in (("plan", 1), ("book", 0)):
        listed = await call(client, "session_list", labels={"flow": flow})
        assert [each["labels"] for each in listed["sessions"]] == [{"flow": "plan"}] * count
    await call(client, "session_set_state", session=session, changes={"step": 3}, author="bot")
    found = await call(client, "session_get", session=session)
    assert (found["status"], found["metadata"]) == ("ended", {"a": [1]})
    assert found["state"] == {"step": 3, "seen": True, "user:name": "Ada"}
    assert [(each["author"], each["payload"], each["kind"]) for each in found["last"]] == [
        ("user", {"q": "?"}, "message"),
        ("bot", None, "state"),
    ]
    assert await call(client, "session_state", session=session, prefix="user:") == {
        "state": {"user:name": "Ada"},
        "cut": [],
    }
    assert await call(client, "session_delete", session=session) == {"deleted": True}
    assert await call(client, "session_delete", session=session) == {"deleted": False}
    assert "no such session" in await fails(client, "session_get", session=session)


async def test_events_come_in_pages_from_the_last_to_the_first(
    client: Client, session: str
) -> None:
    await say(client, session, *range(1, 46))
    pages, cursor = [], None
    while True:
        page = await call(client, "session_events", session=session, limit=20, cursor=cursor)
        pages.append([event["payload"] for event in page["events"]])
        cursor = page["cursor"]
        if cursor is None:
            break
    assert pages == [list(range(26, 46)), list(range(6, 26)), list(range(1, 6))]


async def test_a_cursor_of_an_earlier_session_of_the_name_is_refused(client: Client) -> None:
    name = secrets.token_hex(4)
    for _ in range(2):
        await call(client, "session_create", session=name)
        await say(client, name, 1, 2, 3)
        first = await call(client, "session_events", session=name, limit=1)
        await call(client, "session_delete", session=name)
    await call(client, "session_create", session=name)
    await say(client, name, 4)
    old = first["cursor"]
    assert "begin again" in await fails(client, "session_events", session=name, cursor=old)
    for cursor in ("", "nonsense", "WyJ4IiwwXQ==", "é"):
        said = await fails(client, "session_events", session=name, cursor=cursor)
        assert "not one that this tool gave" in said


async def test_messages_come_in_pages_too(client: Client) -> None:
    name = secrets.token_hex(4)
    assert await call(client, "history_read", session=name) == {"messages": [], "cursor": None}
    for number in range(3):
        await call(
            client, "history_append", session=name, role="user", content=f"m{number}",
            metadata={"n": number},
        )  # fmt: skip
    last = await call(client, "history_read", session=name, limit=2)
    assert [(m["role"], m["content"], m["metadata"]) for m in last["messages"]] == [
        ("user", "m1", {"n": 1}),
        ("user", "m2", {"n": 2}),
    ]
    rest = await call(client, "history_read", session=name, limit=2, cursor=last["cursor"])
    assert [m["content"] for m in rest["messages"]] == ["m0"]
    assert rest["cursor"] is None


async def test_sessions_are_listed_in_pages(client: Client) -> None:
    word = secrets.token_hex(4)
    names = {f"{word}-{number}" for number in range(5)}
    for name in names:
        await call(client, "session_create", session=name)
    found, cursor = set[str](), None
    while True:
        page = await call(client, "session_list", pattern=f"{word}-*", limit=2, cursor=cursor)
        found |= {each["session"] for each in page["sessions"]}
        assert len(page["sessions"]) <= 2
        cursor = page["cursor"]
        if cursor is None:
            break
    assert found == names


async def test_the_memory(client: Client) -> None:
    word = secrets.token_hex(4)
    one, two = f"{word}/1", f"{word}/2"
    first = (await call(client, "memory_put", key=one, value={"likes": "tea"}))["version"]
    second = (await call(client, "memory_merge", key=one, changes={"in": word}))["version"]
    assert second > first
    await call(client, "memory_put", key=two, value=[1], text=f"peaks{word}")
    entry = (await call(client, "memory_get", key=one))["entry"]
    assert (entry["value"], entry["version"]) == ({"likes": "tea", "in": word}, second)
    for newest, order in ((True, [two, one]), (False, [one, two])):
        pages = {"prefix": word, "limit": 1, "newest_first": newest}
        page = await call(client, "memory_list", **pages)
        assert [each["key"] for each in page["entries"]] == order[:1]
        page = await call(client, "memory_list", **pages, cursor=page["cursor"])
        assert [each["key"] for each in page["entries"]] == order[1:]
    hits = (await call(client, "memory_search", query=f"{word} peaks{word}"))["hits"]
    assert {hit["key"] for hit in hits} == {one, two}
    assert hits[0]["key"] == two
    assert hits[0]["score"] > 0
    stale = await fails(client, "memory_put", key=one, value=0, expected_version=first)
    assert str(second) in stale
    assert "Read it again" in stale
    assert await call(client, "memory_delete", key=one) == {"deleted": True}
    assert await call(client, "memory_get", key=one) == {"found": False, "entry": None}


async def test_the_cache(client: Client) -> None:
    name, tag = secrets.token_hex(4), secrets.token_hex(4)
    missing = {"found": False, "value": None, "preview": None}
    assert await call(client, "cache_get", name=name) == missing
    await call(client, "cache_put", name=name, value=None, tags=[tag])
    assert await call(client, "cache_get", name=name) == {**missing, "found": True}
    await call(client, "cache_invalidate", tag=tag)
    assert await call(client, "cache_get", name=name) == missing
    await call(client, "cache_put", name=name, value={"a": 1})
    assert await call(client, "cache_delete", name=name) == {"deleted": True}
    assert await call(client, "cache_get", name=name) == missing


@pytest.mark.parametrize(
    "value", ["[1, 2]", '{"a": 1}', "null", "true", '"x"', "12", 2**53 + 1, [], {}, [[{}]], "\x00é"]
)
async def test_a_value_comes_back_as_it_went(client: Client, value: Any) -> None:
    name = secrets.token_hex(4)
    await call(client, "memory_put", key=name, value=value)
    assert (await call(client, "memory_get", key=name))["entry"]["value"] == value
    await call(client, "cache_put", name=name, value=value)
    assert (await call(client, "cache_get", name=name))["value"] == value
    await call(client, "history_append", session=name, role="user", content=value)
    assert (await call(client, "history_read", session=name))["messages"][0]["content"] == value


async def test_a_change_repeated_with_its_operation_id_happens_once(client: Client) -> None:
    name, again = secrets.token_hex(4), {"operation_id": secrets.token_hex(4)}
    made = [await call(client, "session_create", **again) for _ in range(2)]
    assert made[0]["session"] == made[1]["session"]
    session = made[0]["session"]
    events = [{"author": "user", "payload": 1}]
    added = [
        await call(client, "session_append", session=session, events=events, **again)
        for _ in range(2)
    ]
    assert [each["repeated"] for each in added] == [False, True]
    for _ in range(2):
        await call(client, "history_append", session=name, role="user", content=1, **again)
    assert len((await call(client, "history_read", session=name))["messages"]) == 1
    versions = [await call(client, "memory_put", key=name, value=1, **again) for _ in range(2)]
    assert versions[0] == versions[1]
    for _ in range(2):
        await call(client, "session_update", session=session, title="U", **again)
        await call(client, "session_set_state", session=session, changes={"n": 1}, **again)
    found = await call(client, "session_get", session=session)
    assert found["length"] == 1  # the id was the append's, so the state was not set
    gone = [await call(client, "session_delete", session=session, **again) for _ in range(2)]
    assert [each["deleted"] for each in gone] == [True, True]


async def test_a_large_value_is_cut_and_says_so(client: Client, session: str) -> None:
    await say(client, session, "small", LARGE, "last")
    page = await call(client, "session_events", session=session)
    assert [event["payload"] for event in page["events"]] == ["last"]
    page = await call(client, "session_events", session=session, cursor=page["cursor"])
    (event,) = page["events"]
    assert event["payload"] is None
    assert event["preview"] == f'"{LARGE}'[:PREVIEW]
    page = await call(client, "session_events", session=session, cursor=page["cursor"])
    assert [event["payload"] for event in page["events"]] == ["small"]
    assert page["cursor"] is None
    name = secrets.token_hex(4)
    await call(client, "memory_put", key=name, value=LARGE)
    assert (await call(client, "memory_get", key=name))["entry"]["preview"].startswith('"xxx')
    await call(client, "memory_put", key=f"{name}2", value=1)
    found = (await call(client, "memory_list", prefix=name))["entries"]
    assert [(each["value"], each["preview"] is None) for each in found] == [
        (1, True),
        (None, False),
    ]
    await call(client, "cache_put", name=name, value=LARGE)
    cached = await call(client, "cache_get", name=name)
    assert (cached["found"], cached["value"]) == (True, None)
    assert cached["preview"].startswith('"xxx')
    await call(client, "session_set_state", session=session, changes={"big": LARGE, "n": 1})
    state = await call(client, "session_state", session=session)
    assert (state["state"]["n"], state["cut"]) == (1, ["big"])
    found = await client.call_tool("session_get", {"session": session})
    assert answer(found)["cut"] == ["big"]
    assert len(found.model_dump_json()) < 5 * ANSWER_BYTES


async def test_what_is_stored_can_be_read_by_its_address(client: Client) -> None:
    name = f"{secrets.token_hex(4)}:..~@+=,"
    key = f"{name}/../é %2F?#{{x}}"
    await call(client, "session_create", session=name, title="Here")
    await say(client, name, 7)
    await call(client, "memory_put", key=key, value="remembered")
    listed, cursor = {}, None
    while True:
        page = await client.list_resources(cursor=cursor)
        listed |= {each.uri: each for each in page.resources}
        assert len(page.resources) <= 50
        cursor = page.next_cursor
        if cursor is None:
            break
    ours = [uri for uri in listed if name.partition(":")[0] in uri]
    assert len(ours) == 2
    assert "remembered" in await text_at(client, ours[1])
    assert '"title":"Here"' in await text_at(client, ours[0])
    assert '"payload":7' in await text_at(client, f"{ours[0]}/events")
    templates = (await client.list_resource_templates()).resource_templates
    assert {each.uri_template for each in templates} == {
        "sojourn://sessions/{session}",
        "sojourn://sessions/{session}/events",
        "sojourn://memory/{key}",
    }


@pytest.mark.parametrize("uri", ["sojourn://sessions/none", "sojourn://memory/none", "file:///etc"])
async def test_what_is_not_there_has_no_address(client: Client, uri: str) -> None:
    with pytest.raises(MCPError) as told:
        await client.read_resource(uri)
    assert told.value.error.code == -32602


async def test_a_cursor_of_resources_is_checked(client: Client) -> None:
    for cursor in ("nonsense", "sessions.%%", "memory.é", ""):
        with pytest.raises(MCPError, match="cursor"):
            await client.list_resources(cursor=cursor)


async def test_state_of_the_app_can_be_read_only(client: Client, session: str) -> None:
    said = await fails(client, "session_set_state", session=session, changes={"app:x": 1})
    assert "belongs to all its users" in said


async def test_a_store_that_is_away_is_no_empty_store(server: Server) -> None:
    web = Web(f"{server.url}?operation_timeout=0.3", "--user", "ada")
    try:
        async with web.client() as client:
            await call(client, "session_create", session="s")
            server.stop(9)
            said = await fails(client, "session_get", session="s")
            assert said.endswith("Nothing is lost: try again in some seconds.")
            assert str(server.port) not in said
            with pytest.raises(MCPError, match="try again"):
                await client.list_resources()
    finally:
        web.kill()


async def test_what_cannot_be_read_is_no_empty_value(server: Server) -> None:
    web = Web(server.url, "--user", "ada")
    try:
        async with sojourn.open(server.url) as store:
            await store.sessions.create("shop", "ada", "s")
        server.ask("HSET", "session:{shop:ada}:s", "version", "x")
        async with web.client() as client:
            said = await fails(client, "session_get", session="s")
            assert "cannot be read" in said
            assert "shop" not in said
    finally:
        web.kill()


async def text_at(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text
