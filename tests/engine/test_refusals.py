"""A call is sent, its reply is lost, and the server refuses it when it is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

import sojourn
from proxy import Proxy
from servers import Server, any_binary
from sojourn import (
    AccessDenied,
    CorruptRecord,
    Event,
    OutcomeUnknown,
    ServerBusy,
    SojournError,
    Unavailable,
    UnsupportedServer,
)

LONG = 20  # seconds: only ever reached by a failure
PUT_OFF = 0.7  # seconds that a call is tried again when the server says "not now"


# ── how a server comes to refuse, and serves again afterwards ──────────────────────────────────


@asynccontextmanager
async def rights_are_taken(server: Server) -> AsyncIterator[None]:
    with server.client() as admin:
        admin.execute_command("ACL SETUSER", "ada", "-@all")
        yield
        admin.execute_command("ACL SETUSER", "ada", "+@all")


@asynccontextmanager
async def the_password_changes(server: Server) -> AsyncIterator[None]:
    with server.client() as admin:
        admin.execute_command("ACL SETUSER", "ada", "resetpass", ">two")
        yield
        admin.execute_command("ACL SETUSER", "ada", "resetpass", ">one")


@asynccontextmanager
async def a_password_is_wanted(server: Server) -> AsyncIterator[None]:
    with server.client() as admin:
        admin.execute_command("ACL SETUSER", "default", "resetpass", ">two")
        yield
        admin.execute_command("ACL SETUSER", "default", "nopass")


@asynccontextmanager
async def a_script_runs(server: Server) -> AsyncIterator[None]:
    with server.client() as admin, server.client() as other:
        admin.config_set("lua-time-limit", 1)
        running = asyncio.create_task(asyncio.to_thread(other.eval, "while true do end", 0))
        try:
            while not is_busy(admin):
                await asyncio.sleep(0.01)
            yield
        finally:
            admin.script_kill()
            await asyncio.gather(running, return_exceptions=True)


def is_busy(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.ResponseError as error:
        return str(error).startswith("BUSY")
    return False


@asynccontextmanager
async def it_starts_again(server: Server) -> AsyncIterator[None]:
    """It takes ten seconds to load its data, or less if it is started once more."""
    quick = list(server.options)
    with server.client() as admin:
        admin.eval("for i = 1, 100000 do redis.call('SET', 'k', i) end", 0)
    server.stop(9)
    server.options += ["--key-load-delay", "100"]  # µs
    started = asyncio.create_task(asyncio.to_thread(server.start))
    try:
        yield
    finally:
        server.stop(9)
        server.options = quick
        await asyncio.to_thread(server.start)
        await started


@asynccontextmanager
async def an_older_one_takes_its_place(server: Server) -> AsyncIterator[None]:
    """No such server installs any more: its answer to INFO is played from what 5.0 says."""

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = b"# Server\r\nredis_version:5.0.14\r\n"
        while data := await reader.read(65536):
            writer.write(b"-ERR unknown subcommand\r\n" * data.count(b"SETINFO"))
            if b"COMMAND\r\n" in data:
                writer.write(b"*1\r\n*-1\r\n")
            elif b"INFO\r\n$6\r\nserver" in data:
                writer.write(b"$%d\r\n%b\r\n" % (len(info), info))
        writer.close()

    server.stop(9)
    played = await asyncio.start_server(old, "127.0.0.1", server.port)
    yield
    played.close()
    await asyncio.to_thread(server.start)


class Refusal(NamedTuple):
    """How it comes about, who hears it, and what it is when nothing was sent before."""

    begin: Callable[[Server], AbstractAsyncContextManager[None]]
    login: str
    error: type[SojournError]
    timeout: float = LONG


REFUSALS = {
    "NOPERM": Refusal(rights_are_taken, "ada:one@", AccessDenied),
    "WRONGPASS": Refusal(the_password_changes, "ada:one@", AccessDenied),
    "NOAUTH": Refusal(a_password_is_wanted, "", AccessDenied),
    "BUSY": Refusal(a_script_runs, "", ServerBusy, PUT_OFF),
    "LOADING": Refusal(it_starts_again, "", Unavailable, 2 * PUT_OFF),  # its answers may come late
    "too old": Refusal(an_older_one_takes_its_place, "", UnsupportedServer),
}


@pytest.fixture(params=list(REFUSALS))
def refusal(request: pytest.FixtureRequest) -> Refusal:
    return REFUSALS[request.param]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """It forgets no write, and has a user whose rights may change."""
    options = ["--appendonly", "yes", "--appendfsync", "always"]
    server = Server(tmp_path, any_binary(), options).start()
    with server.client() as admin:
        admin.execute_command("ACL SETUSER", "ada", "on", ">one", "~*", "&*", "+@all")
    yield server
    server.close()


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: Proxy, refusal: Refusal) -> AsyncIterator[sojourn.Sojourn]:
    url = proxy.url.replace("redis://", f"redis://{refusal.login}")
    async with sojourn.open(url, operation_timeout=refusal.timeout) as store:
        yield store


def lose(proxy: Proxy, word: bytes) -> None:
    """Lose the reply to what has this word in it; nothing sent after it reaches the server."""

    def on_request(data: bytes) -> str:
        if word not in data:
            return "pass"
        proxy.on_request = lambda _: "drop"
        return "lose"

    proxy.on_request = on_request


async def test_of_a_write_that_was_sent_before_the_outcome_is_unknown(
    store: sojourn.Sojourn, server: Server, proxy: Proxy, refusal: Refusal
) -> None:
    made = await store.sessions.create("shop", "ada")
    event = Event(author="a", payload=1)
    lose(proxy, b"\r\nop\r\n")  # and not what the create has posted
    sent = asyncio.create_task(store.sessions.append(made.key, event, operation_id="op"))
    await proxy.cut.wait()
    async with refusal.begin(server):
        proxy.on_request = lambda _: "pass"
        with pytest.raises(OutcomeUnknown) as caught:
            await sent
        assert caught.value.operation_id == "op"
    async with asyncio.timeout(30):
        while True:  # a server that was busy may be so for a moment more
            with suppress(ServerBusy):
                again = await store.sessions.append(made.key, event, operation_id="op")
                break
    assert again.repeated


async def test_a_write_that_was_never_sent_is_refused_and_no_more(
    store: sojourn.Sojourn, server: Server, refusal: Refusal
) -> None:
    made = await store.sessions.create("shop", "ada")
    await store.disconnect()
    async with refusal.begin(server):
        with pytest.raises(refusal.error) as caught:
            await store.sessions.append(made.key, Event(author="a", payload=1))
        assert type(caught.value) is refusal.error or refusal.error is Unavailable


async def test_a_read_is_refused_and_no_more(
    store: sojourn.Sojourn, server: Server, proxy: Proxy, refusal: Refusal
) -> None:
    made = await store.sessions.create("shop", "ada")
    lose(proxy, b"LRANGE")
    sent = asyncio.create_task(store.sessions.get(made.key, last=1))
    await proxy.cut.wait()
    async with refusal.begin(server):
        proxy.on_request = lambda _: "pass"
        with pytest.raises(refusal.error) as caught:
            await sent
        assert type(caught.value) is refusal.error or refusal.error is Unavailable


@pytest.mark.parametrize("refusal", [Refusal(rights_are_taken, "", CorruptRecord)], ids=[""])
async def test_nor_does_a_key_that_was_replaced_since_say_what_became_of_it(
    store: sojourn.Sojourn, server: Server, proxy: Proxy
) -> None:
    made = await store.sessions.create("shop", "ada")
    event = Event(author="a", payload=1)
    lose(proxy, b"\r\nop\r\n")
    sent = asyncio.create_task(store.sessions.append(made.key, event, operation_id="op"))
    await proxy.cut.wait()
    with server.client() as admin:
        (log,) = admin.scan_iter("*:events")
        admin.rename(log, "kept")
        admin.set(log, "of another type")
        admin.rename(operations := log.replace(":events", ":ops"), "ops")
        admin.rename(ids := log.replace(":events", ":ids"), "ids")
        proxy.on_request = lambda _: "pass"
        with pytest.raises(OutcomeUnknown, match="did not wri"):
            await sent
        admin.rename("kept", log)
        admin.rename("ops", operations)
        admin.rename("ids", ids)
    assert (await store.sessions.append(made.key, event, operation_id="op")).repeated


async def test_a_new_connection_waits_for_a_script_as_an_old_one_does(server: Server) -> None:
    async with sojourn.open(server.url, operation_timeout=LONG) as store:
        async with a_script_runs(server):
            early = asyncio.create_task(store.sessions.create("shop", "ada"))
            await asyncio.wait([early], timeout=PUT_OFF)
            assert not early.done()
        await early
