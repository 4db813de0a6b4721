"""Streamable HTTP: who is let in, and what users can do to each other."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Cli
from mcp import Client
from mcp_kit import MODES, TOKENS, Web, call, fails, handshake, request, token_file, web_client

from servers import Server
from sojourn.security.ids import PLAIN

HOSTILE = [
    "s",
    "ada:s",
    "shop:ada:s",
    "{shop:ada}:s",
    "session:{shop:ada}:s",
    "../ada/s",
    "..",
    "ada%3As",
    "s\x00",
    "s\n",
    "*",
    "?",
    "[s]",
    "\u202es",
    "s" * 512,
    "é" * 256,
    "'; FLUSHALL --",
]
"""Ids by which eve looks for what is ada's."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "access.jsonl"


@pytest.fixture(scope="module")
def web(
    shared_server: Server, tmp_path_factory: pytest.TempPathFactory, log: Path
) -> Iterator[Web]:
    tokens = token_file(tmp_path_factory.mktemp("tokens"))
    namespace = f"mcp-{secrets.token_hex(4)}"
    web = Web(
        shared_server.url, "--namespace", namespace, "--auth", str(tokens),
        "--access-log", str(log), "--allow-host", "mcp.example.com",
    )  # fmt: skip
    yield web
    web.kill()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def ada(web: Web, mode: str) -> AsyncIterator[Client]:
    async with web.client("ada", mode) as client:
        yield client


@pytest.fixture
async def eve(web: Web, mode: str) -> AsyncIterator[Client]:
    async with web.client("eve", mode) as client:
        yield client


async def begin(web: Web, user: str) -> str:
    """An MCP session of the versions that have one."""
    async with web.http(user) as http:
        reply = await http.post("/mcp", json=handshake())
        assert reply.status_code == 200
        return reply.headers["mcp-session-id"]


# ── what users can do to each other ────────────────────────────────────────────────────────────


async def test_no_id_leads_to_what_is_anothers(ada: Client, eve: Client) -> None:
    taken = [name for name in HOSTILE if set(name) <= set(PLAIN) and len(name) <= 128]
    taken.remove("..")
    for name in HOSTILE:
        if name in taken:
            await call(ada, "session_create", session=name, state={"secret": 1, "user:secret": 1})
            await call(ada, "history_append", session=name, role="user", content="secret")
        else:
            for tool in ("session_create", "history_append"):
                more = {} if tool == "session_create" else {"role": "user", "content": "secret"}
                assert " session" in await fails(ada, tool, session=name, **more)
        await call(ada, "memory_put", key=name, value="secret")
        await call(ada, "cache_put", name=name, value="secret", tags=["t"])
    tries: list[tuple[str, dict[str, Any]]] = [
        ("session_get", {}),
        ("session_events", {}),
        ("session_state", {}),
        ("session_append", {"events": [{"author": "eve", "payload": 1}]}),
        ("session_update", {"title": "eve"}),
        ("session_set_state", {"changes": {"a": 1}}),
    ]
    for name in HOSTILE:
        for tool, arguments in tries:
            said = await fails(eve, tool, session=name, **arguments)
            assert "no such session" in said
        assert await call(eve, "session_delete", session=name) == {"deleted": False}
        assert (await call(eve, "history_read", session=name))["messages"] == []
        assert not (await call(eve, "memory_get", key=name))["found"]
        assert not (await call(eve, "memory_delete", key=name))["deleted"]
        assert not (await call(eve, "cache_get", name=name))["found"]
        assert not (await call(eve, "cache_delete", name=name))["deleted"]
    await call(eve, "cache_invalidate", tag="t")
    assert (await call(eve, "memory_search", query="secret"))["hits"] == []
    assert (await call(eve, "memory_list"))["entries"] == []
    assert (await call(eve, "session_list"))["sessions"] == []
    resources = await eve.list_resources()
    assert resources.resources == []
    assert resources.cache_scope == "private"
    for name in HOSTILE:
        if name in taken:
            found = await call(ada, "session_get", session=name)
            assert (found["title"], found["length"]) == ("", 1)
            await call(ada, "session_delete", session=name)
        assert (await call(ada, "memory_get", key=name))["entry"]["value"] == "secret"
        assert (await call(ada, "cache_get", name=name))["value"] == "secret"


