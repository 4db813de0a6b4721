"""The one connection: coalescing, cancellation, deadlines, lost replies; all over real sockets."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import sojourn
from proxy import Proxy
from servers import Server, any_binary, free_port, until
from sojourn import Event, OutcomeUnknown, Unavailable
from sojourn.calls.call import Call, Script
from sojourn.engine.engine import Engine
from sojourn.engine.multiplexer import Timeouts
from sojourn.engine.server import Server as Target
from sojourn.telemetry import CallFact, Hooks

Make = Callable[..., Engine]


def command(*words: Any, repeatable: bool = True, op: str | None = None) -> Call[Any]:
    return Call(
        words[0], (), lambda r: r[0], commands=[words], repeatable=repeatable, operation_id=op
    )


def script(body: str, *args: Any) -> Call[Any]:
    return Call("script", (), lambda r: r[0], script=Script("test", body), args=args)


@pytest.fixture
async def proxy(shared_server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(shared_server.port) as proxy:
        yield proxy


@pytest.fixture
async def engine(proxy: Proxy) -> AsyncIterator[Engine]:
    engine = make(proxy.url)
    yield engine
    await engine.close()


def make(url: str, timeout: float = 2.0, connect: float = 2.0) -> Engine:
    return Engine(
        Target.at(url, connect_timeout=connect), timeouts=Timeouts(timeout), hooks=Hooks()
    )


@pytest.fixture
def key() -> str:
    return f"test:{secrets.token_hex(8)}"


async def test_calls_of_one_moment_leave_in_one_write(engine: Engine, proxy: Proxy) -> None:
    await engine.run(command("PING"))
    proxy.requests.clear()
    answers = await asyncio.gather(*(engine.run(command("ECHO", str(n))) for n in range(100)))
    assert answers == [str(n).encode() for n in range(100)]
    assert len(proxy.requests) == 1
    assert proxy.connections == 1


async def test_a_cancelled_task_hands_its_reply_to_nobody(engine: Engine) -> None:
    async def ask(n: int) -> None:
        assert await engine.run(command("ECHO", str(n))) == str(n).encode()

    for pause in range(6):
        tasks = [asyncio.create_task(ask(n)) for n in range(60)]
        for _ in range(pause):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(outcome is None for outcome in outcomes[1::2])
        await ask(1000)


async def test_a_call_cancelled_before_it_leaves_is_never_sent(engine: Engine, key: str) -> None:
    task = asyncio.create_task(engine.run(command("INCR", key)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await engine.run(command("GET", key)) in (None, b"1")
    # With no connection yet, it cannot have been sent.
    fresh = make(f"redis://127.0.0.1:{free_port()}")
    task = asyncio.create_task(fresh.run(command("INCR", key)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await fresh.close()


async def test_cancelling_every_task_shifts_no_reply(engine: Engine, shared_server: Server) -> None:
    await engine.run(command("PING"))
    with shared_server.client() as client:
        client.execute_command("CLIENT", "PAUSE", "200")
    under_way = [asyncio.create_task(engine.run(command("ECHO", f"old {n}"))) for n in range(3)]
    await asyncio.sleep(0.01)
    me = asyncio.current_task()
    for task in asyncio.all_tasks():
        if task is not me and "sojourn" in task.get_name():
            task.cancel()
    names = [b"one", b"two", b"three"]
    answers = await asyncio.gather(*(engine.run(command("ECHO", name)) for name in names))
    assert answers == names
    await asyncio.gather(*under_way, return_exceptions=True)


async def test_a_dead_connection_is_left_though_callers_have_time_outs_of_their_own(
    proxy: Proxy,
) -> None:
    engine = make(proxy.url, timeout=0.2)
    await engine.run(command("PING"))
    dead = proxy.connections
    proxy.on_request = lambda _: "stall" if proxy.connections == dead else "pass"
    async with asyncio.timeout(5):
        while True:
            try:
                async with asyncio.timeout(0.05):
                    await engine.run(command("PING"))
                break
            except TimeoutError:
                continue
    assert proxy.connections > dead
    await engine.close()


async def test_an_outage_keeps_nothing_of_what_has_failed() -> None:
    engine = make(f"redis://127.0.0.1:{free_port()}", timeout=0.05)
    calls = (engine.run(command("SET", "k", "x" * 10_000)) for _ in range(100))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    (connections,) = engine._connections.values()
    assert not connections.small._waiting
    await engine.close()


async def test_what_was_never_sent_is_unavailable_and_not_unknown() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    played = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = played.sockets[0].getsockname()[1]
    engine = make(f"redis://127.0.0.1:{port}", timeout=0.1, connect=5)
    with pytest.raises(Unavailable) as caught:
        await engine.run(command("INCR", "k", op="op"))
    assert type(caught.value) is Unavailable
    await engine.close()
    played.close()


async def test_a_script_that_the_server_forgot_is_sent_whole(
    engine: Engine, shared_server: Server, key: str
) -> None:
    call = script(f"return redis.call('INCR', '{key}')")
    assert await engine.run(call) == 1
    with shared_server.client() as client:
        client.script_flush()
    assert await asyncio.gather(*(engine.run(call) for _ in range(5))) == [2, 3, 4, 5, 6]
    assert await engine.run(call) == 7


async def test_a_call_that_nobody_waits_for_arrives_before_the_connection_is_closed(
    engine: Engine, shared_server: Server, key: str
) -> None:
    engine.send_nowait(command("INCR", key))
    await engine.disconnect()
    assert shared_server.ask("GET", key) == "1"
    engine.send_nowait(command("INCR", key))
    await engine.close()
    assert shared_server.ask("GET", key) == "2"


async def test_an_error_reply_reaches_only_its_call(engine: Engine, key: str) -> None:
    outcomes = await asyncio.gather(
        engine.run(command("SET", key, "x")),
        engine.run(command("LPUSH", key, "y")),
        engine.run(command("GET", key)),
        return_exceptions=True,
    )
    assert outcomes[0] == b"OK"
    assert isinstance(outcomes[1], sojourn.CorruptRecord)
    assert outcomes[2] == b"x"


@pytest.mark.parametrize("transaction", [False, True])
async def test_a_call_that_allows_a_wrong_type_reads_past_it(
    engine: Engine, key: str, transaction: bool
) -> None:
    await engine.run(command("SET", key, "x"))
    words: list[tuple[str, ...]] = [("LLEN", key), ("GET", key)]
    if transaction:
        words = [("MULTI",), *words, ("EXEC",)]
    call: Call[Any] = Call("test", (), list, commands=words, allow_wrong_type=True)
    replies = await engine.run(call)
    foreign, value = replies[-1] if transaction else replies
    assert isinstance(foreign, Exception)
    assert value == b"x"
    with pytest.raises(sojourn.UnsupportedServer):
        await engine.run(replace(call, commands=[("GET", key), ("NONSENSE",)]))


async def test_run_all_raises_the_first_error_after_all_have_ended(
    engine: Engine, key: str
) -> None:
    with pytest.raises(sojourn.CorruptRecord):
        await engine.run_all(
            [command("SET", key, "x"), command("LPUSH", key, "y"), command("APPEND", key, "z")]
        )
    assert await engine.run(command("GET", key)) == b"xz"


async def test_a_lost_reply_does_not_repeat_what_may_not_be_repeated(
    engine: Engine, proxy: Proxy, key: str
) -> None:
    await engine.run(command("PING"))
    proxy.on_request = lambda data: "lose" if b"INCR" in data else "pass"
    with pytest.raises(OutcomeUnknown) as caught:
        await engine.run(command("INCR", key, repeatable=False, op="my-op"))
    assert caught.value.operation_id == "my-op"
    proxy.on_request = lambda _: "pass"
    assert await engine.run(command("GET", key)) == b"1"


async def test_what_arrived_before_a_connection_broke_is_delivered(
    engine: Engine, proxy: Proxy, key: str
) -> None:
    await engine.run(command("PING"))
    proxy.on_request = lambda data: "trim" if b"INCR" in data else "pass"
    calls = [command("INCR", key, repeatable=False, op=str(number)) for number in range(800)]
    ends = await asyncio.gather(*map(engine.run, calls), return_exceptions=True)
    known = [each for each in ends if isinstance(each, int)]
    assert known == list(range(1, len(known) + 1))
    assert len(known) > 300  # half of all bytes


async def test_a_lost_reply_repeats_what_may_be_repeated(
    engine: Engine, proxy: Proxy, key: str
) -> None:
    lost: list[bytes] = []

    def lose_twice(data: bytes) -> str:
        if b"INCR" in data and len(lost) < 2:
            lost.append(data)
            return "lose"
        return "pass"

    proxy.on_request = lose_twice
    assert await engine.run(command("INCR", key)) == 3
    assert len(lost) == 2


@pytest.mark.parametrize("fault", ["drop", "lose"])
async def test_an_append_under_a_fault_happens_once(proxy: Proxy, fault: str) -> None:
    """What redis-py's own retry gets wrong: the reply is lost, the write is sent again."""
    async with sojourn.open(proxy.url) as store:
        session = await store.sessions.create("once", secrets.token_hex(4))
        for n in range(20):
            hurt = iter([fault])
            proxy.on_request = lambda data, hurt=hurt: (
                next(hurt, "pass") if b"EVALSHA" in data else "pass"
            )
            done = await store.sessions.append(session.key, Event(author="a", payload=n))
            assert done.repeated == (fault == "lose")
        proxy.on_request = lambda _: "pass"
        read = await store.sessions.get(session.key)
    assert read is not None
    assert [event.payload for event in read.events] == list(range(20))


