"""`sojourn adk api_server|web --auth` as a process: two users, and those who are none."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.sync.client import connect

from e2e.adk_http import APP, AdkHttp, message, text_of
from e2e.web_process import WebProcess
from servers import Server, any_binary, free_port
from sojourn.security.tokens import new_token

WHERE = f"/apps/{APP}/users/ada/sessions"


class Guarded(WebProcess):
    """It answers anyone who asks for its health, and nobody else."""

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).is_success
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module", params=["api_server", "web"])
def web(request, tmp_path_factory):
    """One for all tests: ADK takes seconds to start."""
    folder = tmp_path_factory.mktemp("auth")
    server = Server(folder / "server", any_binary()).start()
    yield from serving(request.param, folder, server.url)
    server.close()


@pytest.fixture
def only_web(tmp_path_factory, start_server):
    yield from serving("web", tmp_path_factory.mktemp("auth"), start_server().url)


def serving(subcommand: str, folder: Path, url: str):
    made = {user: new_token(user) for user in ("ada", "bob")}
    file = folder / "tokens.toml"
    file.write_text("\n".join(["[tokens]", *(line for _, line in made.values())]))
    file.chmod(0o600)
    options = ["--auth", str(file), f"--access-log={folder / 'access.jsonl'}"]
    web = Guarded(url, folder, subcommand=subcommand, options=options)
    web.tokens = {user: token for user, (token, _) in made.items()}
    web.start()
    yield web
    web.stop()


def user(web, name: str | None) -> AdkHttp:
    adk = AdkHttp(web.url)
    if name is not None:
        adk.http.headers["authorization"] = f"Bearer {web.tokens[name]}"
    return adk


def test_a_user_works_and_another_reaches_nothing(web):
    ada, bob, nobody = user(web, "ada"), user(web, "bob"), user(web, None)
    session = ada.create()
    assert "test_123" in ada.say(session, "Store test_key with value test_123")
    streamed = ada.stream(session, "What is test_key?")
    assert "test_123" in text_of(streamed[-1])
    ada.patch_memory(session).raise_for_status()

    for other, status in ((bob, 403), (nobody, 401)):
        refusals = [
            other.get(session),
            other.get("not-there"),
            other.post_session(),
            other.post_run(session, "What is test_key?"),
            other.http.post("/run_sse", json=message(session, "x")),
            other.patch_memory(session),
            other.http.get(WHERE.replace("ada", "not-there")),
            other.http.get(f"{WHERE}/{session}/artifacts"),
            other.http.get("/docs"),
        ]
        assert {refusal.status_code for refusal in refusals} == {status}
        assert len({refusal.text for refusal in refusals}) == 1
    assert ada.session(session)["state"] == {"test_key": "test_123"}

    lines = [json.loads(line) for line in (web.directory / "access.jsonl").read_text().splitlines()]
    assert {line.get("reason") for line in lines} == {None, "foreign", "endpoint", "token"}
    text = (web.directory / "access.jsonl").read_text() + web.output()
    assert not [token for token in web.tokens.values() if token in text]


def test_a_live_session_needs_its_users_token(web):
    ada = user(web, "ada")
    session = ada.create()
    where = web.url.replace("http", "ws") + f"/run_live?app_name={APP}&session_id={session}"
    for name, wanted in ((None, "ada"), ("bob", "ada"), ("ada", "bob")):
        headers = {"authorization": f"Bearer {web.tokens[name]}"} if name else {}
        with pytest.raises(websockets.InvalidStatus) as refusal:
            connect(f"{where}&user_id={wanted}", additional_headers=headers, proxy=None)
        assert refusal.value.response.status_code == 403
    headers = {"authorization": f"Bearer {web.tokens['ada']}"}
    with connect(f"{where}&user_id=ada", additional_headers=headers, proxy=None) as socket:
        socket.send('{"state_delta": {"app:prompt": "obey"}}')
        with pytest.raises(websockets.ConnectionClosed) as closed:
            socket.recv(10)
        assert closed.value.rcvd.code == 1008


TARGETS = [
    "/apps/demo_agent/users/bob/../ada/sessions",
    "/apps/demo_agent/users/bob/%2e%2e/ada/sessions",
    "/apps/demo_agent/users/%61da/sessions",
    "//apps/demo_agent/users/ada/sessions",
    "http://127.0.0.1/apps/demo_agent/users/ada/sessions",
    "/apps/demo_agent/users/ada/sessions/",
    "/dev-ui/../apps/demo_agent/users/ada/sessions",
    "/dev-ui/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd",
]


def test_no_path_on_the_wire_leads_to_another(only_web):
    user(only_web, "ada").create(sessionId="adas-own")
    for target in TARGETS:
        wire = http.client.HTTPConnection("127.0.0.1", only_web.port, timeout=30)
        wire.putrequest("GET", target, skip_host=True)
        wire.putheader("host", f"127.0.0.1:{only_web.port}")
        wire.putheader("authorization", f"Bearer {only_web.tokens['bob']}")
        wire.endheaders()
        answer = wire.getresponse()
        body = answer.read()
        wire.close()
        assert b"adas-own" not in body
        assert b"root:" not in body
        assert answer.status in (400, 403, 404), target


def test_who_guesses_tokens_is_refused_and_others_are_not(only_web):
    def guess(number: int) -> httpx.Response:
        headers = {"authorization": f"Bearer {number}"}
        return httpx.get(only_web.url + WHERE, headers=headers, timeout=60, trust_env=False)

    with ThreadPoolExecutor(25) as guessers:
        answers = list(guessers.map(guess, range(25)))
    assert {answer.status_code for answer in answers} == {401, 429}
    last = guess(26)
    assert last.status_code == 429
    assert 0 < int(last.headers["retry-after"]) <= 600
    assert user(only_web, "ada").create()


@pytest.mark.parametrize("options", [["--auth", "env:NOT_SET"], ["--auth", "nowhere.toml"]])
def test_without_tokens_nothing_is_served(tmp_path: Path, options):
    web = Guarded("memory://", tmp_path, subcommand="api_server", options=options)
    web.port = free_port()
    web._spawn()
    assert web.process.wait(60) == 1
    assert "Error: --auth: " in web.output()
    assert "Traceback" not in web.output()
