"""ADK's own application behind a guard: every endpoint, and two users who attack each other."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from hashlib import sha256
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import click
import pytest
import uvicorn
from google.adk.cli import cli_tools_click as adk_cli
from google.adk.cli.fast_api import get_fast_api_app

import sojourn
from servers import Server
from sojourn.errors import ConfigurationError
from sojourn.integrations.adk import register
from sojourn.integrations.adk.auth import install
from sojourn.integrations.adk.endpoints import KNOWN, PUBLIC, Endpoint, endpoints_of
from sojourn.integrations.adk.guarded import GuardedOptions, guarded_main
from sojourn.security import AccessLog, Decision, GuessLimiter
from sojourn.security.tokens import Holder, Tokens

EXAMPLES = Path(__file__).parents[3] / "examples"
APP = "demo_agent"
TOKENS = {name: f"token-of-{name}-{'x' * 40}" for name in ("ada", "bob", "eve")}
TOKENS["o'neil/ü:?"] = "token-of-another-" + "x" * 40
SECRET = "ada keeps a secret"

REFUSED = re.compile(
    r"GET /docs|GET /docs/oauth2-redirect|GET /redoc|GET /openapi.json|HEAD /(?!dev-ui).*"
    r"|GET /apps/\{app_name\}/app-info|POST /agent-identity/finalize|(GET|POST) /config/telemetry"
    r"|(GET|POST) /builder/.*|POST /apps/\{app_name\}/trigger/.*"
    r"|\w+ /dev/apps/\{app_name\}/(builder|debug|tests|eval_sets|eval-sets|eval_results"
    r"|eval-results|deploy)(/.*)?"
    r"|GET /dev/apps/\{app_name\}/(build_graph|build_graph_image|metrics-info|graph)"
)
"""What of the ADK that we know is refused on purpose. A new endpoint is on neither list."""


class Caller:
    """One user at the guarded application."""

    def __init__(self, app: Any, token: str | None) -> None:
        self.app = app
        self.headers = [(b"host", b"127.0.0.1:8000")]
        if token is not None:
            self.headers.append((b"authorization", f"Bearer {token}".encode()))

    def scope(self, kind: str, target: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
        raw, _, query = target.partition("?")
        return {
            "type": kind,
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws" if kind == "websocket" else "http",
            "server": ("127.0.0.1", 8000),
            "client": ("203.0.113.7", 1),
            "root_path": "",
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": self.headers + headers,
        }

    async def __call__(
        self, method: str, target: str, body: Any = None, *, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        """The status and the body of an answer; of a WebSocket its close code."""
        data = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        headers = [(b"content-type", kind.encode())] if data else []
        if method == "WEBSOCKET":
            return await self.live(target, [])
        scope = {**self.scope("http", target, headers), "method": method}
        sent: list[Any] = []
        given = [{"type": "http.request", "body": data, "more_body": False}]

        async def receive() -> Any:
            return given.pop() if given else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        said = [value for name, value in sent[0]["headers"] if name == b"cache-control"]
        assert target == "/health" or (len(said) == 1 and b"no-store" in said[0])
        return sent[0]["status"], b"".join(each.get("body", b"") for each in sent)

    async def live(self, target: str, texts: list[str]) -> tuple[int, bytes]:
        sent: list[Any] = []
        given = [{"type": "websocket.connect"}]
        given += [{"type": "websocket.receive", "text": text} for text in texts]

        async def receive() -> Any:
            return given.pop(0) if given else {"type": "websocket.disconnect", "code": 1001}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(self.scope("websocket", target, []), receive, send)
        accepted = sent[0]["type"] == "websocket.accept"
        return 101 if accepted else 403, json.dumps(sent).encode()


class House:
    """The application, guarded, with what its guard has said."""

    def __init__(self, app: Any, decisions: list[Decision]) -> None:
        self.app = app
        self.decisions = decisions

    def of(self, user: str) -> Caller:
        return Caller(self.app, TOKENS[user])


def holders() -> Tokens:
    made = {name: Holder(name) for name in TOKENS} | {"eve": Holder("eve", frozenset(["other"]))}
    return Tokens({sha256(TOKENS[name].encode()).digest(): made[name] for name in TOKENS})


@pytest.fixture(params=["web", "api_server"])
async def house(
    request: pytest.FixtureRequest, shared_server: Server, tmp_path: Path
) -> AsyncIterator[House]:
    """What `sojourn adk web|api_server --auth` serves."""
    register()
    shutil.copytree(EXAMPLES / APP, tmp_path / APP)
    url = f"{shared_server.url}?namespace=auth{uuid4().hex}"
    app = get_fast_api_app(
        agents_dir=str(tmp_path),
        web=request.param == "web",
        session_service_uri=url,
        memory_service_uri=url,
        artifact_service_uri=url,
    )
    decisions: list[Decision] = []
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(sojourn.open(url))
        install(
            app,
            tokens=holders(),
            peers=GuessLimiter(store, limit=100_000),
            store=store,
            log=AccessLog(decisions.append),
            max_body=100_000,
        )
        yield House(app, decisions)


def filled(endpoint: Endpoint, user: str) -> str:
    names = {"app_name": APP, "user_id": user, "version_id": "0"}
    return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], "x"), endpoint.path)


def forbidden(answer: tuple[int, bytes]) -> bool:
    return answer[0] == 403 and (b"Forbidden" in answer[1] or b"websocket.close" in answer[1])


# ── every endpoint ─────────────────────────────────────────────────────────────────────────────


async def test_every_endpoint_of_this_adk_is_known_or_refused_on_purpose(house: House) -> None:
    new = {
        str(each)
        for each in endpoints_of(house.app) - set(KNOWN) - PUBLIC
        if not REFUSED.fullmatch(str(each))
    }
    assert not new, "decide whether users may reach these, in endpoints.py or above"


async def test_without_a_token_nothing_answers_but_health(house: House) -> None:
    for endpoint in endpoints_of(house.app):
        for token in (None, "x" * 50, "", TOKENS["ada"] + "x", TOKENS["ada"][:-1]):
            answer = await Caller(house.app, token)(endpoint.method, filled(endpoint, "ada"))
            if endpoint in PUBLIC:
                assert answer == (200, b'{"status":"ok"}')
            elif endpoint.method == "WEBSOCKET":
                assert forbidden(answer)
            else:
                assert answer == (401, b'{"detail":"Unauthorized"}'), endpoint


async def test_what_is_not_known_is_refused_with_any_token(house: House) -> None:
    ada = house.of("ada")
    refused = endpoints_of(house.app) - set(KNOWN) - PUBLIC
    assert refused
    for endpoint in refused:
        assert forbidden(await ada(endpoint.method, filled(endpoint, "ada"))), endpoint
    for method, path in (("GET", "/nowhere"), ("PUT", "/run"), ("TRACE", "/"), ("POST", "/apps")):
        assert forbidden(await ada(method, path))
    assert {each.reason for each in house.decisions} == {"endpoint", "unknown"}


async def test_another_user_is_refused_everywhere_whether_there_or_not(house: House) -> None:
    await house.of("ada")("POST", f"/apps/{APP}/users/ada/sessions/x", {})
    bob = house.of("bob")
    for endpoint, named in KNOWN.items():
        if named == "path" and endpoint in endpoints_of(house.app):
            answers = {
                await bob(endpoint.method, filled(endpoint, user)) for user in ("ada", "nobody")
            }
            assert answers == {(403, b'{"detail":"Forbidden"}')}, endpoint
    assert await house.of("ada")("GET", f"/apps/{APP}/users/ada/sessions/x") != (404, b"")


async def test_own_endpoints_answer(house: House) -> None:
    ada = house.of("ada")
    for endpoint, named in KNOWN.items():
        if named == "path" and endpoint in endpoints_of(house.app):
            status, _ = await ada(endpoint.method, filled(endpoint, "ada"))
            assert status in (200, 404, 422), endpoint  # ADK's own answers
    assert json.loads((await ada("GET", "/list-apps"))[1]) == [APP]


# ── two users ──────────────────────────────────────────────────────────────────────────────────


def run(user: str, session: str, **more: Any) -> dict[str, Any]:
    message = {"role": "user", "parts": [{"text": "Store key with value " + SECRET}]}
    return {"appName": APP, "userId": user, "sessionId": session, "newMessage": message} | more


async def with_secret(house: House) -> None:
    """Ada's session `s1` and her artifact `note`."""
    ada = house.of("ada")
    assert (await ada("POST", f"/apps/{APP}/users/ada/sessions/s1", {"told": SECRET}))[0] == 200
    note = {"filename": "note", "artifact": {"text": SECRET}}
    where = f"/apps/{APP}/users/ada/sessions/s1/artifacts"
    assert (await ada("POST", where, note))[0] == 200
    assert SECRET.encode() in (await ada("GET", f"{where}/note"))[1]


