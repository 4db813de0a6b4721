"""The layouts of programs that keep JSON of their own: sessions, memory, results."""

from __future__ import annotations

import json
import pickle
import time
from typing import Any

import pytest
from google.adk.events import Event
from google.adk.sessions import Session
from google.genai.types import Content, Part
from migration_kit import Origin, is_unchanged, moved

import sojourn
from sojourn.integrations.adk import SessionService
from sojourn.transfer.migration import Outcome, migrate, source_at

pytest_plugins = ["migration_servers"]

CREATED, UPDATED = "2025-11-18T10:00:00Z", "2025-11-18T10:05:00+00:00"
SECONDS = 1_763_460_000.0
"""The first of them."""

FLYWHEEL = {
    "id": "spiral",
    "backend": "flowise",
    "backend_session_id": "f-1",
    "status": "active",
    "current_flow_id": "csv2507",
    "context": {"topic": "structural tension", "queries": ["What?"]},
    "history": [
        {"timestamp": CREATED, "question": "What?", "response": "That.", "duration_ms": 12},
        {"role": "system", "content": "noted", "metadata": {"a": 1}},
        "odd",
    ],
    "metadata": {"team": "a"},
    "created_at": CREATED,
    "last_active": UPDATED,
}


async def get(store: sojourn.Sojourn, *key: str) -> sojourn.Session[Any]:
    found = await store.sessions.get(sojourn.SessionKey.of(*key))
    assert found is not None
    return found


# ── a universal session manager ────────────────────────────────────────────────────────────────


async def test_a_universal_session_comes_along(origin: Origin, store: sojourn.Sojourn) -> None:
    origin.put("agentic_flywheel:session:spiral", FLYWHEEL, ttl=604_800)
    before = origin.image()
    report = await moved(origin, store)
    assert report.layout == "agentic-flywheel"
    assert report.complete, report
    found = await get(store, "agentic_flywheel", "spiral", "spiral")
    assert (found.status, found.labels) == (
        "active",
        {"backend": "flowise", "flow": "csv2507"},
    )
    assert found.state == FLYWHEEL["context"]
    assert found.metadata == {"team": "a", "backend_session_id": "f-1"}
    assert (found.created, found.updated) == (SECONDS, SECONDS + 300)
    assert found.expires == pytest.approx(time.time() + 604_800, abs=2)
    said = await store.history(found.key).all()
    assert [(each.role, each.content, each.metadata) for each in said] == [
        ("user", "What?", {}),
        ("assistant", "That.", {"timestamp": CREATED, "duration_ms": 12}),
        ("system", "noted", {"a": 1}),
        ("unknown", "odd", {}),
    ]
    assert said[0].time == SECONDS
    assert is_unchanged(before, origin.image())
    assert (await moved(origin, store)).outcomes == {Outcome.SAME: 1}


async def test_what_changed_in_a_session_comes_along(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.put("agentic_flywheel:session:spiral", FLYWHEEL)
    await moved(origin, store, app="mine")
    later = {**FLYWHEEL, "status": "done", "last_active": "2025-11-18T11:00:00Z"}
    later["context"] = {"topic": "another", "queries": ["What?"], "new": None}
    later["history"] = [*FLYWHEEL["history"], {"role": "user", "content": "bye"}]
    origin.put("agentic_flywheel:session:spiral", later)
    report = await moved(origin, store, app="mine")
    assert report.outcomes == {Outcome.CAUGHT_UP: 1}
    assert report.complete, report
    found = await get(store, "mine", "spiral", "spiral")
    assert (found.status, found.state) == ("done", later["context"])
    assert (found.updated, found.length) == (SECONDS + 3600, 5)


async def test_what_was_taken_away_there_is_named(origin: Origin, store: sojourn.Sojourn) -> None:
    origin.put("agentic_flywheel:session:spiral", FLYWHEEL)
    await moved(origin, store)
    later = {**FLYWHEEL, "context": {"topic": "less"}, "last_active": "2025-11-18T11:00:00Z"}
    origin.put("agentic_flywheel:session:spiral", later)
    report = await moved(origin, store)
    assert report.outcomes == {Outcome.DIFFERS: 1}
    assert "queries" in report.notable[0].why


async def test_results_go_to_the_cache(origin: Origin, store: sojourn.Sojourn) -> None:
    origin.put("agentic_flywheel:execution:exec:1", {"result": "x", "metadata": {"ms": 1}}, 900)
    origin.put("agentic_flywheel:execution:exec2", b"\x80\x04]", 900)
    report = await moved(origin, store)
    assert report.outcomes == {Outcome.WRITTEN: 1, Outcome.REFUSED: 1}
    assert [(app.app, app.results) for app in report.apps] == [("", 1)]
    assert await store.cache.get("exec:1") == {"result": "x", "metadata": {"ms": 1}}
    await store.cache.put("exec:1", "newer")
    report = await moved(origin, store)
    assert report.outcomes == {Outcome.AHEAD: 1, Outcome.REFUSED: 1}
    assert await store.cache.get("exec:1") == "newer"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"context": []}, "its context is no object"),
        ({"history": {}}, "its history is no array"),
        ({"context": {"x": float("nan")}}, "Its context cannot be stored as JSON"),
        ({"metadata": {"x": "\ud800"}}, "Its metadata cannot be stored as JSON"),
    ],
)
async def test_what_cannot_be_kept_is_named(
    origin: Origin, store: sojourn.Sojourn, change: dict[str, Any], why: str
) -> None:
    origin.put("agentic_flywheel:session:bad", {**FLYWHEEL, **change})
    origin.put("agentic_flywheel:session:good", FLYWHEEL)
    report = await moved(origin, store)
    assert report.outcomes == {Outcome.WRITTEN: 1, Outcome.REFUSED: 1}
    (reason,) = report.refused
    assert reason.startswith(why)


