"""Work that goes on when the server was killed in the middle of it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_kit import MODES, Web, call, handshake, request, stdio, token_file, web_client

import sojourn
from servers import Server
from sojourn.surfaces.mcp import Identity, RequestContext, application
from sojourn.testing.streams import opened

HEADERS = {"mcp_protocol_version": "2025-11-25"}


@pytest.fixture
def web(shared_server: Server, tmp_path: Path) -> Iterator[Web]:
    namespace = f"mcp-{secrets.token_hex(4)}"
    web = Web(shared_server.url, "--namespace", namespace, "--auth", str(token_file(tmp_path)))
    yield web
    web.kill()


async def append(client: Client, session: str, number: int) -> None:
    """Add an event that shall be there once, however often this is called."""
    events = [{"author": "user", "payload": number}]
    operation = f"event-{number}"
    await call(client, "session_append", session=session, events=events, operation_id=operation)


async def payloads(client: Client, session: str) -> list[int]:
    page = await call(client, "session_events", session=session, limit=100)
    return [each["payload"] for each in page["events"]]


@pytest.mark.parametrize("mode", MODES)
async def test_work_goes_on_after_the_server_was_killed(web: Web, mode: str) -> None:
    """Each time at another point of a call; the client connects anew and repeats what was lost."""
    turns = {1: 3, 3: 12, 5: 30}
    session = secrets.token_hex(4)
    done, begun = 0, 0
    while done < 7:
        begun += 1
        try:
            async with web.client("ada", mode) as client:
                await call(client, "session_create", session=session, operation_id="create")
                while done < 7:
                    appending = asyncio.create_task(append(client, session, done))
                    if done in turns:
                        for _ in range(turns.pop(done)):
                            await asyncio.sleep(0)
                        web.kill()
                        web.start()
                    await appending
                    done += 1
        except (ExceptionGroup, MCPError, httpx2.TransportError):  # the connection was lost
            continue
    assert begun > 1
    async with web.client("ada", mode) as client:
        assert await payloads(client, session) == list(range(7))


async def test_a_session_of_the_protocol_outlives_its_server(web: Web) -> None:
    async with web.http("ada") as http:
        begun = await http.post("/mcp", json=handshake())
    session = begun.headers["mcp-session-id"]
    web.kill()
    web.start()
    async with web.http("ada", mcp_session_id=session, **HEADERS) as http:
        reply = await http.post("/mcp", json=request(1, "tools/list"))
        assert "session_create" in reply.text
    async with web.http("eve", mcp_session_id=session, **HEADERS) as http:
        assert (await http.post("/mcp", json=request(1, "tools/list"))).status_code == 404


async def test_an_answer_that_was_missed_comes_from_the_next_server(web: Web) -> None:
    async with web.http("ada") as http:
        begun = await http.post("/mcp", json=handshake())
    session = begun.headers["mcp-session-id"]
    ask = request(7, "tools/call", name="session_create", arguments={"title": "Missed"})
    async with web.http("ada", mcp_session_id=session, **HEADERS) as http:
        async with http.stream("POST", "/mcp", json=ask) as reply:
            first = await anext(each async for each in events(reply))
        assert first["data"] == ""
        await answered(http)
    web.kill()
    web.start()
    async with web.http("ada", mcp_session_id=session, **HEADERS) as http:
        for _ in range(2):
            again = await http.get("/mcp", headers={"last-event-id": first["id"]})
            (missed,) = [each for each in parsed(again.text) if each["data"]]
            told = json.loads(missed["data"])
            assert told["id"] == 7
            assert told["result"]["structuredContent"]["title"] == "Missed"
        after = await http.get("/mcp", headers={"last-event-id": missed["id"]})
        assert "Missed" not in after.text
    async with web.http("eve", mcp_session_id=session, **HEADERS) as http:
        again = await http.get("/mcp", headers={"last-event-id": first["id"]})
        assert again.status_code == 404
    async with web.client("ada") as client:
        found = (await call(client, "session_list"))["sessions"]
        assert [each["title"] for each in found] == ["Missed"]


async def answered(http: httpx2.AsyncClient) -> None:
    """Wait until the call has taken effect; its answer is kept right after that."""
    number = 100
    while True:
        number += 1
        arguments = request(number, "tools/call", name="session_list", arguments={})
        if "Missed" in (await http.post("/mcp", json=arguments)).text:
            return


# ── a server in this process, whose every step can be watched ──────────────────────────────────


@asynccontextmanager
async def served(store: sojourn.Sojourn, resume_timeout: float) -> AsyncGenerator[str]:
    """The address of a server."""
    context = RequestContext(store.guard(), Identity("shop", "ada"))
    config = uvicorn.Config(
        application(context, resume_timeout=resume_timeout), log_level="warning"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        server.should_exit = True
        await serving


@pytest.fixture(params=["memory", "server"])
def url(request: pytest.FixtureRequest, shared_server: Server) -> str:
    return "memory://" if request.param == "memory" else shared_server.url


async def test_a_call_that_nobody_answers_any_more_ends_with_advice(url: str) -> None:
    """As when the server was killed between the question and its answer."""
    async with sojourn.open(url) as store, served(store, resume_timeout=0.2) as at:
        streams = store.user("shop", "ada").streams
        session = await opened(streams)
        place = await streams.add(session, "42", "")
        async with web_client(at, mcp_session_id=session) as http:
            reply = await http.get("/mcp", headers={"last-event-id": str(place)})
        (told,) = [json.loads(each["data"]) for each in parsed(reply.text)]
        assert told["id"] == 42
        assert "operation_id" in told["error"]["message"]


async def test_an_answer_that_comes_late_is_waited_for(url: str) -> None:
    """As when another process, or a client's first connection, still works on it."""
    async with sojourn.open(url) as store, served(store, resume_timeout=20) as at:
        streams = store.user("shop", "ada").streams
        session = await opened(streams)
        place = await streams.add(session, "42", "")
        answer = json.dumps({"jsonrpc": "2.0", "id": 42, "result": {"late": True}})
        async with (
            web_client(at, mcp_session_id=session) as http,
            http.stream("GET", "/mcp", headers={"last-event-id": str(place)}) as reply,
        ):
            await streams.add(session, "43", '{"jsonrpc":"2.0","id":43,"result":{"other":1}}')
            await streams.add(session, "42", answer)
            told = [each async for each in events(reply)]
        assert [json.loads(each["data"]) for each in told] == [json.loads(answer)]


