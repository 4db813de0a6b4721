"""What ADK's HTTP server answers when a store refuses, or cannot answer."""

from __future__ import annotations

import base64
import copy
import inspect
import pickle
import shutil
from pathlib import Path
from secrets import token_hex

import pytest
from adk_kit import event
from fastapi.testclient import TestClient
from google.adk.cli.fast_api import get_fast_api_app
from google.adk.cli.service_registry import get_service_registry
from google.adk.errors.input_validation_error import InputValidationError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.version import __version__ as adk_version
from starlette.exceptions import HTTPException

import sojourn
from sojourn import SessionKey, errors
from sojourn.integrations.adk import ArtifactService, MemoryService, SessionService
from sojourn.integrations.adk.answers import answered

EXAMPLES = Path(__file__).parents[3] / "examples"
MIB = 1024 * 1024
APP = "demo_agent"


@pytest.fixture(scope="module")
def web(tmp_path_factory, shared_server):
    """An app of one's own by `get_fast_api_app`, and the session service in it."""
    agents = tmp_path_factory.mktemp("agents")
    shutil.copytree(EXAMPLES / APP, agents / APP)
    made = []

    def factory(uri, **_):
        made.append(SessionService(uri.replace("answers:", "redis:", 1)))
        return made[-1]

    get_service_registry().register_session_service("answers", factory)
    uri = shared_server.url.replace("redis:", "answers:", 1)
    app = get_fast_api_app(agents_dir=str(agents), session_service_uri=uri, web=False)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, made[0]


@pytest.fixture
def client(web):
    return web[0]


@pytest.fixture
def path(client) -> str:
    where = f"/apps/{APP}/users/ada/sessions/{token_hex(6)}"
    assert client.post(where).status_code == 200
    return where


def message(path: str, *parts: dict, **more) -> dict:
    """The body of `/run`."""
    said = {"role": "user", "parts": [*parts, {"text": "hello"}]}
    session = path.rpartition("/")[2]
    return {"appName": APP, "userId": "ada", "sessionId": session, "newMessage": said, **more}


def a_file(size: int) -> dict:
    data = base64.b64encode(bytes(size)).decode()
    return {"inlineData": {"mimeType": "image/png", "data": data}}


def test_a_file_over_the_cap_is_named_in_raw_bytes(client, path):
    answer = client.post("/run", json=message(path, a_file(7_000_000)))
    assert answer.status_code == 413
    told = answer.json()["detail"]
    assert "7,000,000 bytes" in told
    assert "8,388,608" in told
    most = int(told.rpartition(" would fit")[0].rpartition(" ")[2].replace(",", ""))
    assert 6 * MIB - 1000 < most <= 6 * MIB
    assert client.get(path).json()["events"] == []
    assert client.post("/run", json=message(path, a_file(most - 100))).status_code == 200
    assert client.post("/run", json=message(path, a_file(most + 100))).status_code == 413


def test_what_no_file_has_to_do_with_names_none(client, path):
    deltas = {"stateDelta": {"many": [0] * 100_001}}
    answer = client.post("/run", json=message(path, a_file(1000), **deltas))
    if adk_version.startswith("2.0."):
        pytest.skip("this ADK's /run takes no state")
    assert answer.status_code == 413
    assert "members" in answer.json()["detail"]
    assert "files" not in answer.json()["detail"]


def test_a_stream_tells_it_too(client, path):
    answer = client.post("/run_sse", json=message(path, a_file(7_000_000)))
    assert "7,000,000 bytes" in answer.text
    assert "would fit" in answer.text


def test_a_session_that_is_not_there(client, path):
    assert client.post("/run", json=message(path + "-not")).status_code == 404
    assert client.post("/run_sse", json=message(path + "-not")).status_code == 404
    assert client.get(path + "-not").status_code == 404