# ── a session store with cross-session memory ──────────────────────────────────────────────────


def remembered(data: Any, at: str = CREATED, **names: Any) -> dict[str, Any]:
    return {"data": data, "timestamp": at, **names}


async def test_a_memory_comes_along(origin: Origin, store: sojourn.Sojourn) -> None:
    entry = remembered({"theme": "dark"}, user_id=42, context_key="ui:prefs")
    origin.put("vana:memory:user_context:42:ui:prefs", entry, 1000)
    entry = remembered(["x"], agent_id="a:1", memory_key="patterns")
    origin.put("vana:memory:agent:a:1:patterns", entry, 2000)
    entry = remembered("facts", category="general", knowledge_key="k", id="u-1")
    origin.put("vana:memory:knowledge:general:k", entry, None)
    for n, word in ((1, "start"), (2, "end")):
        at = f"2025-11-18T10:0{n}:00+00:00"
        key = f"vana:memory:history:user:42:{1000 + n}:s:1"
        origin.put(key, {"session_id": "s:1", "event_type": word, "timestamp": at}, 500 * n)
    origin.client.sadd("vana:memory:index:users", "42")
    before = origin.image()
    report = await moved(origin, store)
    assert report.complete, report
    assert report.outcomes == {Outcome.WRITTEN: 4}
    assert [(app.app, app.users, app.memories) for app in report.apps] == [("memory", 1, 4)]

    prefs = await store.memory.user("42").entry("ui:prefs")
    assert prefs is not None
    assert (prefs.value, prefs.metadata) == ({"theme": "dark"}, {"timestamp": CREATED})
    assert prefs.expires == pytest.approx(time.time() + 1000, abs=2)
    assert await store.memory.agent("a:1").get("patterns") == ["x"]
    fact = await store.memory.knowledge("general").entry("k")
    assert fact is not None
    assert (fact.value, fact.expires) == ("facts", None)
    past = await store.memory.sessions("42").entry("s:1")
    assert past is not None
    assert [event["event_type"] for event in past.value["events"]] == ["start", "end"]
    assert past.value["event_count"] == 2
    assert past.expires == pytest.approx(time.time() + 1000, abs=2)
    assert is_unchanged(before, origin.image())
    assert (await moved(origin, store)).outcomes == {Outcome.SAME: 4}


async def test_the_newer_entry_of_a_memory_stays(origin: Origin, store: sojourn.Sojourn) -> None:
    origin.put("vana:memory:user_context:42:p", remembered(1))
    await moved(origin, store)
    origin.put("vana:memory:user_context:42:p", remembered(2, UPDATED))
    assert (await moved(origin, store)).outcomes == {Outcome.CAUGHT_UP: 1}
    assert await store.memory.user("42").get("p") == 2
    await store.memory.user("42").put("p", 3)
    assert (await moved(origin, store)).outcomes == {Outcome.AHEAD: 1}
    assert await store.memory.user("42").get("p") == 3


