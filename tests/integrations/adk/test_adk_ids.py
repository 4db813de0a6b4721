"""Hostile ids: each is one identity and no other, or is refused before anything is sent."""

from __future__ import annotations

import itertools

import pytest
from adk_kit import Desk, event, on_a_server, ours, texts
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.sessions.session import Session

from sojourn.errors import InvalidId, SojournError, TooLarge
from sojourn.integrations.adk import SessionService

HOSTILE = [
    ":", "::", "a:b", "{", "}", "{}", "{a}", "*", "a*", "?", "[a]", "%", "%3A", "%%", "/", "../x",
    "a/b", "\\", "\0", "a\0b", "a\nb", "a\r\nDEL x", "a b", "🙂", "é", "e\u0301", "ß", "SS", "ss",
    "#", "a#1", "state", "events", "a:events", "a:ops", "a:state", "apps", "'", '"', "$", "-", ".",
    "~", "+", "a+b", "user:x", "app:x", "None", "null", "0", "İ", "\u202e", "\ufeff", "x" * 128,
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_hostile_id_is_an_id_like_any_other(desk, hostile):
    session = await desk.create(hostile, user=hostile, state={"k": 1, "user:u": hostile})
    assert (session.id, session.user_id) == (hostile, hostile)
    await desk.say(session, "hello")
    found = await desk.get(hostile, user=hostile)
    assert (found.id, found.user_id, texts(found)) == (hostile, hostile, ["hello"])
    assert [(s.user_id, s.id) for s in await desk.list()] == [(hostile, hostile)]
    assert [s.id for s in await desk.list(hostile)] == [hostile]
    await desk.delete(hostile, user=hostile)
    assert await desk.get(hostile, user=hostile) is None


async def test_hostile_ids_are_all_different_sessions(desk):
    for number, hostile in enumerate(HOSTILE):
        session = await desk.create(hostile, state={"n": number})
        await desk.say(session, str(number))
    for number, hostile in enumerate(HOSTILE):
        found = await desk.get(hostile)
        assert (found.state, texts(found)) == ({"n": number}, [str(number)])
    assert {session.id for session in await desk.list("ada")} == set(HOSTILE)


async def test_hostile_ids_are_all_different_users(desk):
    for number, hostile in enumerate(HOSTILE):
        await desk.create("s", user=hostile, state={"user:n": number, "n": number})
    for number, hostile in enumerate(HOSTILE):
        assert await desk.state("s", user=hostile) == {"n": number, "user:n": number}
        assert [session.user_id for session in await desk.list(hostile)] == [hostile]
    assert len(await desk.list()) == len(HOSTILE)


async def test_hostile_names_are_all_different_apps(service, app):
    desks = [Desk(service, f"{app}{hostile}") for hostile in HOSTILE]
    for number, desk in enumerate(desks):
        await desk.create("s", state={"app:n": number})
    for number, desk in enumerate(desks):
        assert await desk.state("s") == {"app:n": number}
        assert len(await desk.list()) == 1


WORDS = ["a", "b", "a:b", "b:a", ":", "a:", ":a", "a}", "{a", "a%3Ab", "a:events", "events"]


async def test_ids_that_join_to_the_same_text_are_never_the_same_key(service, app):
    identities = [(f"{app}{a}", u, s) for a, u, s in itertools.product(WORDS[:6], WORDS, WORDS)]
    for name, user, session in identities:
        await service.create_session(
            app_name=name, user_id=user, session_id=session, state={"is": [name, user, session]}
        )
    for name, user, session in identities:
        found = await service.get_session(app_name=name, user_id=user, session_id=session)
        assert found.state == {"is": [name, user, session]}


@on_a_server
async def test_a_glob_as_a_name_deletes_and_lists_nothing_else(desk):
    await desk.create("s")
    await desk.create("t", user="bob")
    await desk.delete("*")
    await desk.delete("s", user="*")
    assert await desk.list("*") == []
    assert len(await desk.list()) == 2


@pytest.fixture
def sent(service):
    """The calls that the service sends to its server."""
    calls = []
    stop = service.store.on_call(calls.append)
    yield calls
    stop()


HUGE = "x" * 1_000_000
BAD = [
    (HUGE, "ada", "s"),
    ("app", HUGE, "s"),
    ("app", "ada", HUGE),
    ("", "ada", "s"),
    ("app\ud83d", "ada", "s"),
    ("app", "ada\ud83d", "s"),
    ("app", "ada", "s\ud83d"),
    ("app", None, "s"),
    (7, "ada", "s"),
]


@ours
@pytest.mark.parametrize(("name", "user", "session"), BAD, ids=[str(i) for i in range(len(BAD))])
async def test_an_impossible_id_is_of_no_session_and_nothing_is_sent(
    service, sent, name, user, session
):
    where = {"app_name": name, "user_id": user}
    with pytest.raises(InvalidId):
        await service.create_session(**where, session_id=session)
    assert await service.get_session(**where, session_id=session) is None
    await service.delete_session(**where, session_id=session)
    handle = Session.model_construct(app_name=name, user_id=user, id=session, state={}, events=[])
    with pytest.raises(SessionNotFoundError):
        await service.append_event(handle, event("hello"))
    assert sent == []


@pytest.mark.parametrize("session", ["x" * 600, "é" * 300])
async def test_a_long_id_is_of_no_session(desk, session):
    """ADK's server answers 404; in ADK's own service such a session could be."""
    assert await desk.get(session) is None
    await desk.delete(session)


@ours
@pytest.mark.parametrize("name", ["", HUGE, "app\ud83d"])
async def test_an_impossible_app_has_no_list_and_no_state(service, sent, name):
    assert (await service.list_sessions(app_name=name)).sessions == []
    assert (await service.list_sessions(app_name=name, user_id="ada")).sessions == []
    assert await service.get_user_state(app_name=name, user_id="ada") == {}
    assert sent == []


@ours
async def test_the_message_about_a_huge_id_does_not_repeat_it(service):
    with pytest.raises(InvalidId, match="1,000,000 bytes") as caught:
        await service.create_session(app_name="app", user_id="ada", session_id=HUGE)
    assert len(str(caught.value)) < 200


@ours
async def test_a_huge_event_id_or_state_key_spoils_nothing(desk):
    session = await desk.create("s")
    for fields in ({"id": HUGE}, {"state": {HUGE: 1}}):
        with pytest.raises(TooLarge):
            await desk.say(session, "one", **fields)
    found = await desk.get("s")
    assert (found.events, found.state) == ([], {})


@ours
async def test_an_impossible_event_is_refused_with_a_typed_error(desk):
    session = await desk.create("s")
    for fields in ({"id": "e\ud83d"}, {"author": "a\ud83d"}, {"time": float("nan")}):
        with pytest.raises(SojournError):
            await desk.say(session, "one", **fields)
    assert (session.events, (await desk.get("s")).events) == ([], [])


async def test_a_namespace_keeps_deployments_apart(shared_server, app):
    one = SessionService(shared_server.url, namespace="one")
    two = SessionService(shared_server.url, namespace="two")
    await Desk(one, app).create("s", state={"app:a": 1})
    assert await Desk(two, app).list() == []
    assert (await Desk(two, app).create("s")).state == {}
    await one.close()
    await two.close()
