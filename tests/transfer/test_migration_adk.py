"""What ADK's session services keep: afterwards ours reads it as theirs did."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.adk.events.event import Event as AdkEvent
from google.adk.events.event_actions import EventActions
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.session import Session as AdkSession
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.adk.version import __version__ as adk_version
from google.genai import types
from migration_kit import FIXTURES, Origin, is_unchanged, moved

import sojourn
from sojourn.integrations.adk import SessionService
from sojourn.integrations.adk.migration import InMemorySource
from sojourn.transfer.migration import Outcome, migrate

pytest_plugins = ["migration_servers"]

ADK = tuple(int(number) for number in adk_version.split(".")[:2])
by_its_adk = pytest.mark.skipif(
    ADK < (2, 13), reason="the data were written by google-adk 2.13, and older ones refuse them"
)

SERVICES = ["adk-redis", "adk-community", "adk-session-services"]


async def read(store: sojourn.Sojourn, theirs: Mapping[str, Any]) -> AdkSession:
    found = await SessionService(store).get_session(
        app_name=theirs["app_name"], user_id=theirs["user_id"], session_id=theirs["id"]
    )
    assert found is not None
    return found


async def check(store: sojourn.Sojourn, sessions: list[Mapping[str, Any]]) -> None:
    """Ours reads what theirs has read: but for `temp:` state, which is never stored."""
    for theirs in sessions:
        ours = await read(store, theirs)
        state = {key: value for key, value in theirs["state"].items() if key[:5] != "temp:"}
        assert ours.state == state
        events = [AdkEvent.model_validate_json(json.dumps(event)) for event in theirs["events"]]
        for event in events:
            for key in [key for key in event.actions.state_delta if key.startswith("temp:")]:
                del event.actions.state_delta[key]
        assert ours.events == events
        assert ours.last_update_time == pytest.approx(theirs["last_update_time"], abs=1e-5)


@by_its_adk
@pytest.mark.parametrize("layout", SERVICES)
async def test_our_service_reads_what_theirs_has_read(
    layout: str, origin: Origin, store: sojourn.Sojourn
) -> None:
    theirs = origin.load(f"{layout}.json")
    before = origin.image()
    report = await moved(origin, store)
    assert report.layout == layout
    assert report.complete, report
    assert report.refused == {}
    assert [(app.app, app.users, app.sessions, app.events, app.state) for app in report.apps] == [
        ("other app", 1, 1, 1, 1),
        ("shop", 2, 3, 5, 3),
    ]
    await check(store, theirs["sessions"])
    assert is_unchanged(before, origin.image())
    again = await moved(origin, store)
    assert set(again.outcomes) == {Outcome.SAME}
    assert again.complete


@pytest.mark.parametrize("layout", SERVICES)
async def test_lifetimes_come_along(layout: str, origin: Origin, store: sojourn.Sojourn) -> None:
    theirs = origin.load(f"{layout}.json")
    await moved(origin, store)
    kept = {key: value["ttl"] for key, value in theirs["keys"].items()}
    for session in theirs["sessions"]:
        ttl = next(value for key, value in kept.items() if f":{session['id']}" in key)
        found = await store.sessions.get(
            sojourn.SessionKey.of(session["app_name"], session["user_id"], session["id"])
        )
        assert found is not None
        assert found.ttl == (None if ttl is None else 86_400)
        end = None if ttl is None else pytest.approx(time.time() + ttl, abs=5)
        assert found.expires == end


@by_its_adk
async def test_our_service_goes_on_where_theirs_stopped(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    theirs = origin.load("adk-redis.json")["sessions"][0]
    await moved(origin, store)
    service = SessionService(store, on_stale="raise")
    session = await service.get_session(
        app_name=theirs["app_name"], user_id=theirs["user_id"], session_id=theirs["id"]
    )
    assert session is not None
    event = AdkEvent(author="user", actions=EventActions(state_delta={"user:name": "Grace"}))
    await service.append_event(session, event)
    report = await moved(origin, store)
    assert report.outcomes[Outcome.AHEAD] == 2  # the session, and its user's state
    assert report.complete
    assert (await read(store, theirs)).state["user:name"] == "Grace"


async def test_shared_state_that_changed_there_comes_along(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    theirs = origin.load("adk-redis.json")["sessions"][0]
    await moved(origin, store)
    origin.put("adk:session:user_state:shop:ada", {"name": "Grace", "new": 1})
    origin.put("adk:session:app_state:shop", {"theme": "light"})
    report = await moved(origin, store)
    assert report.outcomes[Outcome.CAUGHT_UP] == 2
    state = (await read(store, theirs)).state
    assert (state["user:name"], state["user:new"], state["app:theme"]) == ("Grace", 1, "light")


@by_its_adk
async def test_only_json_that_names_its_own_key_is_taken(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    theirs = origin.load("adk-redis.json")
    blob = theirs["keys"]["adk:session:shop:ada:long"]["value"]
    origin.client.set("adk:session:shop:eve:long", blob)
    origin.client.set("adk:session:shop:ada:odd", b"\x80\x04K\x01.")
    origin.client.set("adk:session:user_state:a:b:c", b"{}")
    origin.client.set(b"adk:session:\xff", b"{}")
    broken = json.loads(blob) | {"id": "broken"}
    broken["events"][1]["content"] = 7
    origin.put("adk:session:shop:ada:broken", broken)
    report = await moved(origin, store)
    named = {each.where: each.why for each in report.notable}
    assert set(named) == {
        "adk:session:shop:eve:long",
        "adk:session:shop:ada:odd",
        "adk:session:user_state:a:b:c",
        r"b'adk:session:\xff'",
        "adk:session:shop:ada:broken event 2",
    }
    assert named["adk:session:shop:ada:odd"] == "`pickle` data: never loaded"
    assert not report.complete
    await check(store, theirs["sessions"])
    rest = await read(store, {"app_name": "shop", "user_id": "ada", "id": "broken"})
    assert [event.id for event in rest.events] == ["e0", "e2", "e3"]


async def test_hashes_of_other_programs_are_passed_over(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.load("adk-community.json")
    origin.client.hset("user:profile:7", mapping={"name": "Ada"})
    origin.client.set("user:1000", "text")
    origin.client.hset("user:shop:gone", mapping={"k": '"kept"'})
    origin.client.hset("user:shop:ada", mapping={"broken": "{"})
    report = await moved(origin, store, "adk-community")
    wrong = [each.where for each in report.notable if "event" not in each.where]
    assert wrong == ["user:shop:ada broken"]
    assert await store.sessions.user_state("profile", "7") == {}
    assert await store.sessions.user_state("shop", "gone") == {"k": "kept"}
    assert await store.sessions.user_state("shop", "ada") == {"name": "Ada"}


# ── SQLite and other databases ─────────────────────────────────────────────────────────────────


async def sqlite_file(path: Path) -> SqliteSessionService:
    """A file with two sessions, one of them with two events of the same instant."""
    service = SqliteSessionService(str(path))
    session = await service.create_session(
        app_name="shop", user_id="ada", session_id="s", state={"a": 1, "user:u": 2, "app:p": 3}
    )
    for name in ("z", "y", "x"):
        part = types.Part(text=name, thought_signature=b"\xff\x00")
        await service.append_event(
            session,
            AdkEvent(
                id=name,
                author="user",
                timestamp=1e9,
                content=types.Content(role="user", parts=[part]),
                actions=EventActions(state_delta={"last": name, "user:u": name}),
            ),
        ) if name != "x" else None
    await service.create_session(app_name="shop", user_id="bob", session_id="empty")
    return service


async def test_an_sqlite_file_comes_along(tmp_path: Path, store: sojourn.Sojourn) -> None:
    service = await sqlite_file(tmp_path / "adk.db")
    before = (tmp_path / "adk.db").read_bytes()
    report = await moved(f"sqlite:///{tmp_path}/adk.db", store)
    assert report.complete, report
    assert report.layout == "adk-sql"
    assert (tmp_path / "adk.db").read_bytes() == before
    for user, name in (("ada", "s"), ("bob", "empty")):
        theirs = await service.get_session(app_name="shop", user_id=user, session_id=name)
        ours = await read(store, {"app_name": "shop", "user_id": user, "id": name})
        assert theirs is not None
        assert (ours.state, ours.events) == (theirs.state, theirs.events)
        assert ours.last_update_time == pytest.approx(theirs.last_update_time, abs=1e-5)
    found = await store.sessions.get(sojourn.SessionKey.of("shop", "ada", "s"))
    assert found is not None
    assert found.expires is None
    again = await moved(f"sqlite:///{tmp_path}/adk.db", store)
    assert set(again.outcomes) == {Outcome.SAME}


async def test_what_is_broken_in_a_file_is_named(tmp_path: Path, store: sojourn.Sojourn) -> None:
    await sqlite_file(tmp_path / "adk.db")
    with sqlite3.connect(tmp_path / "adk.db") as database:
        database.execute("UPDATE events SET event_data = '{' WHERE id = 'y'")
        database.execute("UPDATE sessions SET state = '[]' WHERE id = 'empty'")
    report = await moved(f"sqlite+aiosqlite:///{tmp_path}/adk.db", store)
    assert {each.where for each in report.notable} == {
        "sessions: shop, ada, s event y",
        "sessions: shop, bob, empty",
    }
    ours = await read(store, {"app_name": "shop", "user_id": "ada", "id": "s"})
    assert [event.id for event in ours.events] == ["z"]


def made(path: Path, script: list[str]) -> None:
    with sqlite3.connect(path) as database:
        database.executescript("\n".join(script))


async def test_a_file_of_the_database_service_comes_along(
    tmp_path: Path, store: sojourn.Sojourn
) -> None:
    theirs = json.loads((FIXTURES / "adk-database.json").read_text("utf-8"))
    made(tmp_path / "adk.db", theirs["script"])
    report = await moved(f"sqlite:///{tmp_path}/adk.db", store)
    assert report.complete, report
    await check(store, theirs["sessions"])


async def test_any_database_comes_along_by_sqlalchemy(
    tmp_path: Path, store: sojourn.Sojourn
) -> None:
    pytest.importorskip("sqlalchemy", reason="google-adk[db] is not installed")
    from sojourn.integrations.adk.migration import read_event
    from sojourn.transfer.migration.adk_sql import SqlAlchemyDatabase, SqlSource
    from sojourn.transfer.migration.layout import Terms

    theirs = json.loads((FIXTURES / "adk-database.json").read_text("utf-8"))
    made(tmp_path / "adk.db", theirs["script"])
    before = (tmp_path / "adk.db").read_bytes()
    database = SqlAlchemyDatabase(f"sqlite+aiosqlite:///{tmp_path}/adk.db")
    source = SqlSource(database, Terms(event=read_event))
    report = await migrate(source, store)
    await source.close()
    assert report.complete, report
    await check(store, theirs["sessions"])
    assert (tmp_path / "adk.db").read_bytes() == before


async def test_a_database_of_pickles_is_refused(tmp_path: Path, store: sojourn.Sojourn) -> None:
    made(
        tmp_path / "old.db",
        [
            "CREATE TABLE sessions (app_name, user_id, id, state, create_time, update_time);",
            "CREATE TABLE events (id, app_name, user_id, session_id, actions BLOB, timestamp);",
        ],
    )
    with pytest.raises(sojourn.ConfigurationError, match="`adk migrate session`"):
        await moved(f"sqlite:///{tmp_path}/old.db", store)
    made(tmp_path / "other.db", ["CREATE TABLE t (x);"])
    with pytest.raises(sojourn.ConfigurationError, match="no table `sessions`"):
        await moved(f"sqlite:///{tmp_path}/other.db", store)


async def test_without_adk_its_sessions_say_so(origin: Origin) -> None:
    from sojourn.transfer.migration import source_at

    origin.load("adk-redis.json")
    with pytest.raises(sojourn.ConfigurationError, match=r"'\.\[adk\]'"):
        await source_at(origin.url)


# ── in memory ──────────────────────────────────────────────────────────────────────────────────


async def test_the_in_memory_service_comes_along(store: sojourn.Sojourn) -> None:
    service = InMemorySessionService()
    session = await service.create_session(
        app_name="shop", user_id="ada", session_id="s", state={"a": {1, 2}, "user:u": 2, "app:p": 3}
    )
    event = AdkEvent(author="user", actions=EventActions(state_delta={"n": 1, "user:u": 5}))
    await service.append_event(session, event)
    report = await migrate(InMemorySource(service), store)
    assert report.complete, report
    ours = await read(store, {"app_name": "shop", "user_id": "ada", "id": "s"})
    assert ours.state == {"a": [1, 2], "n": 1, "user:u": 5, "app:p": 3}
    assert ours.events == [event]
    again = await migrate(InMemorySource(service), store)
    assert set(again.outcomes) == {Outcome.SAME}