TRICKS = [
    f"/apps/{APP}/users/%61da/sessions/s1",
    f"/apps/{APP}/users/%2561da/sessions/s1",
    f"/apps/{APP}/users/bob/../ada/sessions/s1",
    f"/apps/{APP}/users/bob%2F..%2Fada/sessions/s1",
    f"/apps/{APP}/users/bob%2Fsessions%2Fs1/../../ada/sessions/s1",
    f"/apps/{APP}/users/ada/sessions/s1/",
    f"/apps/{APP}/users/ada/sessions/s1//",
    f"/apps/{APP}/users/ada%2Fsessions%2Fs1",
    f"/apps/{APP}%2Fusers%2Fada%2Fsessions%2Fs1",
    f"//apps/{APP}/users/ada/sessions/s1",
    f"/apps//{APP}/users/ada/sessions/s1",
    f"/./apps/{APP}/users/ada/sessions/s1",
    f"/apps/{APP}/users/ada;x/sessions/s1",
    f"/apps/{APP}/users/ada%00/sessions/s1",
    f"/apps/{APP}/users/ada%20/sessions/s1",
    f"/apps/{APP}/users/ADA/sessions/s1",
    f"/apps/{APP}/users/%EF%BD%81da/sessions/s1",
    f"/apps/{APP}/users//sessions/s1",
    f"/apps/{APP}/users/*/sessions",
    "/users/ada/sessions/s1",
    "/dev-ui/../users/ada/sessions/s1",
    f"/apps/{APP}/users/bob/sessions/s1?user_id=ada",
    f"/apps/{APP}/users/bob/sessions/s1?userId=ada",
    f"/apps/{APP}/users/bob/sessions/s1?user_id=bob&user_id=ada",
    f"/apps/{APP}/users/bob/sessions/..%2F..%2Fada%2Fsessions%2Fs1",
    f"/apps/{APP}/users/bob/sessions/s1/artifacts/..%2F..%2F..%2F..%2Fada%2Fsessions%2Fs1%2Fnote",
]


