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
from sojourn import Event, ServerReadOnly, Unavailable, UnsupportedServer

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
        b"# Server\r\nredis_version:5.0.14\r\nmvcc_depth:0\r\n",  # KeyDB
        b"# Server\r\nredis_version:6.2.11\r\ndragonfly_version:df-v1.9.0\r\n",
        b"# Server\r\nredis_version:3.2.1\r\ngarnet_version:1.0.1\r\n",
        b"# Server\r\nredis_version:4.0.9\r\npika_version:3.5.3\r\n",
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


ASKED = (*GREETING, "CONFIG", "ACL", "TIME", "SCAN", "SELECT")
TLS = b"\x16\x03"


async def test_no_tls_is_tried_where_a_proxy_only_hangs_up(shared_server: Server) -> None:
    """A server that is said hello to in TLS waits for more, and each connection a second."""
    unknown = [f"\r\n{name}\r\n".encode() for name in GREETING]
    async with Proxy(shared_server.port) as proxy:
        proxy.on_request = lambda data: "drop" if any(map(data.count, unknown)) else "pass"
        async with sojourn.open(proxy.url, operation_timeout=0.9) as store:
            await store.ping()
        assert not [each for each in proxy.requests if each.startswith(TLS)]


async def test_no_tls_is_tried_where_a_server_has_answered_before(shared_server: Server) -> None:
    """One that comes and goes, as in a restart, does not take a second of each attempt."""
    async with Proxy(shared_server.port) as proxy:
        async with sojourn.open(proxy.url) as store:
            await store.ping()
            left = 6
            proxy.requests.clear()

            def comes_and_goes(_: bytes) -> str:
                nonlocal left
                left -= 1
                return "drop" if left > 0 else "pass"

            proxy.on_request = comes_and_goes
            await store.disconnect()
            await store.ping()
        assert left <= 0
        assert not [each for each in proxy.requests if each.startswith(TLS)]


async def test_the_doctor_sees_a_proxy_that_hangs_up(shared_server: Server) -> None:
    unknown = [f"\r\n{name}\r\n".encode() for name in ASKED]
    async with Proxy(shared_server.port) as proxy:
        proxy.on_request = lambda data: "drop" if any(map(data.count, unknown)) else "pass"
        async with sojourn.open(proxy.url) as store:
            report = await store.admin.doctor.examine()
        assert proxy.connections < 60
        assert not [each for each in proxy.requests if each.startswith(TLS)]
    found = {each.check: each for each in report.findings}
    assert "a proxy" in found["version"].what
    assert "HELLO" in found["version"].what
    assert "SCRIPT EXISTS is refused" in found["rights"].what
    assert "TIME is refused" in found["clock"].what
    assert found["latency"].level == "ok"


async def test_the_doctor_sees_a_server_that_knows_little(tmp_path: Path) -> None:
    renamed = [word for name in ASKED for word in ("--rename-command", name, "")]
    server = Server(tmp_path, any_binary(), renamed).start()
    try:
        async with sojourn.open(server.url) as store:
            report = await store.admin.doctor.examine()
    finally:
        server.close()
    found = {each.check: each for each in report.findings}
    assert "does not tell what it is" in found["version"].what
    assert "unknown command" in found["version"].what
    assert "unknown command" in found["lifetimes"].what


async def test_the_doctor_of_a_server_that_dies_says_so(tmp_path: Path) -> None:
    server = Server(tmp_path, any_binary(), []).start()
    async with sojourn.open(server.url, operation_timeout=0.5) as store:
        await store.ping()
        server.stop(9)
        with pytest.raises(Unavailable, match="Check that the server runs"):
            await store.admin.doctor.examine()


@asynccontextmanager
async def sentinel_that_names(port: int) -> AsyncIterator[str]:
    """A Sentinel that names one primary, for ever; gives the URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            for _ in range(data.count(b"\r\nCLIENT\r\n")):
                writer.write(b"+OK\r\n")
            if b"GET-MASTER-ADDR-BY-NAME" in data:
                number = str(port).encode()
                writer.write(b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%b\r\n" % (len(number), number))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_a_replica_that_does_not_tell_info_is_no_primary(
    server: Server, tmp_path: Path
) -> None:
    """Sentinels may name it for a while. ROLE tells it, too."""
    replica = Server(tmp_path / "replica", any_binary(), []).start()
    for each in (server, replica):
        each.ask("ACL", "SETUSER", "poor", "on", ">secret", "~*", "&*", "+@all", "-info")
    replica.ask("REPLICAOF", "127.0.0.1", server.port)
    try:
        async with sentinel_that_names(replica.port) as sentinel:
            url = f"redis+sentinel://poor:secret@{sentinel}/mymaster"
            async with sojourn.open(url, operation_timeout=0.5) as store:
                with pytest.raises(ServerReadOnly, match="is a replica now"):
                    await store.sessions.list("shop", "ada")
        async with sentinel_that_names(server.port) as sentinel:
            url = f"redis+sentinel://poor:secret@{sentinel}/mymaster"
            async with sojourn.open(url) as store:
                assert (await store.sessions.list("shop", "ada")).sessions == []
    finally:
        replica.close()


async def test_a_slow_name_service_is_named_as_a_possible_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    async with sojourn.open("redis://cache.internal:6379", connect_timeout=0.3) as store:
        with pytest.raises(Unavailable, match=r"look-up of the name cache\.internal included"):
            await store.ping()