class Trap:
    """Whoever unpickles it has lost."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was loaded",))


async def test_pickled_sessions_are_named_and_never_loaded(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        origin.put(f"vana:session:p{protocol}", pickle.dumps(Trap(), protocol))
    origin.put("vana:session:p0", pickle.dumps(Trap(), 0))
    session = {
        "id": "s",
        "user_id": 42,
        "title": "Research",
        "status": "active",
        "created_at": CREATED,
        "updated_at": UPDATED,
        "messages": [{"id": "m1", "role": "user", "content": "Hi", "timestamp": CREATED}],
        "final_report": "none",
    }
    origin.put("vana:session:s", session)
    report = await moved(origin, store)
    assert report.refused == {"`pickle` data: never loaded": 4, "not JSON": 1}
    assert report.outcomes == {Outcome.WRITTEN: 1, Outcome.REFUSED: 5}
    found = await get(store, "vana", "42", "s")
    assert (found.title, found.metadata) == ("Research", {"final_report": "none"})
    (said,) = await store.history(found.key).all()
    assert (said.id, said.content, said.time) == ("m1", "Hi", SECONDS)


# ── a session service for ADK in one JSON text ─────────────────────────────────────────────────


def blob(name: str, at: str, **state: Any) -> dict[str, Any]:
    """As the service writes it: its events have no content, its state has a copy of all scopes."""
    return {
        "app_name": "shop",
        "user_id": "ada",
        "session_id": name,
        "state": state,
        "created_at": "2025-11-18T10:00:00.000000",
        "updated_at": at,
        "events": [
            {
                "id": f"{name}-1",
                "timestamp": SECONDS + 1.5,
                "partial": None,
                "author": "user",
                "actions": {"state_delta": {"k": "v", "user:name": name}},
            }
        ],
    }


async def test_what_adks_own_model_wrote_under_such_a_key_comes_along(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    event = Event(author="user", timestamp=SECONDS, content=Content(parts=[Part(text="Hi")]))
    written = Session(
        id="dumped", app_name="shop", user_id="ada", events=[event], last_update_time=SECONDS + 5
    )
    origin.put("session:shop:ada:dumped", json.loads(written.model_dump_json()))
    report = await moved(origin, store)
    assert (report.layout, report.refused) == ("adk-json", {})
    found = await get(store, "shop", "ada", "dumped")
    assert found.updated == SECONDS + 5
    assert len(found.events) == 1


async def test_adks_sessions_in_json_come_along(origin: Origin, store: sojourn.Sojourn) -> None:
    old = blob("old", "2025-11-18T10:01:00", **{"k": "v", "user:name": "old", "user:only": 1})
    new = blob(
        "new", "2025-11-18T10:02:00", **{"k": "v", "user:name": "new", "app:a": [], "temp:t": 1}
    )
    origin.put("session:shop:ada:old", old, 86_400)
    origin.put("session:shop:ada:new", new, 86_400)
    origin.put("session:shop:eve:new", new)
    report = await moved(origin, store)
    assert report.layout == "adk-json"
    assert report.refused == {"its JSON names another session than its key": 1}
    session = await SessionService(store).get_session(
        app_name="shop", user_id="ada", session_id="new"
    )
    assert session is not None
    assert session.state == {"k": "v", "user:name": "new", "user:only": 1, "app:a": []}
    assert [(event.id, event.author) for event in session.events] == [("new-1", "user")]
    assert session.events[0].actions.state_delta == {"k": "v", "user:name": "new"}
    assert session.last_update_time == SECONDS + 120
    found = await get(store, "shop", "ada", "new")
    assert found.created == SECONDS
    again = await moved(origin, store)
    assert again.outcomes == {Outcome.SAME: 4, Outcome.REFUSED: 1}


# ── in memory ──────────────────────────────────────────────────────────────────────────────────


async def test_a_store_in_memory_comes_along(store: sojourn.Sojourn) -> None:
    async with sojourn.open("memory://") as old:
        session = await old.sessions.create(
            "shop", "ada", "s", state={"a": 1, "user:u": 2, "app:p": 3}, title="T", ttl=500
        )
        await old.history(session.key).extend(
            [{"role": "user", "content": n, "metadata": {"n": n}} for n in range(3)]
        )
        await old.memory.user("ada", app="shop").put("k", {"v": 1}, text="words", ttl=300)
        await old.memory.agent("x").put("k", 2, ttl=None)
        report = await migrate(old, store)
        assert report.complete, report
        assert (report.source, report.layout) == ("memory://", "sojourn")
        there, here = await old.sessions.get(session.key), await store.sessions.get(session.key)
        assert there is not None
        assert here is not None
        assert (here.state, here.events, here.title) == (there.state, there.events, "T")
        assert (here.ttl, here.created) == (500, there.created)
        assert here.updated == pytest.approx(there.updated, abs=1e-5)
        entry = await store.memory.user("ada", app="shop").entry("k")
        assert entry is not None
        assert (entry.value, entry.text) == ({"v": 1}, "words")
        assert entry.expires == pytest.approx(time.time() + 300, abs=2)
        assert await store.memory.agent("x").get("k") == 2
        assert set((await migrate(old, store)).outcomes) == {Outcome.SAME}
        with pytest.raises(sojourn.ConfigurationError, match="the same"):
            await migrate(old, old)
        with pytest.raises(sojourn.ConfigurationError, match="export it"):
            await migrate(store, old)


async def test_a_store_in_memory_may_be_the_target(origin: Origin) -> None:
    origin.put("agentic_flywheel:session:spiral", FLYWHEEL)
    async with sojourn.open("memory://") as store:
        report = await moved(origin, store)
        assert report.complete, report
        assert (await moved(origin, store)).outcomes == {Outcome.SAME: 1}


async def test_a_name_of_no_layout_is_refused(origin: Origin) -> None:
    with pytest.raises(sojourn.ConfigurationError, match="adk-json, history"):
        await source_at(origin.url, layout="nothing")
