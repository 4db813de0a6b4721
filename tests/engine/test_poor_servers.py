"""Servers and proxies that lack what Sojourn would like: only a command that it needs counts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import sojourn
from proxy import Proxy
from servers import Server, any_binary
from sojourn import Event, UnsupportedServer

GREETING = ("INFO", "CLIENT", "SCRIPT", "HELLO", "COMMAND")


async def use(url: str) -> None:
    """A bit of everything that an agent does."""
    app = secrets.token_hex(4)
    async with sojourn.open(url) as store:
        await store.ping()
        made = await store.sessions.create(app, "u", state={"app:x": 1, "user:y": 2})
        for payload in range(3):
            await store.sessions.append(made.key, Event(author="a", payload=payload))
        found = await store.sessions.get(made.key)
        assert found is not None
        assert [event.payload for event in found.events] == [0, 1, 2]
        assert found.state == {"app:x": 1, "user:y": 2}
        assert len((await store.sessions.list(app)).sessions) == 1
        assert await store.sessions.delete(made.key)
        assert store.stats().lost_connections == 0


async def test_a_server_whose_greeting_is_renamed(tmp_path: Path) -> None:
    renamed = [word for name in GREETING for word in ("--rename-command", name, "")]
    server = Server(tmp_path, any_binary(), renamed).start()
    try:
        await use(server.url)
        await use(f"{server.url}/3?client_name=mine")
    finally:
        server.close()


async def test_a_user_who_may_not_greet(server: Server) -> None:
    denied = [f"-{name.lower()}" for name in GREETING]
    server.ask("ACL", "SETUSER", "poor", "on", ">secret", "~*", "&*", "+@all", *denied)
    await use(server.url.replace("redis://", "redis://poor:secret@") + "?client_name=mine")


async def test_a_proxy_that_hangs_up_on_what_it_does_not_know(shared_server: Server) -> None:
    """As twemproxy does."""
    unknown = [f"\r\n{name}\r\n".encode() for name in GREETING]
    async with Proxy(shared_server.port) as proxy:
        proxy.on_request = lambda data: "drop" if any(map(data.count, unknown)) else "pass"
        await use(proxy.url)
        await use(f"{proxy.url}?client_name=mine")


@asynccontextmanager
async def played(info: bytes, lacking: Sequence[bytes]) -> AsyncIterator[str]:
    """A server of which nothing is played but INFO, COMMAND and PING; gives its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            words = [each for each in data.split(b"\r\n") if each[:1] not in (b"", b"*", b"$")]
            for _ in range(words.count(b"CLIENT")):
                writer.write(b"-ERR unknown subcommand\r\n")
            if b"COMMAND" in words:
                names = words[words.index(b"INFO") + 1 :]
                known = [b"*0" if name in lacking else b"*1\r\n$1\r\nx" for name in names]
                writer.write(b"\r\n".join([b"*%d" % len(known), *known, b""]))
            elif b"INFO" in words:
                writer.write(b"$%d\r\n%b\r\n" % (len(info), info))
            elif b"PING" in words:
                writer.write(b"+PONG\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize(
    "info",
    [
        b"# Server\r\nversion:2.9.0\r\nredis_version:4.0.0\r\nkvrocks_version:2.9.0\r\n",
        b"# Server\r\nredis_version:4.0.0\r\n",
        b"# Server\r\nserver_name:valkey\r\nredis_version:7.2.4\r\nvalkey_version:7.1.0\r\n",
        b"# Server\r\nredis_version:none\r\n",
        b"\xff",
    ],
)
async def test_a_number_alone_refuses_nobody(info: bytes) -> None:
    async with played(info, []) as url, sojourn.open(url) as store:
        await store.ping()


@pytest.mark.parametrize("version", [b"5.0.14", b"4.0.0"])
async def test_a_server_that_lacks_commands_is_refused(version: bytes) -> None:
    info = b"# Server\r\nredis_version:%b\r\n" % version
    async with played(info, [b"ZMSCORE"]) as url, sojourn.open(url) as store:
        with pytest.raises(UnsupportedServer, match=rf"Redis {version.decode()};.* lacks ZMSCORE"):
            await store.ping()
