"""A chat history whose server, network or records fail; and who shares what."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest
from langchain_core.messages import AIMessage, HumanMessage

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import InvalidInput, OutcomeUnknown, Unavailable
from sojourn.integrations.langchain import ChatMessageHistory

TWO = [HumanMessage("one", id="1"), AIMessage("two", id="2")]


def lose_the_first(proxy: Proxy, what: str) -> None:
    """Cut off the reply to the first append."""
    lost: list[bytes] = []

    def on_request(data: bytes) -> str:
        if b'"one"' not in data or lost:
            return "pass"
        lost.append(data)
        return what

    proxy.on_request = on_request


@pytest.mark.parametrize("what", ["lose", "trim", "drop"])
async def test_a_lost_reply_stores_a_batch_once(
    shared_server: Server, server_url: str, what: str
) -> None:
    namespace = server_url.partition("=")[2]
    async with Proxy(shared_server.port) as proxy:
        history = ChatMessageHistory("s", proxy.url, namespace=namespace)
        await history.aadd_messages([HumanMessage("zero")])
        lose_the_first(proxy, what)
        await history.aadd_messages(TWO)
        assert await history.aget_messages() == [HumanMessage("zero"), *TWO]
        await history.aclose()


async def test_a_batch_whose_fate_is_unknown_is_repeated_once(
    shared_server: Server, server_url: str
) -> None:
    namespace = server_url.partition("=")[2]
    async with Proxy(shared_server.port) as proxy:
        history = ChatMessageHistory("s", proxy.url, namespace=namespace, operation_timeout=0.5)
        await history.aadd_messages([HumanMessage("zero")])
        proxy.on_request = lambda data: "mute" if b'"one"' in data else "pass"
        with pytest.raises(OutcomeUnknown) as unknown:
            await asyncio.to_thread(history.add_messages, TWO)
        proxy.on_request = lambda _: "pass"
        await history.aadd_messages(TWO, operation_id=unknown.value.operation_id)
        assert await history.aget_messages() == [HumanMessage("zero"), *TWO]
        await history.aclose()


async def test_an_outage_is_not_an_empty_history() -> None:
    history = ChatMessageHistory("s", "redis://127.0.0.1:1", operation_timeout=0.2)
    with pytest.raises(Unavailable):
        await history.aget_messages()
    with pytest.raises(Unavailable):
        await history.aclear()
    with pytest.raises(Unavailable):
        history.add_messages(TWO)
    await history.aclose()


async def test_a_message_that_cannot_be_read_is_in_the_quarantine(
    shared_server: Server, server_url: str
) -> None:
    namespace = server_url.partition("=")[2]
    async with sojourn.open(server_url) as store:
        history = ChatMessageHistory("s", store)
        await history.aadd_messages(TWO)
        with shared_server.client() as client:
            log = f"{namespace}:session:{{history:s}}:s:events"
            row = client.lindex(log, 0)
            client.lset(log, 0, row.replace("human", "robot"))
        told: list[object] = []
        store.on_corrupt(told.append)
        assert await history.aget_messages() == TWO[1:]
        (kept,) = await store.admin.quarantined("history", "s")
        assert b'"one"' in kept.raw
        assert "checksum" in kept.reason
        assert len(told) == 1


def test_two_processes_share_a_history(server_url: str) -> None:
    code = f"""
import sys
from langchain_core.messages import HumanMessage
from sojourn.integrations.langchain import ChatMessageHistory
history = ChatMessageHistory("s", {server_url!r})
who = sys.argv[1]
for n in range(100):
    history.add_messages([HumanMessage(who, id=f"{{n}}a"), HumanMessage(who, id=f"{{n}}b")])
print(len(history.messages) >= 200)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, who], stdout=subprocess.PIPE, text=True)
        for who in ("ada", "bob")
    ]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["True\n"] * 2
    history = ChatMessageHistory("s", server_url)
    found = history.messages
    history.close()
    for who in ("ada", "bob"):
        ids = [message.id for message in found if message.content == who]
        assert ids == [f"{n}{part}" for n in range(100) for part in "ab"]
    assert all(a.content == b.content for a, b in zip(found[::2], found[1::2], strict=True))


def test_an_object_for_each_request_costs_no_connection(server: Server) -> None:
    made = [ChatMessageHistory(f"s{n}", server.url) for n in range(50)]
    with server.client() as client:
        for history in made:
            history.add_messages(TWO)
        assert len(client.client_list()) <= 4
    assert len([each for each in threading.enumerate() if each.name == "sojourn sync"]) == 1
    for history in made:
        history.close()


async def test_the_last_one_closes_what_they_share(server_url: str) -> None:
    one, two = ChatMessageHistory("s", server_url), ChatMessageHistory("s", server_url)
    other = ChatMessageHistory("s", server_url, session_ttl=60)
    assert one.store is two.store is not other.store
    await one.aadd_messages(TWO)
    await one.aclose()
    await one.aclose()
    assert await two.aget_messages() == TWO
    await two.aclose()
    with pytest.raises(sojourn.Closed):
        await two.aget_messages()
    assert await other.aget_messages() == TWO
    await other.aclose()
    fresh = ChatMessageHistory("s", server_url)
    assert await fresh.aget_messages() == TWO
    await fresh.aclose()


async def test_a_lent_store_stays_open(server_url: str) -> None:
    async with sojourn.open(server_url) as store:
        history = ChatMessageHistory("s", store)
        await history.aclose()
        await history.aadd_messages(TWO)
        with pytest.raises(InvalidInput):
            ChatMessageHistory("s", store, namespace="x")


def test_one_loop_after_another(server_url: str) -> None:
    history = ChatMessageHistory("s", server_url)
    for n in range(3):
        asyncio.run(history.aadd_messages([HumanMessage(str(n))]))
    assert [message.content for message in history.messages] == ["0", "1", "2"]
    history.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork(server_url: str) -> None:
    code = f"""
import os
from langchain_core.messages import HumanMessage
from sojourn.integrations.langchain import ChatMessageHistory
history = ChatMessageHistory("s", {server_url!r})
history.add_messages([HumanMessage("before")])
child = os.fork()
who = "parent" if child else "child"
for n in range(20):
    history.add_messages([HumanMessage(who)])
    again = ChatMessageHistory("s", {server_url!r})
    again.add_messages([HumanMessage(who)])
    again.close()
if not child:
    history.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
said = [message.content for message in history.messages]
print(said.count("parent"), said.count("child"))
"""
    options = ["-W", "error::ResourceWarning"]
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("40 40\n", 0), done.stderr


def test_what_nobody_closed_leaves_no_embedded_server(tmp_path) -> None:
    code = f"""
from langchain_core.messages import HumanMessage
from sojourn.integrations.langchain import ChatMessageHistory
history = ChatMessageHistory("s", "embedded:{tmp_path}")
history.add_messages([HumanMessage("x")])
print(len(history.messages))
"""
    for n in (1, 2, 3):
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", code],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.stdout, done.stderr) == (f"{n}\n", "")