async def test_create_and_delete_under_a_lost_reply_happen_once(proxy: Proxy) -> None:
    async with sojourn.open(proxy.url) as store:
        user = secrets.token_hex(4)
        await store.sessions.create("once", user)
        hurt = iter(["lose"])
        proxy.on_request = lambda data: next(hurt, "pass") if b"EVALSHA" in data else "pass"
        session = await store.sessions.create("once", user, "s", state={"n": 1, "app:a": 1})
        assert session.state == {"n": 1, "app:a": 1}
        hurt = iter(["lose"])
        await store.sessions.delete(session.key)
        assert await store.sessions.get(session.key) is None


async def test_an_overdue_reply_ends_the_call_and_not_its_neighbours(
    proxy: Proxy, key: str
) -> None:
    engine = make(proxy.url, timeout=5)
    await engine.run(command("PING"))
    stalled: list[bytes] = []

    def stall_once(data: bytes) -> str:
        if not stalled and b"ECHO" in data:
            stalled.append(data)
            return "stall"
        return "pass"

    proxy.on_request = stall_once
    overdue = asyncio.create_task(engine.run(command("ECHO", "slow"), timeout=0.05))
    neighbours = [asyncio.create_task(engine.run(command("ECHO", str(n)))) for n in range(5)]
    with pytest.raises(Unavailable, match="in time"):
        await overdue
    assert await asyncio.gather(*neighbours) == [str(n).encode() for n in range(5)]
    await engine.close()


