"""ADK's memory on a server: lifetimes, round trips, processes, outages, lost replies."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from google.adk.memory.memory_entry import MemoryEntry
from memory_kit import Recall, content, said

import sojourn
from proxy import Proxy
from servers import Server, any_binary
from sojourn.integrations.adk import MemoryService


@pytest.fixture
async def recall(shared_server, app):
    service = MemoryService(shared_server.url)
    yield Recall(service, app)
    await service.close()


@pytest.fixture
async def elsewhere(recall, shared_server):
    """The same memory through a store of its own."""
    async with sojourn.open(shared_server.url) as store:
        yield Recall(MemoryService(store), recall.app)


@pytest.mark.parametrize(("ttl", "expected"), [("keep", 100), (200, 200), (None, None)])
async def test_a_memory_lives_as_long_as_it_is_said(app, shared_server, redis, ttl, expected):
    url = f"{shared_server.url}?history_ttl=100"
    async with sojourn.open(url) as store:
        recall = Recall(MemoryService(store, ttl=ttl), app)
        await recall.learn(said("tea", "e"), "coffee")
        await recall.store(MemoryEntry(id="m", content=content("tea")))
        await recall.forget("e")
    keys = [*redis.scan_iter(f"memory:{{{app}:events:ada}}:entry:*")]
    assert len(keys) == 3  # one of them says that `e` was deleted
    for key in keys:
        lives = redis.pttl(key) / 1000
        assert lives == -0.001 if expected is None else expected - 10 < lives <= expected


async def test_a_call_is_few_round_trips(recall):
    calls = []
    stop = recall.service.store.on_call(lambda fact: calls.append(fact.name))

    def count() -> int:
        try:
            return len(calls)
        finally:
            calls.clear()

    await recall.learn(*(f"tea {n}" for n in range(300)))
    assert count() == 2  # the first of a user
    await recall.add(said("tea", "e"), said("more tea"))
    assert count() == 1
    await recall.find("tea")
    count()
    await recall.find("tea")
    assert count() == 1
    await recall.forget("e")
    assert count() <= 5
    stop()


async def test_a_session_added_again_unchanged_writes_nothing(recall, redis, app):
    events = [said("green tea", "e"), said("black tea")]
    await recall.learn(*events)
    await recall.forget("e")
    await recall.learn(*events)
    head = f"memory:{{{app}:events:ada}}"
    before = redis.hgetall(head)
    await recall.learn(*events)
    await recall.add(*events, session="s")
    assert redis.hgetall(head) == before


async def test_processes_see_each_others_memories(recall, elsewhere, shared_server, app):
    script = (
        "import asyncio, sys\n"
        "from memory_kit import Recall, said\n"
        "from sojourn.integrations.adk import MemoryService\n"
        "async def main():\n"
        "    service = MemoryService(sys.argv[1])\n"
        "    recall = Recall(service, sys.argv[2])\n"
        "    print(await recall.texts('tea'))\n"
        "    await recall.learn(said('tea from there', 'there'), session='there')\n"
        "    await recall.forget('here')\n"
        "    await service.close()\n"
        "asyncio.run(main())\n"
    )
    await recall.learn(said("tea from here", "here"))
    assert await elsewhere.texts("tea") == ["tea from here"]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script, shared_server.url, app],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert (done.stdout, done.stderr) == ("['tea from here']\n", "")
    await recall.learn(said("tea from here", "here"))
    for each in (recall, elsewhere):
        assert await each.texts("tea") == ["tea from there"]


async def test_an_outage_is_an_error_and_never_an_empty_memory(tmp_path):
    server = Server(tmp_path, any_binary()).start()
    async with sojourn.open(server.url, operation_timeout=0.3) as store:
        recall = Recall(MemoryService(store), "app")
        await recall.learn(said("tea", "e"))
        assert await recall.find("tea")
        server.close()
        for call in (
            recall.find("tea"),
            recall.find(""),
            recall.learn("tea"),
            recall.add(said("tea")),
            recall.store(MemoryEntry(content=content("tea"))),
            recall.forget("e"),
        ):
            with pytest.raises(sojourn.Unavailable):
                await call


@pytest.mark.parametrize("what", ["learn", "add", "store", "forget"])
async def test_a_write_whose_reply_is_lost_is_done_once(shared_server, recall, redis, app, what):
    await recall.learn(said("green tea", "e"))
    head = f"memory:{{{app}:events:ada}}"
    lost = []

    def on_request(data: bytes) -> str:
        if b"EVALSHA" not in data or len(lost) > 3:
            return "pass"
        lost.append(data)
        return "lose" if len(lost) % 2 else "pass"

    async with Proxy(shared_server.port) as proxy, sojourn.open(proxy.url) as store:
        ours = Recall(MemoryService(store), app)
        await ours.learn(said("green tea", "e"))  # connected, and entered into the index
        before = int(redis.hget(head, "seq"))
        proxy.on_request = on_request
        await {
            "learn": lambda: ours.learn(said("black tea"), session="t"),
            "add": lambda: ours.add(said("black tea")),
            "store": lambda: ours.store(MemoryEntry(content=content("black tea"))),
            "forget": lambda: ours.forget("e"),
        }[what]()
    assert lost
    changes = int(redis.hget(head, "seq")) - before
    assert changes == (2 if what == "forget" else 1)
    expected = [] if what == "forget" else ["black tea", "green tea"]
    assert await recall.texts("tea") == expected


async def test_it_closes_what_it_opened_and_leaves_what_was_lent(shared_server, app):
    async with sojourn.open(shared_server.url) as store:
        lent = MemoryService(store)
        await lent.close()
        assert await Recall(lent, app).find("tea") == []
        with pytest.raises(sojourn.InvalidInput, match="Options"):
            MemoryService(store, history_ttl=1)
    own = MemoryService(shared_server.url, history_ttl=1)
    await own.close()
    with pytest.raises(sojourn.Closed):
        await Recall(own, app).find("tea")