@pytest.mark.parametrize("target", TRICKS)
async def test_no_way_of_writing_a_path_leads_to_another(house: House, target: str) -> None:
    await with_secret(house)
    bob = house.of("bob")
    for method in ("GET", "DELETE", "PATCH", "POST"):
        status, body = await bob(method, target, {"state_delta": {}} if method != "GET" else None)
        assert SECRET.encode() not in body
        assert not (status < 300 and b"ada" in body)
    assert SECRET.encode() in (await house.of("ada")("GET", TRICKS[0].replace("%61", "a")))[1]


BODIES = [
    run("ada", "s1"),
    run("nobody", "s1"),
    {**run("bob", "s1"), "user_id": "ada"},
    {**run("bob", "s1"), "user_id": "bob"},
    {key: value for key, value in run("bob", "s1").items() if key != "userId"},
    run("bob", "s1") | {"userId": ["bob"]},
    run("bob", "s1") | {"userId": None},
    run("bob", "s1") | {"app_name": APP},
    run("bob", "s1") | {"appName": "__adk_agent_builder_assistant"},
    [run("bob", "s1")],
    "bob",
    None,
]


@pytest.mark.parametrize("endpoint", ["/run", "/run_sse"])
async def test_no_body_runs_as_another(house: House, endpoint: str) -> None:
    await with_secret(house)
    bob = house.of("bob")
    for body in BODIES:
        assert forbidden(await bob("POST", endpoint, body)), body
    assert forbidden(await bob("POST", f"{endpoint}?user_id=ada", run("bob", "s1")))
    form = "multipart/form-data; boundary=x"
    assert forbidden(await bob("POST", endpoint, run("ada", "s1"), kind=form))
    assert (await bob("POST", endpoint, run("bob", "s1")))[0] == 404  # ADK: no such session of his
    ada = house.of("ada")
    assert (await ada("POST", endpoint, run("ada", "s1")))[0] == 200
    snake = {"app_name": APP, "user_id": "ada", "session_id": "s1"}
    assert (await ada("POST", endpoint, snake | {"new_message": run("", "")["newMessage"]}))[
        0
    ] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"user_id=bob", 400),
        (b'{"userId":"bob","userId":"ada"}', 400),
        (b'{"userId":"bob","x":{"a":1,"\\u0061":2}}', 400),
        ('{"userId":"bob"}'.encode("utf-16"), 400),
        (b'\xef\xbb\xbf{"userId":"bob"}', 400),
        (b'{"userId":"bob\xff"}', 400),
        (b"[" * 50_000, 400),
        (b" " * 100_001, 413),
    ],
)
async def test_a_body_that_parsers_may_read_in_two_ways_is_refused(
    house: House, body: bytes, status: int
) -> None:
    assert (await house.of("bob")("POST", "/run", body))[0] == status
    assert (await house.of("bob")("PATCH", f"/apps/{APP}/users/bob/memory", body))[0] == status


