"""What the guide on MCP says is so."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from mcp import Client, StdioServerParameters
from mcp_kit import Web, call, handshake, request
from test_mcp_schema import TOOLS

import sojourn
from servers import Server
from sojourn.surfaces.mcp import Identity, RequestContext, application

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "mcp.md").read_text("utf-8")


def block(language: str, place: int = 0) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)[place]


async def test_the_configuration_of_a_client_works(shared_server: Server) -> None:
    entry: dict[str, Any] = json.loads(block("json"))["mcpServers"]["sojourn"]
    assert entry["command"] == "sojourn"
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "sojourn", *entry["args"], "--namespace", "mcp-guide"],
        env={**os.environ, **dict.fromkeys(entry["env"], shared_server.url)},
    )
    async with Client(server) as client:
        await call(client, "memory_put", key="k", value=1)


async def test_the_program_and_the_token_file_work(shared_server: Server, tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(block("toml"))
    file.chmod(0o600)
    assert set(tomllib.loads(block("toml"))) == {"tokens"}
    web = Web(shared_server.url, "--namespace", "mcp-guide", "--user", "ada")
    try:
        program = block("python").replace("http://127.0.0.1:8010/mcp", web.url)
        lines = "".join(f"    {line}\n" for line in program.splitlines())
        names: dict[str, Any] = {}
        exec(f"async def main():\n{lines}    return session\n", names)
        session = await names["main"]()
        async with web.client() as client:
            found = await call(client, "history_read", session=session)
        assert [each["content"] for each in found["messages"]] == ["To Rome"]
        web.kill()
        web = Web(shared_server.url, "--auth", str(file), "--app", "shop")
    finally:
        web.kill()


def test_the_app_that_is_mounted_works(shared_server: Server) -> None:
    names: dict[str, Any] = {}
    served = block("python", 1).replace("redis://localhost:6379", shared_server.url)
    exec(f"{served}\n{block('python', 2)}", names)
    headers = {"accept": "application/json, text/event-stream"}
    outer = TestClient(names["app"], base_url="http://127.0.0.1:8010", headers=headers)
    for body in (handshake(), request(1, "server/discover")):
        refused = outer.post("/tools/mcp", json=body)
        assert refused.status_code == 500
        assert "lifespan_context" in refused.json()["error"]["message"]
    with outer:
        assert outer.post("/tools/mcp", json=handshake()).status_code == 200


def test_logging_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", logging.ERROR)
    application(RequestContext(sojourn.open("memory://").guard(), Identity("shop", "ada")))
    assert (root.handlers, root.level) == ([], logging.ERROR)


def test_each_tool_is_in_the_guide() -> None:
    assert set(re.findall(r"`((?:session|history|thread|memory|cache)_\w+)`", GUIDE)) == set(TOOLS)
