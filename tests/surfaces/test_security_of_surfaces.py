"""What holds for whoever asks: the library, the command line, and MCP."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cli_kit import Cli
from mcp_kit import Web, stdio, text, token_file

import sojourn
from servers import Server
from sojourn import Event, SessionKey
from sojourn.security import Principal

Ask = Callable[[str], Awaitable[str]]
SURFACES = ["library", "cli", "mcp"]
HOSTILE = ["x\r\nforged: line", "x\x1b[2J\x1b[31m", "x\u202egnp.exe", "x\x00y", "../../ada", "*"]


@dataclass
class Asked:
    """A store, and how eve asks for one of her sessions through a surface."""

    store: sojourn.Sojourn
    ask: Ask

    async def create(self, user: str, session: str | None = None, **options: Any) -> SessionKey:
        session = session or secrets.token_hex(16)
        made = await self.store.sessions.ensure("shop", user, session, **options)
        await self.store.sessions.append(made.key, Event(author="user", payload="the-content"))
        return made.key


@pytest.fixture(scope="module")
def where(shared_server: Server) -> Cli:
    return Cli(shared_server.url, f"all-{secrets.token_hex(4)}")


@pytest.fixture(scope="module")
def web(where: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    tokens = token_file(tmp_path_factory.mktemp("tokens"))
    web = Web(where.url, "--namespace", where.namespace, "--auth", str(tokens))
    yield web
    web.kill()


@pytest.fixture(params=SURFACES)
async def asked(request: pytest.FixtureRequest, where: Cli, web: Web) -> AsyncIterator[Asked]:
    async with sojourn.open(where.url, namespace=where.namespace) as store:
        handle = store.guard().user(Principal.of("shop", "eve"))

        async def library(session: str) -> str:
            try:
                return str(await handle.sessions.get(session))
            except sojourn.SojournError as error:
                return str(error)

        async def cli(session: str) -> str:
            ran = await asyncio.to_thread(where.run, "sessions", "show", "shop", "eve", session)
            return f"{ran.code} {ran.out} {ran.err}"

        async def mcp(session: str) -> str:
            async with web.client("eve") as client:
                return text(await client.call_tool("session_get", {"session": session}))

        ways = {"library": library, "cli": cli, "mcp": mcp}
        yield Asked(store, ways[request.param])


async def test_anothers_session_gets_the_answer_of_one_that_never_was(asked: Asked) -> None:
    theirs, unknown = (await asked.create("ada")).session, secrets.token_hex(16)
    of_theirs, of_none = await asked.ask(theirs), await asked.ask(unknown)
    assert of_theirs.replace(theirs, "ID") == of_none.replace(unknown, "ID")
    assert "the-content" not in of_theirs


async def test_an_id_that_another_chose_leads_to_nothing_of_theirs(asked: Asked) -> None:
    name = f"chosen-{secrets.token_hex(4)}"
    await asked.create("ada", name)
    mine = await asked.create("eve", name)
    await asked.store.sessions.update(mine, title="mine")
    assert "mine" in await asked.ask(name)
    await asked.store.sessions.delete(mine)
    assert "mine" not in await asked.ask(name)


async def test_what_was_ended_answers_no_more(asked: Asked) -> None:
    key = await asked.create("eve", title="a-title")
    none = (await asked.ask(key.session + "?")).replace(key.session + "?", "ID")
    assert "a-title" in await asked.ask(key.session)
    await asked.store.admin.revoke(key)
    assert (await asked.ask(key.session)).replace(key.session, "ID") == none


async def test_the_old_id_of_a_rotated_session_answers_no_more(asked: Asked) -> None:
    key = await asked.create("eve", title="a-title")
    new = (await asked.store.rotate(key)).key
    assert "a-title" not in await asked.ask(key.session)
    assert "a-title" in await asked.ask(new.session)


async def test_what_was_idle_for_too_long_answers_no_more(asked: Asked) -> None:
    key = await asked.create("eve", title="a-title", ttl=0.2)
    async with asyncio.timeout(10):
        while await asked.store.sessions.get(key) is not None:  # a read does not prolong it
            await asyncio.sleep(0.02)
    assert "a-title" not in await asked.ask(key.session)


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_id_writes_more_than_itself(asked: Asked, name: str) -> None:
    await asked.create("eve", name, title="a-title")
    for said in (await asked.ask(name), await asked.ask(name + "!")):
        assert "\x1b" not in said
        assert "\r" not in said
        assert "\nforged: line" not in said


SECRET = "a-password-of-ours"
NOWHERE = f"redis://user:{SECRET}@127.0.0.1:1/0"


async def test_no_surface_shows_the_servers_password() -> None:
    async with sojourn.open(NOWHERE, operation_timeout=0.2, connect_timeout=0.2) as store:
        with pytest.raises(sojourn.Unavailable) as caught:
            await store.ping()
        shown = [str(caught.value), repr(store), store.where, repr(store.stats())]
        shown.append(str(await store.health()))
    ran = await asyncio.to_thread(Cli(NOWHERE, "x").run, "sessions", "ls")
    shown += [ran.out, ran.err]
    async with stdio("--user", "eve", "--url", NOWHERE) as client:
        shown.append(text(await client.call_tool("session_list", {})))
    assert all(SECRET not in each for each in shown)
    assert all("127.0.0.1" in each for each in (shown[0], shown[2], ran.err))