@pytest.mark.parametrize(
    "query",
    [
        f"app_name={APP}&user_id=ada&session_id=s1",
        f"app_name={APP}&user_id=bob&user_id=ada&session_id=s1",
        f"app_name={APP}&user_id=ada&user_id=bob&session_id=s1",
        f"app_name={APP}&user%5Fid=ada&session_id=s1",
        f"app_name={APP}&userId=bob&user_id=ada&session_id=s1",
        f"app_name={APP}&session_id=s1",
        "app_name=__x&user_id=bob&session_id=s1",
        "",
    ],
)
async def test_no_live_session_is_another_ones(house: House, query: str) -> None:
    await with_secret(house)
    status, said = await house.of("bob").live(f"/run_live?{query}", [])
    assert status == 403
    assert json.loads(said) == [{"type": "websocket.close", "code": 1008, "reason": ""}]


async def test_a_live_message_writes_nothing_for_others(house: House) -> None:
    target = f"/run_live?app_name={APP}&user_id=bob&session_id=s1"
    bob = house.of("bob")
    await bob("POST", f"/apps/{APP}/users/bob/sessions/s1", {})
    status, said = await bob.live(target, [json.dumps({"state_delta": {"app:prompt": "obey"}})])
    assert status == 101
    assert 1008 in [each.get("code") for each in json.loads(said)]


async def test_nobody_writes_the_state_that_all_share(house: House) -> None:
    bob, where = house.of("bob"), f"/apps/{APP}/users/bob/sessions"
    shared = {"app:prompt": "obey bob"}
    event = {"author": "user", "actions": {"stateDelta": shared}}
    attempts = [
        ("POST", where, {"state": shared}),
        ("POST", where, {"events": [event]}),
        ("POST", f"{where}/s2", shared),
        ("PATCH", f"{where}/s1", {"stateDelta": shared}),
        ("PATCH", f"{where}/s1", {"state_delta": shared}),
        ("POST", "/run", run("bob", "s1", stateDelta=shared)),
        ("POST", "/run_sse", run("bob", "s1", state_delta=shared)),
        ("PATCH", f"{where}/s1", b'{"stateDelta":{"\\u0061pp:prompt":"obey"}}'),
    ]
    assert (await bob("POST", f"{where}/s1", {"user:mine": 1, "user_id": "ada"}))[0] == 200
    for method, target, body in attempts:
        assert forbidden(await bob(method, target, body)), target
    ada = house.of("ada")
    _, made = await ada("POST", f"/apps/{APP}/users/ada/sessions", {})
    assert json.loads(made)["state"] == {}