async def test_a_call_goes_on_when_its_client_has_gone(url: str) -> None:
    async with sojourn.open(url) as store, served(store, resume_timeout=20) as at:
        async with web_client(at) as http:
            begun = await http.post("/mcp", json=handshake())
        session = begun.headers["mcp-session-id"]
        name = secrets.token_hex(4)
        arguments = {"session": name, "role": "user", "content": "x"}
        ask = request(1, "tools/call", name="history_append", arguments=arguments)
        async with web_client(at, mcp_session_id=session, **HEADERS) as http:
            async with http.stream("POST", "/mcp", json=ask) as reply:
                first = await anext(each async for each in events(reply))
            async with http.stream("GET", "/mcp", headers={"last-event-id": first["id"]}) as reply:
                told = [each async for each in events(reply)]
        assert json.loads(told[-1]["data"])["result"]["structuredContent"] == {"done": True}


async def test_the_last_messages_only_are_kept(url: str) -> None:
    async with sojourn.open(url) as store:
        streams = store.user("shop", "ada").streams
        session = await opened(streams)
        for _ in range(257):
            await streams.add(session, "1", "x")
        assert await streams.after(session, 1) is None
        assert len(await streams.after(session, 2) or ()) == 256


@pytest.mark.parametrize("mode", MODES)
async def test_work_goes_on_over_stdio_when_the_server_was_killed(
    shared_server: Server, mode: str
) -> None:
    """Whoever starts it again finds what was answered, once."""
    session, namespace = secrets.token_hex(4), f"mcp-{secrets.token_hex(4)}"
    words = ("--user", "ada", "--url", shared_server.url, "--namespace", namespace)
    others = children()
    async with stdio(*words, mode=mode) as client:
        await call(client, "session_create", session=session)
        await append(client, session, 0)
        (server,) = children() - others
        os.kill(server, signal.SIGKILL)
        with pytest.raises(MCPError):
            await append(client, session, 1)
    async with stdio(*words, mode=mode) as client:
        for number in range(2):
            await append(client, session, number)
        assert await payloads(client, session) == [0, 1]


def children() -> set[int]:
    """The processes that this one has started."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(word) for each in lists for word in each.read_text().split()}


def parsed(text: str) -> list[dict[str, str]]:
    """Server-sent events."""
    found: list[dict[str, str]] = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = (line.partition(":") for line in block.split("\n") if line)
        found.append({name: value.removeprefix(" ") for name, _, value in fields})
    return [each for each in found if "data" in each]


async def events(reply: httpx2.Response) -> AsyncGenerator[dict[str, str]]:
    """Server-sent events as they come."""
    block = ""
    async for line in reply.aiter_lines():
        if line:
            block += f"{line}\n"
            continue
        for each in parsed(f"{block}\n"):
            yield each
        block = ""
