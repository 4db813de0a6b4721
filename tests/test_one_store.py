"""One store of a URL for `default()`, sync, ADK and LangChain, in threads, loops and forks."""

from __future__ import annotations

import os
import subprocess
import sys
from secrets import token_hex

import pytest

pytest.importorskip("google.adk", reason="google-adk is not installed: its adapter is not tested")
pytest.importorskip("langchain_core", reason="langchain-core is not installed: not tested")

import sojourn
import sojourn.sync
from servers import Server
from sojourn import ConfigurationError, InvalidInput
from sojourn.integrations.adk import MemoryService, SessionService
from sojourn.integrations.langchain import ChatMessageHistory, LLMCache

HEAD = """
import asyncio, os, sys
from concurrent.futures import ThreadPoolExecutor
from langchain_core.messages import HumanMessage
import sojourn, sojourn.sync
from sojourn.integrations.adk import SessionService
from sojourn.integrations.langchain import ChatMessageHistory

url = os.environ["SOJOURN_URL"]
service, history = SessionService(url), ChatMessageHistory("talk", url)
key = sojourn.sync.default().sessions.create("shop", "ada", "s").key

def store():
    found = {service.store, history.store, sojourn.default()}
    assert len(found) == 1
    return found.pop()

async def calls(who):
    await sojourn.default().sessions.append(key, sojourn.Event(author=who, payload=0))
    await history.aadd_messages([HumanMessage(who)])
    await service.create_session(app_name="shop", user_id=who)

def use(who):
    for _ in range(2):
        asyncio.run(calls(who))
    sojourn.sync.default().sessions.append(key, sojourn.Event(author=who, payload=0))
    history.add_messages([HumanMessage(who)])
    return store()
"""

FORK = """
before = store()
with ThreadPoolExecutor(4) as pool:
    assert set(pool.map(use, ["threads"] * 4)) == {before}
child = os.fork()
who = "parent" if child else "child"
with ThreadPoolExecutor(4) as pool:
    (after,) = set(pool.map(use, [who] * 4))
assert (after is before) == (who == "parent" or url == "memory://")
if not child:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

events = sojourn.sync.default().sessions.get(key).events
said = [message.content for message in history.messages]
count = sojourn.sync.default().sessions.count
for who in ("threads", "parent", "child"):
    written = sum(event.author == who for event in events)
    print(who, written, said.count(who), count("shop", who))
"""

EXIT = """
use("ada")
"""


def python(code: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", HEAD + code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "SOJOURN_URL": url},
        check=False,
    )


@pytest.fixture
def url(clean_environment: pytest.MonkeyPatch, shared_server: Server) -> str:
    """A server, with keys of the test's own, which the environment names."""
    url = f"{shared_server.url}?namespace={token_hex(6)}"
    clean_environment.setenv("SOJOURN_URL", url)
    return url


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_all_share_it_in_threads_loops_and_forks(url: str) -> None:
    done = python(FORK, url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "threads 12 12 8\nparent 12 12 8\nchild 12 12 8\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_has_a_copy_of_what_is_in_memory(url: str) -> None:
    done = python(FORK, "memory://")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "threads 12 12 8\nparent 12 12 8\nchild 0 0 0\n"


@pytest.mark.parametrize("where", ["server", "memory"])
def test_what_nobody_closed_is_no_trouble_at_the_end(url: str, where: str) -> None:
    done = python(EXIT, url if where == "server" else "memory://")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_the_last_user_closes_it(url: str) -> None:
    service, history = SessionService(url), ChatMessageHistory("talk", url)
    store = sojourn.default()
    assert service.store is history.store is store
    await history.aclose()
    await sojourn.close_default()
    await store.ping()
    assert sojourn.default() is store
    await sojourn.close_default()
    await service.close()
    assert store.closed
    with pytest.raises(sojourn.Closed):
        await service.get_session(app_name="shop", user_id="ada", session_id="s")


async def test_who_closes_the_store_itself_closes_it_for_nobody_else(url: str) -> None:
    service = SessionService(url)
    async with sojourn.default() as store:
        await store.ping()
    assert store.closed
    assert service.store is sojourn.default() is not store
    await service.store.ping()
    await service.close()
    await sojourn.close_default()


async def test_other_options_are_another_store(url: str) -> None:
    one, other = SessionService(url), MemoryService(url, session_ttl=60)
    cache = LLMCache(url, session_ttl=60)
    assert one.store is not other.store
    assert cache.store is other.store
    for option in ({"session_ttl": 0}, {"on_outage": "x"}):
        with pytest.raises(InvalidInput):
            SessionService(url, **option)
    with pytest.raises(ConfigurationError):
        LLMCache("nowhere://")
    for each in (one, other):
        await each.close()
    await cache.aclose()


async def test_the_calls_of_two_providers_of_credentials_are_not_mixed(url: str) -> None:
    """Their text may be the same: it hides what they hold."""

    class Provider:
        def get_credentials(self) -> tuple[str]:
            return ("secret",)

        def __repr__(self) -> str:
            return "Provider()"

    first, second = Provider(), Provider()
    made = [LLMCache(url, credential_provider=each) for each in (first, first, second)]
    assert made[0].store is made[1].store is not made[2].store
    for each in made:
        await each.aclose()


async def test_a_store_of_the_synchronous_api_is_the_callers_own(url: str) -> None:
    service = SessionService(url)
    with sojourn.sync.open(url) as store:
        store.ping()
        assert len({id(each) for each in (service.store, sojourn.default())}) == 1
    await service.store.ping()
    await service.close()
    await sojourn.close_default()