async def test_a_write_that_is_overdue_says_that_its_outcome_is_unknown(proxy: Proxy) -> None:
    async with sojourn.open(proxy.url, operation_timeout=0.2) as store:
        session = await store.sessions.create("late", "ada")
        proxy.on_request = lambda data: "stall" if b"EVALSHA" in data else "pass"
        with pytest.raises(OutcomeUnknown) as caught:
            await store.sessions.append(session.key, Event(author="a", payload=1))
        proxy.on_request = lambda _: "pass"
        done = await store.sessions.append(
            session.key, Event(author="a", payload=1), operation_id=caught.value.operation_id
        )
        assert not done.repeated


async def test_a_server_that_is_down_is_unavailable_and_never_empty() -> None:
    async with sojourn.open(f"redis://127.0.0.1:{free_port()}", operation_timeout=0.3) as store:
        calls: list[Any] = [
            store.sessions.get(sojourn.SessionKey.of("a", "b", "c")),
            store.sessions.list("a"),
            store.sessions.create("a", "b"),
            store.sessions.user_state("a", "b"),
            store.ping(),
        ]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert type(outcome) is Unavailable
            assert "127.0.0.1" in str(outcome)


async def test_a_server_that_comes_back_is_used_again(server: Server) -> None:
    async with sojourn.open(server.url, operation_timeout=5) as store:
        await store.sessions.create("back", "ada")
        server.stop(9)
        waiting = asyncio.create_task(store.sessions.create("back", "ada", "second"))
        await asyncio.to_thread(server.start)
        assert (await waiting).key.session == "second"


async def test_megabytes_do_not_stand_before_a_small_call(proxy: Proxy) -> None:
    async with sojourn.open(proxy.url) as store:
        session = await store.sessions.create("big", secrets.token_hex(4))

        def big() -> Event:
            return Event(author="a", payload="x" * 5_000_000)

        proxy.on_request = lambda data: "pass"
        await store.sessions.append(session.key, big())
        assert proxy.connections == 2  # the large one went over a connection of its own
        order: list[str] = []

        async def note(name: str, call: Any) -> None:
            await call
            order.append(name)

        await asyncio.gather(
            *(note("big", store.sessions.append(session.key, big())) for _ in range(3)),
            note("small", store.sessions.append(session.key, Event(author="a", payload=1))),
        )
        assert order[0] == "small"


