"""What the guides on the HTTP API and the dashboard say is so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from http_kit import Api, Keys

from servers import Server
from sojourn.security.tokens import tokens_from

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
SECONDS = 1.0
"""After which a command that follows a session is ended."""


def blocks(page: str, language: str) -> list[str]:
    text = (GUIDES / f"{page}.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Each command of curl, in order, as it stands there."""
    lines = "".join(blocks("http-api", "sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("curl ")]


def test_each_command_does_what_it_says(api: Api) -> None:
    said = commands()
    assert len(said) > 10
    answers: dict[str, str] = {}
    for command in said:
        follows = "-sfN" in command
        ran = command.replace("-sfN", f"-sfN --max-time {SECONDS}")
        done = subprocess.run(
            ["bash", "-c", ran],
            env={
                **os.environ,
                "KEY": api.keys.of["ada"],
                "ADA": f"{api.url}/v1/apps/shop/users/ada",
            },
            capture_output=True,
            encoding="utf-8",
            timeout=20,
            check=False,
        )
        timed_out = 28
        assert done.returncode == (timed_out if follows else 0), (command, done)
        answers[command] = done.stdout

    def answer(*words: str) -> Any:
        found = [out for command, out in answers.items() if all(word in command for word in words)]
        assert len(found) == 1, words
        return found[0]

    last = json.loads(answer("?events=20"))
    assert last["state"] == {"cart": 2}
    assert [each["payload"]["content"] for each in last["events"]] == ["Two teas, please"]
    assert json.loads(answer("If-Match"))["version"] == 2
    stream = answer("-sfN")
    assert stream.count("event: append") == 2
    assert "On their way" in stream
    assert [each["title"] for each in json.loads(answer("?q=teas"))["items"]] == ["Two teas"]
    assert [each["seq"] for each in json.loads(answer("/search?q="))["items"]] == [1]
    assert [each["key"] for each in json.loads(answer("/memory?q="))["items"]] == ["tea"]
    assert answer("Range:") == "Two"


def test_a_request_that_is_sent_again(api: Api) -> None:
    """With a key it takes effect once; with a version it is refused."""
    (command,) = [each for each in commands() if "Idempotency-Key" in each]
    (conditional,) = [each for each in commands() if "If-Match" in each]
    where = {"KEY": api.keys.of["eve"], "ADA": f"{api.url}/v1/apps/shop/users/eve"}

    def run(line: str) -> Any:
        ran = subprocess.run(
            ["bash", "-c", line], env={**os.environ, **where}, capture_output=True, check=True
        )
        return json.loads(ran.stdout)

    run(commands()[0])
    first, second = run(command), run(command)
    assert (first["seqs"], first["repeated"], second["repeated"]) == ([1], False, True)
    assert run('curl -sf -H "Authorization: Bearer $KEY" $ADA/sessions/order-17')["length"] == 1
    run(next(each for each in commands() if "If-None-Match" in each))
    assert run(conditional)["version"] == 2
    assert run(conditional)["status"] == 412


def test_the_file_of_keys_is_one(tmp_path: Path) -> None:
    (text,) = blocks("dashboard", "toml")
    file = tmp_path / "keys.toml"
    file.write_text(text)
    file.chmod(0o600)
    assert len(tomllib.loads(text)["tokens"]) == 3
    tokens_from(str(file))


def test_the_app_that_is_mounted_works(
    shared_server: Server, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, verified = blocks("dashboard", "python")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys.toml").write_text(keys.file.read_text())
    (tmp_path / "keys.toml").chmod(0o600)
    names: dict[str, Any] = {}
    exec(program.replace("redis://localhost:6379", shared_server.url), names)
    with TestClient(names["app"]) as outer:
        page = outer.get("/sojourn/")
        assert page.status_code == 200
        assert '<meta name="base" content="/sojourn">' in page.text
        assert outer.get("/sojourn/static/app.js").status_code == 200
        headers = {"Authorization": f"Bearer {keys.of['ops']}"}
        me = outer.get("/sojourn/v1/me", headers=headers).json()
        assert me["read_only"] is True
    exec(verified.replace("redis://localhost:6379", "memory://"), names)
    with TestClient(names["looking"]) as client:
        assert client.get("/v1/me", headers=headers).status_code == 401


def test_the_tables_have_every_route(api: Api) -> None:
    """And no other."""
    routes = (GUIDES / "http-api.md").read_text("utf-8").partition("## Routes")[2]
    of_user, _, others = routes.partition("\n## ")[0].partition("Below `/v1`:")
    tables = (("/v1/apps/{app}/users/{user}", of_user), ("/v1", others))
    listed = {
        (shape(before + path), method)
        for before, table in tables
        for path, methods in re.findall(r"^\| `(/[^`]*)` \| ([A-Z ]+) \|", table, re.MULTILINE)
        for method in methods.split()
    }
    paths = httpx.get(f"{api.url}/v1/openapi.json").raise_for_status().json()["paths"]
    there = {
        (shape(path), method.upper())
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/v1/")
    }
    assert listed == there


def shape(path: str) -> str:
    """A path without the names of its parameters."""
    return re.sub(r"{.*?}", "{}", path)