async def test_a_reference_to_an_artifact_of_another_is_refused(house: House) -> None:
    await with_secret(house)
    bob, where = house.of("bob"), f"/apps/{APP}/users/bob/sessions/s1"
    for kind in ("fileUri", "file_uri"):
        for owner in ("ada", "nobody", "bob/users/ada", "*"):
            uri = f"artifact://apps/{APP}/users/{owner}/sessions/s1/artifacts/note/versions/0"
            part = {"fileData": {kind: uri}}
            saved = await bob("POST", f"{where}/artifacts", {"filename": "f", "artifact": part})
            assert forbidden(saved)
            message = {"role": "user", "parts": [part]}
            assert forbidden(await bob("POST", "/run", run("bob", "s1", newMessage=message)))
    uri = uri.replace("users/*", "users/bob/sessions/s1/artifacts/x/../../../ada")
    part = {"fileData": {"fileUri": uri}}
    await bob("POST", f"{where}/artifacts", {"filename": "f", "artifact": part})  # one of his own
    assert SECRET.encode() not in (await bob("GET", f"{where}/artifacts/f"))[1]


async def test_a_token_for_some_apps_is_for_no_other(house: House) -> None:
    eve = house.of("eve")
    assert forbidden(await eve("GET", f"/apps/{APP}/users/eve/sessions"))
    assert forbidden(await eve("POST", "/run", run("eve", "s1")))
    unsaid = {key: value for key, value in run("eve", "s1").items() if key != "appName"}
    assert forbidden(await eve("POST", "/run", unsaid))
    assert forbidden(await eve("GET", "/list-apps"))
    assert (await eve("GET", "/apps/other/users/eve/sessions"))[0] == 200


async def test_ids_of_any_letters_are_compared_as_adk_reads_them(house: House) -> None:
    name = "o'neil/ü:?"
    odd = house.of(name)
    assert (await odd("POST", "/run", run(name, "s1")))[0] == 404
    # A path cannot name a user with a slash; ADK reads another path then.
    assert (await odd("GET", f"/apps/{APP}/users/o'neil%2F%C3%BC:%3F/sessions"))[0] == 403


@pytest.mark.parametrize(
    "header", ["Basic {}", "bearer", "Bearer", "{}", "Bearer {},", "Bearer x {}"]
)
async def test_only_a_bearer_token_is_one(house: House, header: str) -> None:
    caller = Caller(house.app, None)
    caller.headers.append((b"authorization", header.format(TOKENS["ada"]).encode()))
    assert (await caller("GET", "/list-apps"))[0] == 401


async def test_two_tokens_are_none(house: House) -> None:
    caller = house.of("ada")
    caller.headers.append((b"authorization", f"Bearer {TOKENS['bob']}".encode()))
    assert (await caller("GET", "/list-apps"))[0] == 401


async def test_each_decision_is_logged_without_ids(house: House) -> None:
    await with_secret(house)
    await house.of("bob")("GET", f"/apps/{APP}/users/ada/sessions/s1")
    await Caller(house.app, "x" * 40)("GET", f"/apps/{APP}/users/ada/sessions/s1")
    said = [(each.action, each.outcome, each.reason) for each in house.decisions[-2:]]
    action = "adk GET /apps/{app_name}/users/{user_id}/sessions/{session_id}"
    assert said == [(action, "refused", "foreign"), (action, "refused", "token")]
    assert {len(each.peer) for each in house.decisions} == {32}
    text = json.dumps([each.as_dict() for each in house.decisions])
    assert not [name for name in ("ada", "bob", "s1", *TOKENS.values()) if f'"{name}"' in text]


# ── what cannot be guarded ─────────────────────────────────────────────────────────────────────


