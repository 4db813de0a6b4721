"""The API as its OpenAPI says: every route, with what its schema allows, and with others' keys."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_kit import Api, Keys, problem

import sojourn
from extent import FULL
from servers import Server
from sojourn import Event, UserKey
from sojourn.checkpoints import Leaf, ThreadKey
from sojourn.security.tokens import Tokens
from sojourn.surfaces.http import application

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    *(("ignored_auth", "use_after_free") if FULL else ()),
)
PHASES = "examples,coverage,fuzzing" if FULL else "examples,fuzzing"
EXAMPLES = 10 if FULL else 1

SECONDS = 800 if FULL else 110

METHODS = ("get", "put", "post", "patch", "delete")
SCHEMA = application("memory://", tokens=Tokens({}), dashboard=False).openapi()
EVERY = [
    (method.upper(), path, operation)
    for path, operations in SCHEMA["paths"].items()
    for method, operation in operations.items()
    if method in METHODS
]
"""Every route that there is, as programs learn of them."""
ROUTES = [route for route in EVERY if route[1].startswith("/v1/")]
"""Those that need a key."""
ENDLESS = "/stream$"
"""Paths whose answers go on for ever."""

APP = "shop"
THERE = {
    "app": APP,
    "user": "ada",
    "session": "s",
    "key": "k",
    "name": "f",
    "thread": "t",
    "ns": "~",
    "id": "c",
}
"""What is there, by the names of parameters of paths."""
SECRET = "bergamot"
"""In everything that ada has."""


@pytest.mark.timeout(SECONDS + 10)
def test_every_answer_is_as_documented(api: Api, keys: Keys, tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.touch()
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)),
            *("run", f"{api.url}/v1/openapi.json"),
            *("-H", f"Authorization: Bearer {keys.of['ops']}"),
            *("--exclude-path-regex", ENDLESS, "--request-timeout", "20"),
            *("--phases", PHASES, "--max-examples", str(EXAMPLES), "--seed", "1"),
            *("--checks", ",".join(CHECKS), "--no-color", "--warnings", "off"),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, "\n".join(line[:300] for line in done.stdout.splitlines())[:20_000]
    ended = [path for _, path, _ in EVERY if not re.search(ENDLESS, path)]
    assert f"Selected: {len(ended)}/" in done.stdout
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None
    assert int(tested[1]) >= len(ended) - 6, "without a parameter there is not always a wrong one"


@pytest.fixture(scope="module")
def api(
    shared_server: Server, keys: Keys, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """As elsewhere, with all log lines in a file."""
    log = tmp_path_factory.mktemp("log") / "access.jsonl"
    api = Api(shared_server.url, keys, "--access-log", str(log), namespace=namespace)
    api.log = log
    yield api
    api.kill()


@pytest.fixture
async def filled(store: sojourn.Sojourn) -> None:
    """What every route of ada's may find."""
    await store.sessions.delete(sojourn.SessionKey.of(APP, "ada", "s"))
    made = await store.sessions.create(APP, "ada", "s", title=SECRET, state={"tea": SECRET})
    await store.sessions.append(made.key, Event(author="user", payload=SECRET))
    await store.memory.user("ada", app=APP, tenant="").put("k", SECRET)
    await store.artifacts.save(UserKey.of(APP, "ada"), "f", SECRET.encode())
    for checkpoint in ("c", "d"):
        value = {"v": lambda: Leaf(f'"{SECRET}"'.encode())}
        await store.threads.put(ThreadKey.of(APP, "ada", "t"), checkpoint, values=value)


def request_of(path: str, operation: dict[str, Any], **other: str) -> tuple[str, dict[str, Any]]:
    """A path and arguments for a route that finds something."""
    place = re.sub(r"\{(\w+)\}", lambda met: {**THERE, **other}[met[1]], path)
    query = {
        each["name"]: {"q": SECRET, "a": "c", "b": "d"}.get(each["name"], "1")
        for each in operation.get("parameters", ())
        if each["in"] == "query" and each.get("required")
    }
    arguments: dict[str, Any] = {"params": query}
    if "requestBody" in operation:
        arguments["json"] = {"value": 1, "tag": "t", "keep": 1, "confirm": "ada", "author": "x"}
    return place.removeprefix("/v1"), arguments


def test_routes_are_known() -> None:
    assert len(ROUTES) >= 38
    names = {name for _, path, _ in ROUTES for name in re.findall(r"\{(\w+)\}", path)}
    assert names <= THERE.keys(), "say in THERE what the new parameter may be"


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("key", ["eve", "joe", "reader"] if FULL else ["eve"])
async def test_no_route_tells_a_foreign_user_from_none(api: Api, key: str) -> None:
    """Each answers as for a user who never was; and nothing of ada's is in any answer."""
    async with api.client(key) as other:
        for method, path, operation in ROUTES:
            if "{user}" not in path:
                continue
            place, arguments = request_of(path, operation)
            nowhere, _ = request_of(path, operation, user="nobody")
            there = await other.request(method, place, **arguments)
            none = await other.request(method, nowhere, **arguments)
            assert 400 <= there.status_code < 500, (method, path, there.text)
            assert SECRET not in there.text, (method, path)
            assert there.status_code == none.status_code, (method, path)
            first, second = problem(there, there.status_code), problem(none, none.status_code)
            del first["instance"], second["instance"]
            assert first == second, (method, path)


@pytest.mark.usefixtures("filled")
async def test_every_route_needs_a_key_and_a_scope(api: Api) -> None:
    async with api.client() as nobody, api.client("viewer") as viewer:
        for method, path, operation in ROUTES:
            place, arguments = request_of(path, operation)
            if place != "/openapi.json":
                problem(await nobody.request(method, place, **arguments), 401)
            if method != "GET":
                problem(await viewer.request(method, place, **arguments), 403, "ScopeTooSmall")


@pytest.mark.usefixtures("filled")
async def test_every_route_of_one_user_finds_what_is_there(api: Api) -> None:
    """Otherwise the tests above say nothing."""
    async with api.client("ops") as ops:
        found = 0
        for method, path, operation in ROUTES:
            if method != "GET" or "stream" in path or "quarantine/{id}" in path:
                continue
            place, arguments = request_of(path, operation)
            reply = await ops.get(place, **arguments)
            assert reply.status_code == 200, (path, reply.text)
            found += SECRET in reply.text
        assert found >= 10


@pytest.mark.skipif(not FULL, reason="test_http_writes.py tries some of them")
@pytest.mark.usefixtures("filled")
async def test_a_server_that_only_reads_refuses_every_other_method(
    shared_server: Server, keys: Keys, namespace: str
) -> None:
    api = Api(shared_server.url, keys, "--read-only", namespace=namespace)
    try:
        async with api.client("ops") as ops:
            for method, path, operation in ROUTES:
                place, arguments = request_of(path, operation)
                if method != "GET":
                    problem(await ops.request(method, place, **arguments), 403, "ReadOnly")
            reply: httpx.Response = await ops.get(f"/apps/{APP}/users/ada/sessions/s")
            assert reply.status_code == 200
    finally:
        api.kill()
