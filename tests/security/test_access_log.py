"""The access log: a record a decision, which no id can forge and from which none can be read."""

import asyncio
import io
import json
import logging
import re
import stat
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from security_kit import Callers

import sojourn
from sojourn import Event, InvalidInput
from sojourn.security import AccessLog, JsonLines, Logged, Principal

HOSTILE = [
    'x\r\n{"outcome":"allowed","who":"root"}',
    "x\x1b[2J\x1b[31mred",
    "x\u2028y\x85z\x00",
    "user:ada%0a{}*",
]


async def told(file: io.StringIO, ids: list[str]) -> list[str]:
    """What a whole conversation leaves in a log whose ids are these."""
    log = AccessLog(JsonLines(file))
    async with sojourn.open("memory://") as store:
        guard = store.guard(log=log)
        for name in ids:
            caller = guard.user(Principal.of(name, name, peer=name))
            event = Event(author="user", payload="what-was-said", state_delta={"key": "value"})
            await caller.sessions.ensure(name)
            await caller.sessions.append(name, event)
            await caller.sessions.get(name + "?")
            await caller.memory.put(name, "what-was-said")
    return file.getvalue().splitlines()


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_id_forges_a_line(name):
    lines = await told(io.StringIO(), [name])
    records = [json.loads(line) for line in lines]
    assert [each["action"] for each in records] == [
        "sessions.ensure",
        "sessions.append",
        "sessions.get",
        "memory.put",
    ]
    assert [each["outcome"] for each in records].count("allowed") == 3
    assert re.fullmatch(r"[\x20-\x7e\n]*", "\n".join(lines))


async def test_no_id_key_or_content_stands_in_the_log():
    text = "\n".join(await told(io.StringIO(), ["ada-of-the-shop"]))
    for secret in ("ada-of", "shop", "what-was-said", "key", "value"):
        assert secret not in text


@given(st.text(), st.text())
def test_a_record_says_when_in_utc_and_nothing_of_the_ids(user, session):
    file = io.StringIO()
    try:
        principal = Principal.of("shop", user, peer="10.0.0.7")
    except sojourn.InvalidId:
        return
    AccessLog(JsonLines(file)).decided(
        "sessions.get", "not_found", "foreign", principal=principal, session=session
    )
    (line,) = file.getvalue().splitlines()
    record = json.loads(line)
    assert datetime.now(UTC) - datetime.fromisoformat(record["time"]) < timedelta(minutes=1)
    assert record["time"].endswith("+00:00")
    assert all(re.fullmatch("[0-9a-f]{32}", record[name]) for name in ("who", "peer", "session"))


def test_an_address_is_recorded_where_nobody_is_known():
    found = AccessLog().decided("adk", "refused", "token", peer="10.0.0.7")
    assert (found.who, len(found.peer)) == ("", 32)
    ada = Principal.of("shop", "ada", peer="10.0.0.7")
    log = AccessLog()
    peers = {
        log.decided("x", "allowed", principal=each, peer="10.0.0.7").peer
        for each in (ada, Principal.of("shop", "ada"), None)
    }
    assert peers == {log.pseudonym("10.0.0.7")}
    assert AccessLog().decided("x", "allowed").peer == ""


def test_pseudonyms_compare_with_the_same_salt_only():
    salt = b"0123456789abcdef"
    one, two, other = AccessLog(salt=salt), AccessLog(salt=salt), AccessLog()
    assert one.pseudonym("shop", "ada") == two.pseudonym("shop", "ada")
    assert one.pseudonym("shop", "ada") != other.pseudonym("shop", "ada")
    assert one.pseudonym("sho", "pada") != one.pseudonym("shop", "ada")
    with pytest.raises(InvalidInput):
        AccessLog(salt=b"short")


def test_a_file_of_records_is_its_owners_alone(tmp_path):
    path = tmp_path / "access.jsonl"
    sink = JsonLines(path)
    AccessLog(sink).decided("sessions.get", "allowed")
    sink.close()
    AccessLog(again := JsonLines(path)).decided("sessions.get", "refused", "throttled")
    again.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [json.loads(line)["outcome"] for line in path.read_text().splitlines()] == [
        "allowed",
        "refused",
    ]


def test_standard_logging_gets_the_record_whole_and_the_level_says_what_became_of_it(caplog):
    log = AccessLog(Logged())
    with caplog.at_level(logging.INFO, "sojourn.access"):
        log.decided("sessions.get", "allowed")
        log.decided("sessions.get", "not_found", "foreign")
    assert [each.levelname for each in caplog.records] == ["INFO", "WARNING"]
    assert caplog.records[1].access["reason"] == "foreign"
    assert json.loads(caplog.records[1].getMessage()) == caplog.records[1].access


async def test_what_the_store_could_not_do_is_recorded_too():
    async with sojourn.open("memory://") as store:
        callers = Callers(store)
        with pytest.raises(InvalidInput):
            await callers.ada.sessions.get("x", last=-1)
        with pytest.raises(InvalidInput):
            await callers.ada.sessions.get("x" * 600)
    assert callers.reasons() == ["sessions.get failed:input", "sessions.get failed:input"]


async def never() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise ZeroDivisionError


async def test_what_ends_otherwise_is_recorded_once(monkeypatch):
    async with sojourn.open("memory://", notices=True) as store:
        callers = Callers(store)
        ada = callers.ada
        with pytest.raises(ZeroDivisionError):
            await ada.cache.fetch("x", fails)
        with pytest.raises(InvalidInput):
            ada.notices.subscribe(after="nowhere")
        with pytest.raises(InvalidInput):
            await ada.sessions.create(state=["app:x"])
        with pytest.raises(InvalidInput):
            await ada.sessions.append("s", Event(author="a", payload=1, state_delta=["app:x"]))
        asked = asyncio.Event()

        async def owners_of(*_: object) -> frozenset[bytes]:
            asked.set()
            await never()
            return frozenset()

        monkeypatch.setattr(ada._access.policy.store, "owners_of", owners_of)
        for call in (
            ada.cache.fetch("y", lambda: (asked.set(), never())[1]),
            ada.sessions.get("s"),
        ):
            asked.clear()
            task = asyncio.ensure_future(call)
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert callers.reasons() == [
        "cache.fetch failed:error",
        "notices.subscribe failed:input",
        "sessions.create failed:input",
        "sessions.append failed:input",
        "cache.fetch failed:cancelled",
        "sessions.get not_found:cancelled",
    ]
