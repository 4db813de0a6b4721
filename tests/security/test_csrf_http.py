"""The middleware in front of a FastAPI application, in this process and on a port."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import uvicorn
import websockets

import sojourn
from servers import Server, free_port
from sojourn.errors import ConfigurationError
from sojourn.ids import SessionKey
from sojourn.security import AccessLog, Decision
from sojourn.security.csrf import issue
from sojourn.surfaces.http import CSRF

EXAMPLE = Path(__file__).parents[2] / "examples" / "csrf_web.py"
SAME = {"sec-fetch-site": "same-origin"}
KEY = SessionKey.of("web", "ada", "s1")
SECRETS = [b"s" * 32]


@pytest.fixture
def example(shared_server: Server, clean_environment: pytest.MonkeyPatch) -> ModuleType:
    """The example, on a server of the tests."""
    clean_environment.setenv("SOJOURN_URL", f"{shared_server.url}?namespace=csrf")
    spec = importlib.util.spec_from_file_location("csrf_web", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def http(example: ModuleType) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(example.guarded)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as http:
        yield http
    await sojourn.close_default()


async def test_a_page_of_ours_writes_and_one_of_others_does_not(http: httpx.AsyncClient) -> None:
    token = (await http.post("/login/ada", headers=SAME)).json()["csrf"]
    ours = {**SAME, "x-csrf-token": token}
    assert (await http.post("/notes", content="one", headers=ours)).json() == {"notes": 1}
    forged = [
        {},
        SAME,
        {"x-csrf-token": token},
        {"x-csrf-token": token, "sec-fetch-site": "cross-site"},
        {"x-csrf-token": token, "origin": "http://evil.example"},
        {"x-csrf-token": token, "origin": "null"},
        {"x-csrf-token": token + "x", **SAME},
        [("x-csrf-token", token), ("x-csrf-token", token), *SAME.items()],
    ]
    for headers in forged:
        refusal = await http.post("/notes", content="two", headers=headers)
        assert (refusal.status_code, refusal.json()) == (403, {"detail": "Forbidden"})
    assert (await http.get("/csrf", headers={"origin": "http://evil.example"})).status_code == 200
    assert (await http.post("/notes", content="two", headers=ours)).json() == {"notes": 2}


async def test_a_token_of_another_login_is_refused(http: httpx.AsyncClient) -> None:
    other = (await http.post("/login/bob", headers=SAME)).json()["csrf"]
    http.cookies.clear()
    await http.post("/login/ada", headers=SAME)
    refusal = await http.post("/notes", content="x", headers={**SAME, "x-csrf-token": other})
    assert refusal.status_code == 403


async def test_nobody_is_logged_in_from_elsewhere(http: httpx.AsyncClient) -> None:
    refusal = await http.post("/login/eve", headers={"sec-fetch-site": "cross-site"})
    assert refusal.status_code == 403
    assert not refusal.cookies


# ── the middleware alone ───────────────────────────────────────────────────────────────────────


class Behind:
    """An application that reads nothing before it is told to, and tells what came."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.receives: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.receives.append(receive)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})


async def ask(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        assert scope["type"] == "websocket", "a body was read"
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def post(**headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = [(name.encode(), value.encode()) for name, value in named.items()]
    base = {"type": "http", "method": "POST", "scheme": "http", "client": ("203.0.113.7", 1)}
    return {**base, "headers": pairs}


async def test_a_body_passes_untouched_and_is_not_read_when_refused() -> None:
    behind = Behind()
    app = CSRF(behind, secrets=SECRETS, session=lambda scope: KEY)
    scope = post(sec_fetch_site="same-origin", x_csrf_token=issue(KEY, SECRETS))
    assert (await ask(app, scope))[0]["status"] == 200
    assert behind.scopes == [scope]
    assert (await ask(app, post()))[0]["status"] == 403
    assert len(behind.scopes) == 1


async def test_a_forwarded_host_counts_only_when_told() -> None:
    scope = post(
        host="inner:8000",
        origin="https://shop.example",
        x_forwarded_host="shop.example",
        x_forwarded_proto="https",
        x_csrf_token=issue(KEY, SECRETS),
    )
    for trust, status in ((False, 403), (True, 200)):
        app = CSRF(Behind(), secrets=SECRETS, session=lambda scope: KEY, trust_forwarded=trust)
        assert (await ask(app, scope))[0]["status"] == status
    spoofed = post(
        host="shop.example", origin="http://evil.example", x_forwarded_host="evil.example"
    )
    app = CSRF(Behind(), secrets=SECRETS, session=lambda scope: None)
    assert (await ask(app, spoofed))[0]["status"] == 403


async def test_each_decision_is_in_the_access_log_without_ids() -> None:
    decisions: list[Decision] = []
    log = AccessLog(decisions.append)

    async def session(scope: Any) -> SessionKey:
        return KEY

    app = CSRF(Behind(), secrets=SECRETS, session=session, log=log)
    token = issue(KEY, SECRETS)
    await ask(app, post(sec_fetch_site="none", x_csrf_token=token))
    await ask(app, post(sec_fetch_site="none"))
    await ask(app, post(sec_fetch_site="cross-site", x_csrf_token=token))
    await ask(app, {**post(), "method": "GET"})
    assert [(each.action, each.outcome, each.reason) for each in decisions] == [
        ("csrf", "allowed", ""),
        ("csrf", "refused", "token"),
        ("csrf", "refused", "origin"),
    ]
    assert all(each.who and each.peer and each.session for each in decisions)
    said = json.dumps([each.as_dict() for each in decisions])
    assert not [word for word in ("ada", "s1", "203.0.113.7", token) if f'"{word}' in said]


@pytest.mark.parametrize("origin", ["shop.example", "null", "*", "https://shop.example/x"])
def test_a_list_with_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="is no origin"):
        CSRF(Behind(), secrets=SECRETS, session=lambda scope: None, origins=[origin])


def test_a_short_secret_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError):
        CSRF(Behind(), secrets=[b"x"], session=lambda scope: None)


# ── a real server ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = CSRF(Behind(), secrets=SECRETS, session=lambda scope: KEY)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await task


async def test_on_a_port_the_same_holds(port: int) -> None:
    own = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=own, trust_env=False) as http:
        token = {"x-csrf-token": issue(KEY, SECRETS)}
        for origin, status in ((own, 200), ("http://evil.example", 403), ("null", 403)):
            answer = await http.post("/", headers={**token, "origin": origin}, content=b"x" * 9999)
            assert answer.status_code == status
        assert (await http.get("/")).status_code == 200


async def test_an_upgrade_to_websocket_must_come_from_the_right_place(port: int) -> None:
    where = f"ws://127.0.0.1:{port}/"
    async with websockets.connect(where, origin=f"http://127.0.0.1:{port}", proxy=None) as socket:
        await socket.wait_closed()
    for origin in ("http://evil.example", "null", None):
        with pytest.raises(websockets.InvalidStatus) as refusal:
            await websockets.connect(where, origin=origin, proxy=None)
        assert refusal.value.response.status_code == 403
