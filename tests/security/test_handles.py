"""A handle cannot name anyone but its user, in any room."""

import inspect
from collections.abc import AsyncIterator

import pytest
from security_kit import Callers, calls_of

import sojourn
from sojourn import Event, InvalidId, Refused, SessionNotFound, UserKey
from sojourn.security import Principal, UserStore

NOBODY = ["", None, "*", 7, b"ada", ["ada"], "a" * 600, "\ud800"]


@pytest.fixture
async def callers(url: str) -> AsyncIterator[Callers]:
    async with sojourn.open(url, notices=True) as store:
        yield Callers(store)


@pytest.mark.parametrize("user", NOBODY, ids=repr)
def test_nobody_is_never_everybody(user):
    with pytest.raises(InvalidId):
        Principal.of("shop", user)
    with pytest.raises(InvalidId):
        Principal.of(user, "ada")


@pytest.mark.parametrize("user", NOBODY, ids=repr)
def test_a_principal_that_was_not_checked_is_checked_by_the_handle(user):
    store = sojourn.open("memory://")
    with pytest.raises(InvalidId):
        store.as_user(Principal("shop", user))
    with pytest.raises(sojourn.InvalidInput):
        store.as_user(user)
    with pytest.raises(TypeError):
        store.as_user()


def test_no_method_of_a_handle_takes_a_user_an_app_or_a_key():
    handle = sojourn.open("memory://").as_user(Principal.of("shop", "ada"))
    rooms = [handle, handle.history("s"), *(each for each in public(handle) if is_ours(each))]
    assert len(rooms) == 9
    methods = [method for room in rooms for method in public(room) if inspect.ismethod(method)]
    assert len(methods) > 40
    for method in methods:
        named = inspect.signature(method).parameters
        assert not {"user", "app", "owner", "tenant", "agent", "category"} & set(named), method


def is_ours(thing: object) -> bool:
    return type(thing).__module__ in ("sojourn.security.own", "sojourn.security.kept")


def public(thing: object) -> list[object]:
    return [getattr(thing, name) for name in dir(thing) if not name.startswith("_")]


async def test_a_session_of_somebody_else_is_one_that_never_was(callers):
    made = await callers.ada.sessions.create(state={"secret": 1})
    theirs = made.key.session

    seen = []
    for session in (theirs, "never-was"):
        with calls_of(callers.store) as calls:
            assert await callers.bob.sessions.get(session) is None
            assert await callers.bob.sessions.touch(session) is False
            assert await callers.bob.sessions.delete(session) is False
            errors = [await refused(step) for step in writes(callers.bob, session)]
        seen.append((calls, errors))

    assert seen[0] == seen[1]
    assert len(set(seen[0][1])) == 1
    assert (await callers.bob.sessions.list()).sessions == []
    assert await callers.bob.sessions.count() == 0
    assert (await callers.ada.sessions.get(theirs)).state == {"secret": 1}


def writes(caller: UserStore, session: str):
    event = Event(author="user", payload="hello")
    return [
        lambda: caller.sessions.append(session, event),
        lambda: caller.sessions.update(session, title="mine"),
        lambda: caller.sessions.trim(session, keep=0),
        lambda: caller.remember(session),
    ]


async def refused(step) -> str:
    with pytest.raises(SessionNotFound) as caught:
        await step()
    return str(caught.value)


async def test_the_access_log_knows_foreign_from_unknown_from_gone(callers):
    made = await callers.ada.sessions.create()
    await callers.bob.sessions.get(made.key.session)
    await callers.bob.sessions.get("never-was")
    await callers.ada.sessions.delete(made.key.session)
    await callers.ada.sessions.get(made.key.session)

    assert callers.reasons() == [
        "sessions.create allowed:",
        "sessions.get not_found:foreign",
        "sessions.get not_found:unknown",
        "sessions.delete allowed:",
        "sessions.get not_found:gone",
    ]
    one = callers.decisions
    assert one[0].session == one[1].session == one[3].session != one[2].session
    assert one[0].who != one[1].who


