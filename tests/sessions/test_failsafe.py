"""Fail-safe calls: whatever happens, there is a result, and no outage passes for emptiness."""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest

import sojourn
from servers import Server, any_binary, free_port
from sojourn import (
    AccessDenied,
    Closed,
    CorruptRecord,
    Event,
    InvalidId,
    InvalidInput,
    InvalidValue,
    OutcomeUnknown,
    Result,
    ServerOutOfMemory,
    ServerReadOnly,
    SessionExists,
    SessionKey,
    SessionNotFound,
    SojournError,
    StaleSession,
    TooLarge,
    Unavailable,
)
from sojourn.sessions import Failures, SafeSessions, Sessions, View
from sojourn.sessions.failsafe import Status

SOON = 0.3  # seconds until a call without an answer ends
EVENT = Event(author="a", payload="hidden words")


@pytest.fixture
def key() -> SessionKey:
    return SessionKey.of("safe", secrets.token_hex(4), "s")


@pytest.fixture(params=["memory", "server"])
async def store(
    request: pytest.FixtureRequest, shared_server: Server
) -> AsyncIterator[sojourn.Sojourn]:
    url = "memory://" if request.param == "memory" else shared_server.url
    async with sojourn.open(url, max_event_bytes=1000) as store:
        yield store


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the fail-safe calls have logged as warnings."""
    records = [each for each in caplog.records if each.name == "sojourn.sessions"]
    return [each.getMessage() for each in records if each.levelno == logging.WARNING]


# ── the same calls ─────────────────────────────────────────────────────────────────────────────

METHODS = dict(inspect.getmembers(Sessions, inspect.isfunction))
PUBLIC = sorted(name for name in METHODS if not name.startswith("_"))
HERE = SessionKey.of("safe", "ada", "s")
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "create": ("safe", "ada"),
    "ensure": ("safe", "ada", "s"),
    "get": (HERE,),
    "append": (HERE, EVENT),
    "update": (HERE,),
    "save": (HERE,),
    "trim": (HERE,),
    "remove_state": (HERE, "a"),
    "touch": (HERE,),
    "delete": (HERE,),
    "rotate": (HERE,),
    "list": ("safe",),
    "count": ("safe", "ada"),
    "user_state": ("safe", "ada"),
    "search": ("safe", "ada", "word"),
    "events": (HERE,),
}
BATCHES: dict[str, tuple[Any, ...]] = {
    "get": ([HERE],),
    "append": ([(HERE, [EVENT])],),
    "save": ({HERE: {}},),
}
CALLS = [*(("sessions", name) for name in PUBLIC), *(("batch", name) for name in BATCHES)]


@pytest.mark.parametrize(("room", "name"), CALLS)
def test_every_call_has_its_twin(room: str, name: str) -> None:
    calls = getattr(sojourn.open("memory://"), room)
    call, twin = getattr(calls, name), getattr(calls.safe, name)
    assert inspect.unwrap(twin) == inspect.unwrap(call)
    assert inspect.signature(twin) == inspect.signature(call)
    assert twin.__doc__ == call.__doc__


@pytest.mark.parametrize(("room", "name"), CALLS)
async def test_every_call_says_that_no_server_can_be_reached(room: str, name: str) -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    options: dict[str, Any] = {"update": {"title": "t"}, "trim": {"keep": 0}}.get(name, {})
    async with sojourn.open(url, operation_timeout=0.05) as store:
        arguments = ARGUMENTS if room == "sessions" else BATCHES
        result = await getattr(getattr(store, room).safe, name)(*arguments[name], **options)
        assert store.stats().failures == Failures(0, 0, 1, 0)
    assert (result.status, result.value) == (
        "unavailable",
        [result.error] if room == "batch" and name != "get" else None,
    )
    assert type(result.error) is Unavailable


# ── what became of a call ──────────────────────────────────────────────────────────────────────


async def test_what_is_done_or_found_is_ok(
    store: sojourn.Sojourn, key: SessionKey, caplog: pytest.LogCaptureFixture
) -> None:
    safe = store.sessions.safe
    made = (await safe.create(*key, title="t")).unwrap()
    assert (await safe.append(key, EVENT)).unwrap().version == 2
    assert await safe.update(key, status="closed") == Result("ok", 3)
    assert await safe.touch(key) == Result("ok", value=True)
    read = (await safe.get(key)).unwrap()
    assert (read.incarnation, [event.payload for event in read.events]) == (
        made.incarnation,
        [EVENT.payload],
    )
    assert (await store.batch.safe.get([key])).unwrap() == {key: read}
    assert [each.key for each in (await safe.list(key.app, key.user)).unwrap().sessions] == [key]
    assert await safe.user_state(key.app, key.user) == Result("ok", {})
    assert await safe.delete(key) == Result("ok", value=True)
    assert store.stats().failures == Failures(0, 0, 0, 0)
    assert not told(caplog)


async def test_to_look_for_a_session_in_vain_is_no_error(
    store: sojourn.Sojourn, key: SessionKey, caplog: pytest.LogCaptureFixture
) -> None:
    safe = store.sessions.safe
    for asked in (safe.get(key), safe.get(key, last=1), safe.touch(key), safe.delete(key)):
        result = await asked
        assert (result.status, result.value) == ("not_found", None)
        with pytest.raises(SessionNotFound):
            result.unwrap()
    assert store.stats().failures == Failures(0, 0, 0, 0)
    assert not told(caplog)


async def test_to_change_a_session_that_was_deleted_is_one(
    store: sojourn.Sojourn, key: SessionKey, caplog: pytest.LogCaptureFixture
) -> None:
    await store.sessions.create(*key)
    await store.sessions.delete(key)
    for asked in (
        store.sessions.safe.append(key, EVENT),
        store.sessions.safe.update(key, title=""),
    ):
        result = await asked
        assert (result.status, type(result.error)) == ("not_found", SessionNotFound)
    assert store.stats().failures == Failures(2, 0, 0, 0)
    assert told(caplog) == [
        f"sessions.{name}: not_found, SessionNotFound" for name in ("append", "update")
    ]


Ask = Callable[[SafeSessions, SessionKey], Awaitable[Result[Any]]]
REFUSED: dict[str, tuple[Ask, type[SojournError]]] = {
    "text for an event": (lambda safe, key: safe.append(key, "hidden"), InvalidValue),
    "a number for state": (lambda safe, key: safe.create(*key, state=5), InvalidValue),
    "stale": (lambda safe, key: safe.append(key, EVENT, expected_version=9), StaleSession),
    "taken": (lambda safe, key: safe.create(*key), SessionExists),
    "too large": (
        lambda safe, key: safe.append(key, Event(author="a", payload="hidden" * 1000)),
        TooLarge,
    ),
    "not JSON": (
        lambda safe, key: safe.append(key, Event(author="a", payload={"hidden": {1}})),
        InvalidValue,
    ),
    "bad value": (
        lambda safe, key: safe.append(key, Event(author="a", payload=1, time="hidden")),
        InvalidValue,
    ),
    "empty id": (lambda safe, key: safe.create("", "hidden"), InvalidId),
    "not an id": (lambda safe, key: safe.create("hidden", 5), InvalidId),
    "unchecked id": (lambda safe, key: safe.get(SessionKey("hidden", "", "\ud800")), InvalidId),
    "by keyword": (lambda safe, key: safe.touch(key=SessionKey("hidden", "", "")), InvalidId),
    "text for a key": (lambda safe, key: safe.touch("hidden"), InvalidId),
    "cursor": (lambda safe, key: safe.list("hidden", cursor="hidden"), InvalidInput),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_call_that_is_wrong_or_in_conflict_is_refused(
    store: sojourn.Sojourn, key: SessionKey, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    ask, kind = REFUSED[case]
    await store.sessions.create(*key)
    result = await ask(store.sessions.safe, key)
    assert (result.status, result.value, type(result.error)) == ("refused", None, kind)
    assert store.stats().failures == Failures(0, 1, 0, 0)
    (line,) = told(caplog)
    assert line.endswith(f": refused, {kind.__name__}")
    assert "hidden" not in caplog.text


WRONG: dict[str, Callable[[sojourn.Sojourn, SessionKey], Awaitable[Result[Any]]]] = {
    "no argument": lambda store, key: store.sessions.safe.get(),
    "no such argument": lambda store, key: store.sessions.safe.get(key, hidden=1),
    "no view": lambda store, key: safely_viewed(store, None, key),
    "a view that fails": lambda store, key: safely_viewed(store, view(OSError("hidden")), key),
}


async def safely_viewed(store: sojourn.Sojourn, view: Any, key: SessionKey) -> Result[Any]:
    return await store.sessions.safe.safe(store.adapters.get_as, "adapters.get_as")(view, key)


def view(error: BaseException) -> View[Any, Any]:
    def decode(*_: object) -> None:
        raise error

    return View("broken", decode, decode, decode)


@pytest.mark.parametrize("case", WRONG)
async def test_a_bug_has_failed_and_the_log_says_where(
    store: sojourn.Sojourn, key: SessionKey, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    await store.sessions.create(*key)
    await store.sessions.append(key, EVENT)
    result = await WRONG[case](store, key)
    assert (result.status, result.value, type(result.error)) == ("failed", None, SojournError)
    assert isinstance(result.error.__cause__, TypeError | AttributeError | OSError)
    assert store.stats().failures == Failures(0, 0, 0, 1)
    (line,) = told(caplog)
    assert f"failed, {type(result.error.__cause__).__name__}\n" in line
    assert "failsafe.py" in line
    assert "hidden" not in line


async def test_a_record_that_cannot_be_read_has_failed(
    shared_server: Server, key: SessionKey
) -> None:
    with shared_server.client() as client:
        client.set(f"session:{{{key.app}:{key.user}}}:{key.session}", "foreign")
    async with sojourn.open(shared_server.url) as store:
        result = await store.sessions.safe.get(key)
    assert (result.status, type(result.error)) == ("failed", CorruptRecord)


async def test_a_result_is_neither_true_nor_false(store: sojourn.Sojourn, key: SessionKey) -> None:
    with pytest.raises(TypeError, match="status"):
        bool(await store.sessions.safe.create(*key))
    with pytest.raises(TypeError, match="status"):
        bool(await store.sessions.safe.get(key))


def test_each_status_but_ok_is_counted() -> None:
    assert ("ok", *Failures._fields) == get_args(Status)


# ── servers in trouble ─────────────────────────────────────────────────────────────────────────


class Trouble(NamedTuple):
    """How it comes about and ends, and what becomes of a write and of a read meanwhile."""

    begin: Callable[[Server], Any]
    end: Callable[[Server], Any]
    write: type[SojournError] | tuple[type[SojournError], ...]
    read: type[SojournError] | None


TROUBLES = {
    "killed": Trouble(lambda server: server.stop(9), Server.start, Unavailable, Unavailable),
    "stalled": Trouble(Server.pause, Server.resume, OutcomeUnknown, Unavailable),
    "a replica": Trouble(
        lambda server: server.ask("REPLICAOF", "127.0.0.1", free_port()),
        lambda server: server.ask("REPLICAOF", "NO", "ONE"),
        # A refused write is sent again; the last sending may be without a reply when time is up.
        (ServerReadOnly, OutcomeUnknown),
        None,
    ),
    "out of memory": Trouble(
        lambda server: server.ask("CONFIG", "SET", "maxmemory", "1"),
        lambda server: server.ask("CONFIG", "SET", "maxmemory", "0"),
        ServerOutOfMemory,
        None,
    ),
}


@pytest.mark.parametrize("case", TROUBLES)
async def test_while_a_server_is_in_trouble_nobody_can_know(
    server: Server, key: SessionKey, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    trouble = TROUBLES[case]
    async with sojourn.open(server.url, operation_timeout=SOON) as store:
        safe = store.sessions.safe
        await store.sessions.create(*key)
        await asyncio.to_thread(trouble.begin, server)
        write, read = await safe.append(key, EVENT), await safe.get(key)
        assert (write.status, write.value) == ("unavailable", None)
        assert isinstance(write.error, trouble.write)
        assert read.status == ("unavailable" if trouble.read else "ok")
        assert isinstance(read.error, trouble.read or type(None))
        assert read.operation_id is None
        assert len(told(caplog)) == store.stats().failures.unavailable == (2 if trouble.read else 1)
        await asyncio.to_thread(trouble.end, server)
        while (again := await safe.touch(key)).status == "unavailable":
            await asyncio.sleep(0.01)
    assert again.status == ("not_found" if case == "killed" else "ok")


async def test_a_write_whose_outcome_is_unknown_is_told_and_repeated_by_its_id(
    server: Server, key: SessionKey, caplog: pytest.LogCaptureFixture
) -> None:
    async with sojourn.open(server.url, operation_timeout=SOON) as store:
        safe = store.sessions.safe
        await store.sessions.create(*key)
        server.pause()
        events = [Event(author="a", payload=n) for n in range(3)]
        lost = await asyncio.gather(*(safe.append(key, event) for event in events))
        server.resume()
        for each, event in zip(lost, events, strict=True):
            assert each.operation_id
            assert each.operation_id in caplog.text
            while (await safe.append(key, event, operation_id=each.operation_id)).error:
                await asyncio.sleep(0.01)
        assert (await safe.get(key)).unwrap().length == 3


async def test_an_outage_is_told_once_and_counted_whole(
    server: Server, key: SessionKey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sojourn.sessions")
    async with sojourn.open(server.url, operation_timeout=SOON) as store:
        append = store.sessions.safe.append
        await store.sessions.create(*key)
        for version, answer in ((1, "ok"), (9, "refused"), (2, "ok")):
            caplog.clear()
            server.ask("CONFIG", "SET", "maxmemory", "1")
            for _ in range(5):
                assert (await append(key, EVENT)).status == "unavailable"
                await store.sessions.safe.get(key)
            assert len(told(caplog)) == 1
            assert caplog.text.count("sessions.append: unavailable, ServerOutOfMemory: ") == 5
            server.ask("CONFIG", "SET", "maxmemory", "0")
            event = Event(author="a", payload=version)
            assert (await append(key, event, expected_version=version)).status == answer
    assert store.stats().failures == Failures(0, 1, 15, 0)


async def test_a_wrong_password_is_unavailable_and_stays_out_of_the_log(
    tmp_path: Path, key: SessionKey, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(tmp_path, any_binary(), password="right").start()
    try:
        async with sojourn.open(server.url.replace("right", "secret")) as store:
            result = await store.sessions.safe.get(key)
    finally:
        server.close()
    assert (result.status, type(result.error)) == ("unavailable", AccessDenied)
    (line,) = told(caplog)
    assert "refuses access" in line
    assert "secret" not in caplog.text


async def test_a_closed_store_is_unavailable(shared_server: Server, key: SessionKey) -> None:
    async with sojourn.open(shared_server.url) as store:
        safe = store.sessions.safe
    result = await safe.get(key)
    assert (result.status, type(result.error)) == ("unavailable", Closed)


# ── what others raise ──────────────────────────────────────────────────────────────────────────


async def test_a_hook_that_raises_disturbs_nobody(shared_server: Server, key: SessionKey) -> None:
    def hook(fact: object) -> None:
        raise OSError

    async with sojourn.open(shared_server.url) as store:
        store.on_call(hook)
        assert (await store.sessions.safe.create(*key)).status == "ok"


async def test_a_log_that_raises_disturbs_nobody(store: sojourn.Sojourn) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise OSError

    log = logging.getLogger("sojourn.sessions")
    log.addFilter(broken)
    try:
        result = await store.sessions.safe.create("", "ada")
    finally:
        log.removeFilter(broken)
    assert result.status == "refused"
    assert store.stats().failures.refused == 1


async def test_cancellation_passes(server: Server, key: SessionKey) -> None:
    async with sojourn.open(server.url) as store:
        await store.sessions.create(*key)
        server.pause()
        task = asyncio.create_task(store.sessions.safe.get(key))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await store.sessions.safe.append(key, EVENT)
        assert sum(store.stats().failures) == 0


async def test_ctrl_c_passes(store: sojourn.Sojourn, key: SessionKey) -> None:
    await store.sessions.create(*key)
    await store.sessions.append(key, EVENT)
    with pytest.raises(KeyboardInterrupt):
        await safely_viewed(store, view(KeyboardInterrupt()), key)