async def test_an_id_that_another_has_is_free_to_take(ada: Client, eve: Client) -> None:
    name, operation = secrets.token_hex(4), secrets.token_hex(4)
    await call(ada, "session_create", session=name, title="ada's", operation_id=operation)
    await call(eve, "session_create", session=name, title="eve's", operation_id=operation)
    await call(eve, "session_delete", session=name, operation_id=operation)
    assert (await call(ada, "session_get", session=name))["title"] == "ada's"


async def test_a_cursor_of_another_leads_nowhere(ada: Client, eve: Client) -> None:
    name = secrets.token_hex(4)
    for number in range(3):
        await call(ada, "session_create", session=f"{name}-{number}")
        await call(ada, "memory_put", key=f"{name}-{number}", value="secret")
        for each in ("first", "second"):
            await call(ada, "history_append", session=f"{name}-0", role="user", content=each)
    of_list = (await call(ada, "session_list", limit=1))["cursor"]
    newest = (await call(ada, "session_list"))["sessions"]
    assert (await call(ada, "session_list", newest_first=False))["sessions"] == newest[::-1]
    entries = (await call(ada, "memory_list"))["entries"]
    assert [each["version"] for each in entries] == sorted(
        (each["version"] for each in entries), reverse=True
    )
    of_events = (await call(ada, "session_events", session=f"{name}-0", limit=1))["cursor"]
    of_memory = (await call(ada, "memory_list", limit=1))["cursor"]
    assert (await call(eve, "session_list", cursor=of_list))["sessions"] == []
    assert (await call(eve, "memory_list", cursor=of_memory))["entries"] == []
    said = await fails(eve, "session_events", session=f"{name}-0", cursor=of_events)
    assert "no such session" in said
    await call(eve, "history_append", session=f"{name}-0", role="user", content="mine")
    assert "begin again" in await fails(
        eve, "session_events", session=f"{name}-0", cursor=of_events
    )
    await call(eve, "session_delete", session=f"{name}-0")


async def test_an_mcp_session_is_its_users_alone(web: Web) -> None:
    theirs = await begin(web, "ada")
    listing = request(1, "tools/list")
    unknown = secrets.token_hex(16)
    answers: list[tuple[int, bytes]] = []
    async with web.http("eve") as eve:
        for session in (theirs, unknown):
            for method, headers in (
                ("POST", {}),
                ("GET", {"last-event-id": "1"}),
                ("DELETE", {}),
            ):
                body = listing if method == "POST" else None
                reply = await eve.request(
                    method, "/mcp", json=body, headers={"mcp-session-id": session, **headers}
                )
                answers.append((reply.status_code, reply.content))
    assert set(answers) == {(404, answers[0][1])}
    async with web.http("ada", mcp_session_id=theirs) as ada:
        assert (await ada.post("/mcp", json=listing)).status_code == 200


async def test_what_was_told_is_told_again_to_its_user_only(web: Web) -> None:
    theirs = await begin(web, "ada")
    async with web.http("ada", mcp_session_id=theirs, mcp_protocol_version="2025-11-25") as ada:
        reply = await ada.post("/mcp", json=request(1, "tools/list"))
        first = reply.text.partition("\n")[0].removeprefix("id: ").strip()
        again = await ada.get("/mcp", headers={"last-event-id": first})
        assert "session_create" in again.text
        for event in ("9999", "0", "-1", "x", f"{first}.0", "9" * 16):
            assert (await ada.get("/mcp", headers={"last-event-id": event})).status_code == 404
    mine = await begin(web, "eve")
    for session in (theirs, mine):
        async with web.http("eve", mcp_session_id=session) as eve:
            reply = await eve.get("/mcp", headers={"last-event-id": first})
            assert reply.status_code == 404 or "session_create" not in reply.text


async def test_who_guesses_ids_is_refused_and_nobody_else(web: Web) -> None:
    name = secrets.token_hex(8)
    async with web.client("ada") as ada:
        await call(ada, "session_create", session=name)

    async with web.http(
        "ada", mcp_protocol_version="2025-11-25", x_forwarded_for="203.0.113.9"
    ) as http:

        async def get(session: str) -> str:
            asked = request(1, "tools/call", name="session_get", arguments={"session": session})
            headers = {"mcp-session-id": await begin(web, "ada")}
            return (await http.post("/mcp", json=asked, headers=headers)).text

        for _ in range(30):  # ended connections are no guesses
            headers = {"mcp-session-id": secrets.token_hex(16)}
            gone = await http.post("/mcp", json=request(1, "tools/list"), headers=headers)
            assert gone.status_code == 404
        assert name in await get(name)
        await asyncio.gather(*(get(secrets.token_hex(8)) for _ in range(21)))
        assert "refused for a while" in await get(name)
    async with web.client("ada") as ada:
        await call(ada, "session_get", session=name)