def test_a_state_that_is_too_large(client, path):
    answer = client.patch(path, json={"stateDelta": {"k": "x" * (8 * MIB)}})
    assert answer.status_code == 413
    answer = client.patch(path, json={"stateDelta": {"k" * 2000: 1}})
    assert answer.status_code == 413
    assert "key" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Unavailable("No answer from secret-host:6379 in time."), 503),
        (errors.OutcomeUnknown("secret-host:6379 is gone.", operation_id="o"), 503),
        (errors.NewerFormat("A newer one.", found="2", known="1"), 503),
        (errors.KeyMissing("Sealed.", key_id="0"), 503),
        (errors.Tampered("Changed.", key="k", raw=b""), 500),
        (errors.CorruptRecord("A row.", key="session:secret-host", raw=b"x"), 500),
        (errors.InvalidId("An app of 600 bytes."), 400),
        (errors.SessionRotated("It has another id."), 404),
        (errors.TooManySessions("100 sessions."), 409),
    ],
)
def test_what_a_store_raises_has_its_status(web, path, error, status, monkeypatch):
    client, service = web

    async def fail(*_args, **_kwargs):
        raise copy.copy(error)

    monkeypatch.setattr(service.store.adapters, "get_as", fail)
    monkeypatch.setattr(service.store.sessions, "list", fail)
    monkeypatch.setattr(service.store.sessions, "delete", fail)
    for answer in (
        client.get(path),
        client.get(path.rpartition("/")[0]),
        client.delete(path),
        client.post("/run", json=message(path)),
        client.post("/run_sse", json=message(path)),
    ):
        assert answer.status_code == status
        assert answer.json()["detail"]
        assert "secret-host" not in answer.text
        waits = type(error) in (errors.Unavailable, errors.OutcomeUnknown)
        assert ("retry-after" in answer.headers) is waits


async def test_an_id_that_was_rotated_in_the_turn_is_not_found_and_the_new_one_is_not_told(
    web, path, monkeypatch
):
    client, service = web
    key = SessionKey(APP, "ada", path.rpartition("/")[2])
    append, found = service.store.sessions.append, []

    async def rotate_first(given, *args, **kwargs):
        async with sojourn.open(service.store.where) as other:
            found.append((await other.rotate(key)).key.session)
        return await append(given, *args, **kwargs)

    monkeypatch.setattr(service.store.sessions, "append", rotate_first)
    answer = client.post("/run", json=message(path))
    assert answer.status_code == 404
    assert found[0] not in answer.text
    monkeypatch.undo()
    answer = client.patch(path, json={"stateDelta": {"k": 1}})
    assert answer.status_code == 404


def walk(kind: type) -> list[type]:
    return [kind, *(each for sub in kind.__subclasses__() for each in walk(sub))]


@pytest.mark.parametrize(
    "kind", [each for each in walk(errors.SojournError) if each.__module__ == "sojourn.errors"]
)
def test_an_answered_error_is_the_error_it_was(kind):
    error = kind.__new__(kind, "words")
    error.args = ("words",)
    error.extra = 3
    if issubclass(kind, HTTPException):
        pytest.skip("made here")
    told = answered(error)
    assert told is error
    assert isinstance(told, kind)
    assert str(told) == "words"
    assert repr(told) == f"{kind.__name__}('words')"
    again = pickle.loads(pickle.dumps(told))
    assert (type(again), again.args, again.extra) == (kind, ("words",), 3)


async def test_services_raise_what_they_are_said_to():
    async with sojourn.open("memory://") as store:
        service = SessionService(store)
        session = await service.create_session(app_name="a", user_id="u")
        await service.delete_session(app_name="a", user_id="u", session_id=session.id)
        with pytest.raises(SessionNotFoundError) as caught:
            await service.append_event(session, event("x"))
        assert caught.value.status_code == 404
        with pytest.raises(errors.InvalidId) as refused:
            await service.create_session(app_name="", user_id="u")
        assert isinstance(refused.value, InputValidationError)
        with pytest.raises(errors.InvalidInput):
            SessionService()


@pytest.mark.parametrize("kind", [SessionService, MemoryService, ArtifactService])
def test_every_method_of_a_service_answers(kind):
    left_out = {"close", "flush"}
    for name, method in vars(kind).items():
        if (
            inspect.iscoroutinefunction(method)
            and not name.startswith("_")
            and name not in left_out
        ):
            assert hasattr(method, "__wrapped__"), name
