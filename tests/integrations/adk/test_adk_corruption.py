"""Records that cannot be read: ADK gets the rest, and the log and a hook tell."""

from __future__ import annotations

import pytest
from adk_kit import event, on_a_server, ours, texts

from sojourn import CorruptRecord, Event, SessionKey

DAMAGED = ["mine", "", "{", '{"id":"e","time":1,"author":"a","kind":"adk","payload":{}}', "\xff"]


@pytest.fixture
async def told(service):
    """What the hook was told."""
    facts = []
    service.store.on_corrupt(facts.append)
    return facts


@pytest.fixture
async def log(desk, service):
    """The key of a log of three events."""
    session = await desk.create("s", state={"n": 1, "user:u": 1, "app:a": 1})
    for text in ("one", "two", "three"):
        await desk.say(session, text)
    return f"session:{{{desk.app}:ada}}:s:events"


@on_a_server
@pytest.mark.parametrize("row", DAMAGED)
async def test_a_session_has_the_events_that_can_be_read(desk, redis, log, told, row):
    redis.lset(log, 1, row)
    for _ in range(2):
        session = await desk.get("s")
        assert texts(session) == ["one", "three"]
        assert session.state == {"n": 1, "user:u": 1, "app:a": 1}
        assert texts(await desk.get("s", num_recent_events=2)) == ["three"]
        assert texts(await desk.get("s", num_recent_events=1)) == ["three"]
        assert texts(await desk.get("s", after_timestamp=1.0)) == ["one", "three"]
    assert [fact.part for fact in told] == ["events"]
    (kept,) = await desk.service.store.admin.quarantined(desk.app, "ada")
    assert (kept.field, kept.raw) == ("2", row.encode())
    await desk.say(session, "four")
    assert texts(await desk.get("s")) == ["one", "three", "four"]


@on_a_server
async def test_every_byte_of_an_adk_event_counts(desk, redis, log):
    row = redis.lindex(log, 2).encode()
    for at in range(0, len(row), 3):
        redis.lset(log, 2, row[:at] + bytes([row[at] ^ 1]) + row[at + 1 :])
        assert texts(await desk.get("s")) == ["one", "two"], at


@ours
async def test_an_event_that_only_claims_to_be_adks_is_left_out(desk, service, told):
    session = await desk.create("s")
    await desk.say(session, "one")
    key = SessionKey.of(desk.app, "ada", "s")
    for payload in (1, "text", [], None, [{"content": {}}]):
        await service.store.sessions.append(
            key, Event(author="a", kind="adk", payload=payload, state_delta={"k": 1})
        )
    await desk.say(session, "two")
    for _ in range(2):
        assert texts(await desk.get("s")) == ["one", "two"]
    read = await service.store.sessions.get(key)
    assert (len(read.events), read.complete) == (7, True)
    assert len(told) == len(await service.store.admin.quarantined(desk.app, "ada")) == 5


@on_a_server
async def test_state_and_lists_leave_out_what_cannot_be_read(desk, service, redis, log, told):
    await desk.create("t")
    redis.hset(f"state:{{{desk.app}:ada}}", "state:u", "{")
    redis.hset(f"state:{{{desk.app}}}", "state:a", "{")
    redis.hset(f"session:{{{desk.app}:ada}}:s", "metadata", "{")
    assert (await desk.get("s")).state == {"n": 1}
    assert [(each.id, each.state) for each in await desk.list("ada")] == [
        ("s", {"n": 1}),
        ("t", {}),
    ]
    assert await service.get_user_state(app_name=desk.app, user_id="ada") == {}
    redis.hset(f"session:{{{desk.app}:ada}}:s", "seq", "mine")
    assert [each.id for each in await desk.list()] == ["t"]
    assert len(told) == 4


@on_a_server
async def test_a_session_that_cannot_be_read_is_never_none(desk, redis, log):
    session = await desk.get("s")
    redis.hset(f"session:{{{desk.app}:ada}}:s", "version", "mine")
    with pytest.raises(CorruptRecord):
        await desk.get("s")
    with pytest.raises(CorruptRecord):
        await desk.service.append_event(session, event("lost"))
    assert texts(session) == ["one", "two", "three"]
    assert redis.llen(log) == 3