# ── who is let in ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        "bearer \xe9",
        f"Basic {TOKENS['ada']}",
        f"Bearer {TOKENS['ada']}x",
        f"Bearer  {TOKENS['ada']}",
        f"Bearer {TOKENS['joe']}",
    ],
)
async def test_without_a_good_token_nothing_is_answered(
    web: Web, authorization: str | None
) -> None:
    sent = {} if authorization is None else {"authorization": authorization.encode("latin-1")}
    modern = {"mcp-protocol-version": "2026-07-28"}
    async with web.http() as http:
        for headers in (sent, {**sent, **modern}):
            reply = await http.post("/mcp", json=handshake(), headers=headers)
            assert reply.status_code == 401
            assert "mcp-session-id" not in reply.headers
        assert (await http.get("/mcp", headers=sent)).status_code == 401
        assert (await http.delete("/mcp", headers=sent)).status_code == 401


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"host": "evil.example.com"}, 421),
        ({"host": "127.0.0.1.evil.example.com"}, 421),
        ({"host": "mcp.example.com.evil"}, 421),
        ({"host": "mcp.example.com"}, 200),
        ({"host": "localhost"}, 200),
        ({"origin": "https://evil.example.com"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:3000"}, 200),
        ({"content-type": "text/plain"}, 400),
    ],
)
async def test_a_page_of_another_origin_cannot_call(
    web: Web, header: dict[str, str], status: int
) -> None:
    modern = {"mcp-protocol-version": "2026-07-28"}
    async with web.http("ada") as http:
        reply = await http.post("/mcp", json=handshake(), headers=header)
        assert reply.status_code == status
        assert ("mcp-session-id" in reply.headers) is (status == 200)
        reply = await http.post("/mcp", json=handshake(), headers={**header, **modern})
        assert (reply.status_code == status) is (status != 200)


async def test_no_answer_may_be_kept_by_a_cache(web: Web) -> None:
    modern = {"mcp-protocol-version": "2026-07-28"}
    for user in ("ada", None):
        async with web.http(user) as http:
            for reply in (
                await http.post("/mcp", json=handshake()),
                await http.post("/mcp", json=request(1, "tools/list"), headers=modern),
                await http.get("/mcp"),
                await http.get("/elsewhere"),
            ):
                said = reply.headers.get_list("cache-control")
                assert len(said) == 1
                assert "no-store" in said[0]


async def test_what_is_no_request_is_refused(web: Web) -> None:
    session = await begin(web, "ada")
    async with web.http("ada") as http:
        assert (await http.post("/mcp", json=request(1, "tools/list"))).status_code == 400
        assert (await http.get("/mcp")).status_code == 405
        assert (await http.put("/mcp", json={})).status_code == 405
        for body in (b"", b"{", b"[]", b"null", b'{"id":1}', b"\xff", b"[" * 10_000):
            reply = await http.post("/mcp", content=body, headers={"mcp-session-id": session})
            assert reply.status_code == 400, body
        huge = await http.post("/mcp", content=b" " * (4 * 1024 * 1024 + 1))
        assert huge.status_code == 413
        for odd in ("é", "x" * 600, "{}", "a:b"):
            headers = {"mcp-session-id": odd.encode("latin-1")}
            reply = await http.post("/mcp", json=request(1, "tools/list"), headers=headers)
            assert reply.status_code == 404


async def test_an_mcp_session_that_was_ended_is_gone(web: Web) -> None:
    session = await begin(web, "ada")
    async with web.http("ada", mcp_session_id=session) as http:
        assert (await http.delete("/mcp")).status_code == 200
        assert (await http.delete("/mcp")).status_code == 404
        assert (await http.post("/mcp", json=request(1, "tools/list"))).status_code == 404