async def test_facts_are_told_of_every_call(proxy: Proxy) -> None:
    async with sojourn.open(proxy.url) as store:
        facts: list[CallFact] = []
        stop = store.on_call(facts.append)
        store.on_call(lambda _: 1 / 0)  # a broken hook disturbs nobody
        session = await store.sessions.create("facts", "ada")
        await store.sessions.append(session.key, Event(author="a", payload=1))
        names = [fact.name for fact in facts]
        assert names[-1] == "sessions.append"
        assert "sessions.create" in names
        assert all(f.outcome == "ok" and f.attempts == 1 and f.sent_bytes > 0 for f in facts)
        stop()
        await store.ping()
        assert len(facts) == len(names)


async def test_closing_ends_what_waits_and_leaves_no_task(proxy: Proxy) -> None:
    before = asyncio.all_tasks()
    store = sojourn.open(proxy.url)
    await store.ping()
    proxy.on_request = lambda _: "stall"
    waiting = asyncio.create_task(store.ping())
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(sojourn.Closed):
        await waiting
    with pytest.raises(sojourn.Closed):
        await store.ping()
    await store.close()
    names = {task.get_name() for task in asyncio.all_tasks() - before}
    assert not any("sojourn" in name for name in names)


async def test_of_a_write_under_way_at_close_the_outcome_is_unknown(proxy: Proxy) -> None:
    store = sojourn.open(proxy.url)
    made = await store.sessions.create("closing", secrets.token_hex(4))
    arrived = asyncio.Event()

    def on_request(_: bytes) -> str:
        arrived.set()
        return "mute"

    proxy.on_request = on_request
    event = Event(author="a", payload=1)
    sent = asyncio.create_task(store.sessions.append(made.key, event, operation_id="op"))
    await arrived.wait()
    await store.close()
    with pytest.raises(OutcomeUnknown) as caught:
        await sent
    assert caught.value.operation_id == "op"


def test_several_event_loops_share_one_store(shared_server: Server) -> None:
    store = sojourn.open(shared_server.url)
    user = secrets.token_hex(4)

    async def work(n: int) -> None:
        for m in range(10):
            await store.sessions.create("loops", user, f"{n}-{m}")
        await store.disconnect()

    for n in range(2):
        asyncio.run(work(n))
    threads = [threading.Thread(target=lambda n=n: asyncio.run(work(n))) for n in (2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def count() -> int:
        found = await store.sessions.list("loops", user, limit=1000)
        await store.close()
        return len(found.sessions)

    assert asyncio.run(count()) == 50


def test_uvloop(shared_server: Server) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed here")

    async def work() -> list[int]:
        async with sojourn.open(shared_server.url) as store:
            session = await store.sessions.create("uv", secrets.token_hex(4))
            await asyncio.gather(
                *(
                    store.sessions.append(session.key, Event(author="a", payload=n))
                    for n in range(50)
                )
            )
            read = await store.sessions.get(session.key)
            assert read is not None
            return [event.payload for event in read.events]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert sorted(runner.run(work())) == list(range(50))


@pytest.mark.parametrize("closed", [True, False])
def test_a_loop_of_uvloop_that_has_ended_leaves_nothing(tmp_path: Path, closed: bool) -> None:
    """Its transports have no socket to shut down; the next loop's first call failed over that."""
    pytest.importorskip("uvloop", reason="uvloop is not installed here")
    server = Server(tmp_path, any_binary()).start()
    code = f"""
import asyncio, gc, sojourn, uvloop
store = sojourn.open({server.url!r})
for _ in range(3):
    loop = uvloop.new_event_loop()
    loop.run_until_complete(store.sessions.create("uv", "ada"))
    if {closed}:
        loop.close()
    del loop
    gc.collect()
async def last():
    count = await store.sessions.count("uv", "ada")
    await store.close()
    return count
print(asyncio.run(last()))
gc.collect()
"""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, text=True
        )
        assert (done.stdout, done.stderr) == ("3\n", "")
        until("only ours is left", lambda: len(server.client().client_list()) == 1)
    finally:
        server.close()


def test_a_loop_that_is_shut_down_leaves_no_task_behind(shared_server: Server) -> None:
    app = f"shut-down-{secrets.token_hex(4)}"
    code = f"""
import asyncio, gc, sojourn
from sojourn import Event, SessionKey
keys = [SessionKey.of({app!r}, name, "s") for name in "abc"]
for key in keys:
    asyncio.run(sojourn.open({shared_server.url!r}).sessions.create(*key))
store = sojourn.open({shared_server.url!r})
for key in keys:  # what nobody waits for is still under way when the loop ends
    asyncio.run(store.sessions.append(key, Event(author="a", payload=1)))
    gc.collect()
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=True
    )
    assert "destroyed" not in done.stderr
