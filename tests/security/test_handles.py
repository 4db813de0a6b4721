"""A handle cannot name anyone but its user, in any room."""

import inspect
from collections.abc import AsyncIterator

import pytest
from security_kit import Callers, calls_of

import sojourn
from sojourn import Event, InvalidId, Refused, SessionNotFound, UserKey
from sojourn.access import for_operators
from sojourn.security import Principal, User, UserRoom
from sojourn.security.handles import handle_class

KEY = sojourn.SessionKey.of("shop", "bob", "s")
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
        store.guard().user(Principal("shop", user))
    with pytest.raises(InvalidId):
        store.user("shop", user)
    with pytest.raises(sojourn.InvalidInput):
        store.guard().user(user)
    with pytest.raises(TypeError):
        store.guard().user()
    with pytest.raises(TypeError):
        store.user("shop")


def test_no_method_of_a_handle_takes_a_user_an_app_or_a_key():
    handle = sojourn.open("memory://").user("shop", "ada")
    rooms = [handle, *rooms_of(handle)]
    assert len(rooms) == 11
    methods = [method for room in rooms for method in public(room) if inspect.ismethod(method)]
    assert len(methods) > 40
    for method in methods:
        named = inspect.signature(method).parameters
        assert not {"user", "app", "owner", "tenant", "agent", "category"} & set(named), method


def rooms_of(handle: User) -> list[UserRoom]:
    rooms = [each for each in vars(handle).values() if isinstance(each, UserRoom)]
    return [*rooms, handle.history("s")]


OPERATORS = {"Artifacts.move", "Notices.kept"}
"""Methods that take an identity and are not for users: a room that gains one names it here."""


def test_every_method_of_a_room_is_in_the_handle_with_the_same_parameters_but_for_identity():
    count, left_out = 0, set()
    for room in rooms_of(sojourn.open("memory://").user("shop", "ada")):
        methods = inspect.getmembers(room.of, inspect.isfunction)
        takes_none = not any(identity(method) for name, method in methods if name[0] != "_")
        for name, method in methods:
            awaited = inspect.iscoroutinefunction(method) or name == "subscribe"
            if name.startswith("_") or not awaited or not (takes_none or identity(method)):
                continue
            if not hasattr(room, name):
                left_out.add(f"{room.of.__name__}.{name}")
                continue
            there = list(inspect.signature(getattr(room, name)).parameters.values())
            here = list(inspect.signature(method).parameters.values())[1:]
            with_session = {"key", "owner"} & set(identity(method))
            assert [each for each in there if not (with_session and each.name == "session")] == [
                each for each in here if each.name not in identity(method)
            ]
            assert bool(with_session) == (
                "session" in {e.name for e in there} - {e.name for e in here}
            )
            count += 1
    assert left_out == OPERATORS
    assert count > 50


def identity(method: object) -> list[str]:
    keys = {"SessionKey", "UserKey", "SessionKey | UserKey"}
    given = inspect.signature(method).parameters.values()
    return [
        each.name
        for each in given
        if each.name in ("app", "user", "tenant") or each.annotation in keys
    ]


class Notes:
    """A room that another package has made."""

    async def add(self, key: sojourn.SessionKey, text: str) -> str:
        return f"{text} of {key.user}, {key.session}"

    async def all(self, app: str, user: str, *, limit: int = 1) -> tuple[object, ...]:
        return app, user, limit

    async def tag(self, app: str, user: str, tag: str, *, session: str | None = None) -> str:
        return f"{tag} of {user}, {session}"

    async def drop(self, key: sojourn.SessionKey) -> None:
        pass

    async def count(self) -> int:
        return 5


async def test_a_room_of_another_package_has_a_handle_the_same_way(callers):
    owner = UserKey.of("shop", "ada")
    notes = handle_class(Notes)("notes", Notes(), owner, None)
    assert await notes.add("s", text="tea") == "tea of ada, s"
    assert await notes.add(session="s", text="tea") == "tea of ada, s"
    assert await notes.all(limit=2) == ("shop", "ada", 2)
    assert not hasattr(notes, "count")
    for wrong in ({"user": "bob"}, {"app": "other"}, {"key": KEY}):
        with pytest.raises(TypeError):
            await notes.all(**wrong)
        with pytest.raises(TypeError):
            await notes.add("s", "tea", **wrong)


async def test_none_is_an_answer_of_a_call_that_has_no_other(callers):
    notes = handle_class(Notes)("notes", Notes(), callers.ada.owner, callers.ada._access)
    assert await notes.drop("s") is None
    assert callers.reasons() == ["notes.drop allowed:"]


async def test_the_id_of_a_session_is_no_other_argument(callers):
    notes = handle_class(Notes)("notes", Notes(), callers.ada.owner, callers.ada._access)
    assert await notes.tag("green", session="s") == "green of ada, s"
    pseudonym = callers.guard.log.pseudonym(callers.app, "s")
    assert [each.session for each in callers.decisions] == [pseudonym]
    late = type("Room", (), {"pin": pin})
    with pytest.raises(TypeError, match="first"):
        handle_class(late)


async def pin(self, app: str, user: str, name: str, session: str) -> None:
    pass


async def move(self, owner: UserKey, to: sojourn.SessionKey) -> None:
    pass


async def share(self, key: sojourn.SessionKey, *, to: UserKey) -> None:
    pass


async def late(self, name: str, user: str) -> None:
    pass


Whose = sojourn.SessionKey | UserKey


async def copy(self, key: sojourn.SessionKey, *, to: "list[Whose]") -> None:
    pass


@pytest.mark.parametrize("method", [move, share, late, copy])
def test_a_method_that_could_name_somebody_else_is_in_no_handle(method):
    with pytest.raises(TypeError, match="identity"):
        handle_class(type("Room", (), {"method": method}))
    kind = handle_class(type("Room", (), {"method": for_operators(method)}))
    assert not hasattr(kind, "method")


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


def writes(caller: User, session: str):
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
    bob = guard.user(Principal.of(callers.app, "bob", peer="10.0.0.7"))
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