@pytest.mark.parametrize("dead", ["ended", "never-was", "of eve", "a:b"])
async def test_who_initializes_with_a_dead_id_gets_a_new_session(web: Web, dead: str) -> None:
    session = await begin(web, "eve" if dead == "of eve" else "ada")
    if dead == "ended":
        async with web.http("ada", mcp_session_id=session) as http:
            assert (await http.delete("/mcp")).status_code == 200
    sent = session if dead in ("ended", "of eve") else dead
    async with web.http("ada", mcp_session_id=sent) as http:
        reply = await http.post("/mcp", json=handshake())
        assert reply.status_code == 200
        new = reply.headers["mcp-session-id"]
        assert new != sent
        assert (await http.post("/mcp", json=request(1, "tools/list"))).status_code == 404
        http.headers["mcp-session-id"] = new
        assert (await http.post("/mcp", json=request(1, "tools/list"))).status_code == 200


async def test_who_has_no_good_token_is_logged_by_address(web: Web, log: Path) -> None:
    for token in ("wrong", TOKENS["joe"]):
        async with web.http() as http:
            await http.post("/mcp", headers={"authorization": f"Bearer {token}"})
    text = await asyncio.to_thread(log.read_text)
    for line in text.splitlines()[-2:]:
        found = json.loads(line)
        assert (found["action"], found["outcome"], found["reason"]) == ("mcp", "refused", "token")
        assert len(found["peer"]) == 32
        assert "who" not in found


async def test_decisions_are_logged_without_ids(web: Web, log: Path) -> None:
    name = f"private-{secrets.token_hex(4)}"
    async with web.client("ada") as ada, web.client("eve") as eve:
        await call(ada, "session_create", session=name)
        await fails(eve, "session_get", session=name)
    text = await asyncio.to_thread(log.read_text)
    found = json.loads(text.splitlines()[-1])
    assert (found["action"], found["outcome"]) == ("sessions.get", "not_found")
    assert found["reason"] == "foreign"
    assert name not in text
    for token in TOKENS.values():
        assert token not in text


# ── how it starts and ends ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mcp"], "--user"),
        (["mcp", "--user", ""], "empty"),
        (["mcp", "--user", "*"], "nobody"),
        (["mcp", "--http"], "--auth"),
        (["mcp", "--http", "--user", "ada", "--auth", "x"], "one of the two"),
        (["mcp", "--http", "--user", "ada", "--host", "0.0.0.0"], "--auth"),
        (["mcp", "--http", "--user", "ada", "--host", "localhost.evil"], "--auth"),
        (["mcp", "--http", "--user", "ada", "--host", ""], "--auth"),
        (["mcp", "--http", "--auth", "x", "--host", "::"], "--allow-host"),
        (["mcp", "--http", "--auth", "no-such-file"], "no-such-file"),
        (["mcp", "--user", "ada", "--access-log", "/no/such/folder"], "access log"),
    ],
)
def test_it_does_not_start_for_anybody(cli: Cli, words: list[str], said: str) -> None:
    ran = cli.run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err.splitlines()[-1]


@pytest.mark.parametrize(
    "line",
    [
        "[",
        '"abc" = "ada"',
        f'"{"A" * 64}" = "ada"',
        f'"{"0" * 64}" = ""',
        f'"{"0" * 64}" = "*"',
        f'"{"0" * 64}" = 1',
        f'"{"0" * 64}" = {{ user = "ada" }}',
    ],
)
def test_a_token_file_that_is_none_is_refused(cli: Cli, tmp_path: Path, line: str) -> None:
    ran = cli.run("mcp", "--http", "--auth", str(token_file(tmp_path, line)))
    assert ran.code == 2
    assert "tokens.toml" in ran.err
    assert "0" * 64 not in ran.err


def test_a_token_file_that_others_may_write_to_is_refused(cli: Cli, tmp_path: Path) -> None:
    file = token_file(tmp_path)
    file.chmod(0o620)
    assert "chmod" in cli.run("mcp", "--http", "--auth", str(file)).err


async def test_one_token_may_come_from_the_environment(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_TOKEN", "ada:" + "t" * 32)
    web = Web(shared_server.url, "--auth", "env:MCP_TOKEN")
    try:
        async with web.http() as http:
            for token, status in (("t" * 32, 200), ("t" * 33, 401)):
                sent = {"authorization": f"Bearer {token}"}
                assert (
                    await http.post("/mcp", json=handshake(), headers=sent)
                ).status_code == status
    finally:
        web.kill()


async def test_it_ends_when_it_is_told_to(shared_server: Server) -> None:
    web = Web(shared_server.url, "--user", "ada")
    async with web_client(web.url) as http:
        assert (await http.post("/mcp", json=handshake())).status_code == 200
    assert web.end(signal.SIGTERM) == 0
    web.start()
    assert web.end(signal.SIGINT) == 130