async def test_an_endpoint_may_be_allowed_by_hand_and_still_names_its_user(
    house: House, tmp_path: Path
) -> None:
    app = get_fast_api_app(agents_dir=str(tmp_path), web=False, session_service_uri="memory://")
    store = sojourn.open("memory://")
    options = {"tokens": holders(), "peers": GuessLimiter(store), "store": store}
    with pytest.raises(ConfigurationError, match="no such endpoint"):
        install(app, **options, log=AccessLog(), allow=[Endpoint("GET", "/nowhere")])
    install(app, **options, log=AccessLog(), allow=[Endpoint("GET", "/openapi.json")])
    ada = Caller(app, TOKENS["ada"])
    assert (await ada("GET", "/openapi.json"))[0] == 200
    assert forbidden(await ada("GET", "/openapi.json?user_id=bob"))
    assert forbidden(await ada("GET", "/docs"))


async def test_an_app_that_is_none_or_already_serves_is_not_guarded(house: House) -> None:
    await house.of("ada")("GET", "/health")
    for app in (house.app, object(), "module:app"):
        with pytest.raises(ConfigurationError, match="nothing is served"):
            install(app)


async def test_who_guesses_is_slowed_and_then_refused(tmp_path: Path) -> None:
    app = get_fast_api_app(agents_dir=str(tmp_path), web=False, session_service_uri="memory://")
    store = sojourn.open("memory://")
    peers = GuessLimiter(store, limit=2, refused=4, delay=0)
    install(app, tokens=holders(), peers=peers, store=store, log=AccessLog())
    guesses = [(await Caller(app, f"{n}" * 40)("GET", "/list-apps"))[0] for n in range(5)]
    assert guesses == [401, 401, 401, 429, 429]
    ada = Caller(app, TOKENS["ada"])
    assert (await ada("GET", "/list-apps"))[0] == 200  # a token is a token, from the same address
    assert (await ada("GET", f"/apps/{APP}/users/bob/sessions"))[0] == 429
    counted = (await store.guard().fleet("adk")).reasons
    assert counted == {"refused:token": 3, "refused:throttled": 3}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., uvicorn.Config]:
    """Runs the command until its server would start: what it would serve, and where."""
    served: list[uvicorn.Config] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda server: served.append(server.config))

    def served_by(*words: str) -> uvicorn.Config:
        main = guarded_main(GuardedOptions(holders(), (), None, 1000))
        main.main([*words, str(tmp_path)], prog_name="sojourn adk", standalone_mode=False)
        return served.pop()

    return served_by


@pytest.mark.parametrize("command", ["web", "api_server"])
async def test_what_the_command_serves_is_guarded(
    serve: Callable[..., uvicorn.Config], command: str
) -> None:
    config = serve(command, "--session_service_uri=memory://", "--port", "81", "--host=127.0.0.2")
    assert (config.host, config.port) == ("127.0.0.2", 81)
    for token, status in (("", 401), (TOKENS["ada"], 200)):
        assert (await Caller(config.app, token)("GET", "/list-apps"))[0] == status


def test_adk_keeps_its_own_servers(serve: Callable[..., uvicorn.Config]) -> None:
    before = dict(adk_cli.main.commands), adk_cli.main.commands["web"].callback
    serve("web")
    assert (adk_cli.main.commands, adk_cli.main.commands["web"].callback) == before


@pytest.mark.parametrize("command", ["web", "api_server"])
def test_every_option_of_adks_is_taken_beside_auth(command: str) -> None:
    by_us = {"log_level", "reload", "with_ui"}
    by_its_decorators = {"verbose", "enable_features", "disable_features"}
    taken = {*signature(get_fast_api_app).parameters, *by_us, *by_its_decorators}
    assert {option.name for option in adk_cli.main.commands[command].params} <= taken


def test_an_option_that_is_not_known_is_refused(
    serve: Callable[..., uvicorn.Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = click.Option(["--newer"], is_flag=True)
    web = adk_cli.main.commands["web"]
    monkeypatch.setattr(web, "params", [*web.params, newer])
    serve("web")
    with pytest.raises(click.UsageError, match="--newer"):
        serve("web", "--newer")
