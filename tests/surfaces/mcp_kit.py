"""`sojourn mcp` as a process of its own, and the official client."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
from cli_kit import SOJOURN, Lines
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

MODES = ["auto", "legacy"]
"""Protocol 2026-07-28, where each request stands for itself; and those with a handshake."""

TOKENS = {"ada": "token-of-ada", "eve": "token-of-eve", "joe": "token-of-joe"}


def token_file(folder: Path, more: str = "") -> Path:
    """The tokens of ada and eve; that of joe is for another app."""
    file = folder / "tokens.toml"
    digests = {user: sha256(token.encode()).hexdigest() for user, token in TOKENS.items()}
    file.write_text(
        f'[tokens]\n"{digests["ada"]}" = "ada"\n"{digests["eve"]}" = {{ user = "eve", apps = '
        f'["shop"] }}\n"{digests["joe"]}" = {{ user = "joe", apps = ["other"] }}\n{more}'
    )
    file.chmod(0o600)
    return file


class Web:
    """`sojourn mcp --http` as a process that can be killed and started again at its address."""

    def __init__(self, url: str, *words: str) -> None:
        self._words = ["--app", "shop", "--url", url, *words]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        command = [*SOJOURN, "mcp", "--http", "--port", str(self.port), *self._words]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8")
        self.lines = Lines(self._process.stderr)
        self.port = int(self.lines.until("listening on").rpartition(":")[2].split("/")[0])

    def end(self, number: signal.Signals) -> int:
        """Send a signal; how the process ended."""
        process = self._process
        if process is None:
            return 0
        self._process = None
        process.send_signal(number)
        return process.wait(20)

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    @asynccontextmanager
    async def client(self, user: str | None = None, mode: str = "auto") -> AsyncGenerator[Client]:
        """The official client, with a user's token."""
        async with (
            self.http(user) as http,
            Client(
                streamable_http_client(self.url, http_client=http),
                mode=mode,
                read_timeout_seconds=20,
            ) as client,
        ):
            yield client

    def http(self, user: str | None = None, **headers: str) -> httpx2.AsyncClient:
        """HTTP by hand, at `/mcp`."""
        return web_client(self.url, user, **headers)


def web_client(url: str, user: str | None = None, **headers: str) -> httpx2.AsyncClient:
    """HTTP by hand, with the headers that the protocol wants, at `/mcp`.

    Each request comes from another address, as a proxy on this machine says, if it says none.
    """
    sent = {
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    if user is not None:
        sent["authorization"] = f"Bearer {TOKENS[user]}"

    async def from_elsewhere(asked: httpx2.Request) -> None:
        asked.headers.setdefault("x-forwarded-for", f"2001:db8:{secrets.token_hex(2)}::1")

    return httpx2.AsyncClient(
        base_url=url.removesuffix("/mcp"),
        headers=sent,
        timeout=20,
        event_hooks={"request": [from_elsewhere]},
    )


@asynccontextmanager
async def stdio(
    *words: str, mode: str = "auto", environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Client]:
    """The official client, which starts the server itself."""
    server = StdioServerParameters(
        command=SOJOURN[0],
        args=[*SOJOURN[1:], "mcp", *words],
        env={**os.environ, **(environment or {})},
    )
    async with Client(server, mode=mode, read_timeout_seconds=20) as client:
        yield client


def answer(result: CallToolResult) -> dict[str, Any]:
    """What a tool answered; it is no error."""
    assert not result.is_error, text(result)
    assert result.structured_content is not None
    return result.structured_content


def refusal(result: CallToolResult) -> str:
    """What a tool said that went wrong."""
    assert result.is_error, result
    return text(result)


def text(result: CallToolResult) -> str:
    """What a model reads."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def call(client: Client, tool: str, /, **arguments: Any) -> dict[str, Any]:
    """Call a tool; what it answered."""
    return answer(await client.call_tool(tool, arguments))


async def fails(client: Client, tool: str, /, **arguments: Any) -> str:
    """Call a tool; what it said that went wrong."""
    return refusal(await client.call_tool(tool, arguments))


def request(number: int, method: str, **params: Any) -> dict[str, Any]:
    """A JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def handshake(version: str = "2025-11-25") -> dict[str, Any]:
    """What a session begins with."""
    return request(
        0,
        "initialize",
        protocolVersion=version,
        capabilities={},
        clientInfo={"name": "test", "version": "1"},
    )