async def test_the_limiter_tells_nobody_that_somebody_else_has_an_id_too(callers):
    failures = []

    class Counting:
        async def check(self, peer, app):
            pass

        async def failed(self, peer, app):
            failures.append(peer)

    guard = callers.store.guard(limiter=Counting())
    bob = guard.as_user(Principal.of(callers.app, "bob", peer="10.0.0.7"))
    await callers.ada.sessions.create("order-17")
    for name in ("order-17", "order-18"):
        await bob.sessions.create(name)
        await bob.sessions.delete(name)
        await bob.sessions.get(name)
    assert failures == []
    await callers.bob.sessions.get("order-17")
    await callers.ada.sessions.delete("order-17")
    await callers.ada.sessions.get("order-17")
    assert callers.decisions[-1].reason == "gone"


async def test_who_is_forgotten_takes_no_id_from_another(callers):
    for caller in (callers.ada, callers.bob):
        await caller.sessions.create("order-17")
    await callers.store.admin.forget("bob", app=callers.app)
    await callers.ada.sessions.delete("order-17")
    for caller in (callers.ada, callers.bob):
        await caller.sessions.get("order-17")
    assert [each.reason for each in callers.decisions[-2:]] == ["gone", "foreign"]


async def test_failed_attempts_are_counted_here_and_for_all_processes(callers):
    made = await callers.ada.sessions.create()
    for session in (made.key.session, made.key.session, "never-was"):
        await callers.bob.sessions.get(session)

    here, everywhere = callers.guard.stats(), await callers.guard.fleet(callers.app)
    assert (here.total_failed_attempts, here.flagged_sessions) == (3, 1)
    assert here.allowed == 1
    assert everywhere.total_failed_attempts == 3
    assert everywhere.flagged_sessions == 1


async def test_every_room_keeps_the_same_names_of_two_users_apart(callers):
    event = Event(author="user", payload="hers", state_delta={"user:color": "blue"})
    await callers.ada.sessions.ensure("same")
    await callers.ada.sessions.append("same", event)
    await callers.ada.memory.put("same", "hers")
    await callers.ada.cache.put("same", "hers")
    await callers.ada.artifacts.save("same", b"hers")
    await callers.ada.artifacts.save("same", b"hers", session="same")
    await callers.ada.history("talk").append("user", "hers")
    await callers.ada.remember("same", summary="hers")

    bob = callers.bob
    assert (await bob.sessions.ensure("same")).events == []
    assert await bob.sessions.user_state() == {}
    assert await bob.memory.get("same") is None
    assert (await bob.memory.list()).entries == []
    assert list(await bob.memory.search("hers")) == []
    assert list(await bob.remembered.search("hers")) == []
    assert await bob.cache.get("same") is None
    assert await bob.artifacts.load("same") is None
    assert await bob.artifacts.load("same", session="same") is None
    assert await bob.artifacts.names() == []
    assert await bob.history("talk").all() == []
    assert {notice.session for notice in await bob.notices.read()} == {"same"}

    await bob.memory.clear()
    await bob.cache.delete("same")
    await bob.artifacts.delete("same")
    await bob.history("talk").clear()
    await bob.sessions.delete("same")
    ada = callers.ada
    assert [each.payload for each in (await ada.sessions.get("same")).events] == ["hers"]
    assert await ada.memory.get("same") == "hers"
    assert await ada.cache.get("same") == "hers"
    assert (await ada.artifacts.load("same")).data == b"hers"
    assert [each.content for each in await ada.history("talk").all()] == ["hers"]


async def test_a_handle_reads_what_the_store_writes_for_its_user(callers):
    owner = UserKey.of(callers.app, "ada")
    made = await callers.store.sessions.create(*owner, "plain")
    await callers.store.artifacts.save(owner, "file", b"data")
    assert (await callers.ada.sessions.get("plain")).incarnation == made.incarnation
    assert (await callers.ada.artifacts.load("file")).data == b"data"


async def test_a_caller_reads_the_state_of_the_app_and_never_sets_it(callers):
    with pytest.raises(Refused):
        await callers.ada.sessions.create("app-state", state={"app:price": 0})
    await callers.ada.sessions.create("app-state")
    free = Event(author="user", payload="", state_delta={"app:price": 0})
    with pytest.raises(Refused):
        await callers.ada.sessions.append("app-state", free)
    with pytest.raises(Refused):
        await callers.ada.sessions.ensure("other", state={"app:price": 0})

    event = Event(author="shop", payload="", state_delta={"app:price": 5})
    key = sojourn.SessionKey.of(callers.app, "ada", "app-state")
    await callers.store.sessions.append(key, event)
    found = await callers.ada.sessions.get("app-state")
    assert found.state == {"app:price": 5}
    assert len(found.events) == 1
