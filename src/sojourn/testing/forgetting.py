"""Contract of every store: revoking sessions and erasing users."""

# ruff: noqa: D102, PLR2004, S101 - cases are named by what they show, and assert

from __future__ import annotations

import asyncio
import secrets
import time

import pytest

from sojourn.client import Sojourn
from sojourn.errors import InvalidInput, SessionNotFound
from sojourn.ids import SessionKey, UserKey, tenant_of
from sojourn.security import Principal
from sojourn.sessions import Event, Session


async def fill(store: Sojourn, owner: UserKey, text: str = "secret") -> list[SessionKey]:
    """Two sessions of a user, and something in each room; the text is in all of it."""
    app, user = owner
    keys: list[SessionKey] = []
    for number in range(2):
        state = {"own": text, "user:theirs": text, "app:shared": number}
        made = await store.sessions.create(app, user, f"{text}-{number}", state=state, title=text)
        await store.sessions.append(made.key, Event(author="user", payload=text))
        await store.artifacts.save(made.key, f"{text}.txt", text.encode())
        keys.append(made.key)
    await store.artifacts.save(owner, text, text.encode())
    await store.memory.user(user, app=app).put(text, text)
    await store.memory.events(user, app=app).put(text, text)
    await store.memory.sessions(user, app=app).put(text, text)
    await store.memory.user(user, app=app).delete(f"{text}?")
    if "*" not in owner and user:  # else nobody, to a handle
        handle = store.guard().user(Principal.of(app, user))
        await handle.sessions.ensure(f"{text}-0")
        connection = secrets.token_hex(16)
        await handle.streams.open(connection)
        await handle.streams.add(connection, text, text)
    await store.cache.put(text, text, tenant=tenant_of(owner), tags=[text])
    await store.cache.invalidate(f"not {text}", tenant=tenant_of(owner))
    return keys


async def of_user(store: Sojourn, owner: UserKey) -> list[object]:
    """What the rooms know of a user."""
    app, user = owner
    memory = store.memory
    scopes = [kind(user, app=app) for kind in (memory.user, memory.events, memory.sessions)]
    return [
        *(each.key for each in (await store.sessions.list(app, user)).sessions),
        *await store.sessions.user_state(app, user),
        *[entry for scope in scopes for entry in (await scope.list()).entries],
        *[hit for scope in scopes for hit in await scope.search("secret")],
        *await store.admin.artifacts.owners(app, user),
        *await store.admin.cache.names(tenant=tenant_of(owner)),
        *await store.admin.quarantined(app, user),
    ]


@pytest.mark.anyio
class ForgettingContract:
    """Derive from it and give the fixture `store`."""

    @pytest.fixture
    def app(self) -> str:
        """An app of the test's own."""
        return f"app-{secrets.token_hex(6)}"

    # ── revoking ───────────────────────────────────────────────────────────────────────────────

    async def test_a_revoked_session_is_gone_with_its_artifacts(
        self, store: Sojourn, app: str
    ) -> None:
        owner = UserKey.of(app, "ada")
        gone, stays = await fill(store, owner)
        done = await store.admin.revoke(gone)
        assert (done.users, done.sessions, done.artifacts, done.cursor) == (1, 1, 1, None)
        assert await store.sessions.get(gone) is None
        with pytest.raises(SessionNotFound):
            await store.sessions.append(gone, Event(author="user", payload="x"))
        assert await store.artifacts.names(gone) == []
        assert await store.artifacts.names(stays)
        assert await store.artifacts.names(owner)
        again = await store.admin.revoke(gone)
        assert (again.sessions, again.artifacts) == (0, 0)
        assert (await store.sessions.create(*gone)).version == 1

    async def test_all_sessions_of_a_user_are_revoked(self, store: Sojourn, app: str) -> None:
        await fill(store, UserKey.of(app, "ada"))
        for _ in range(120):
            await store.sessions.create(app, "ada")
        other = await fill(store, UserKey.of(app, "ada2"))
        done = await store.admin.revoke_user(app, "ada")
        assert (done.users, done.sessions, done.artifacts) == (1, 122, 2)
        assert (await store.sessions.list(app, "ada")).sessions == []
        assert await store.sessions.user_state(app, "ada") == {"theirs": "secret"}
        assert await store.sessions.get(other[0]) is not None

    async def test_who_rotates_meanwhile_is_revoked_all_the_same(
        self, store: Sojourn, app: str
    ) -> None:
        keys = [(await store.sessions.create(app, "ada")).key for _ in range(30)]
        revoking = asyncio.create_task(store.admin.revoke_user(app, "ada"))
        await asyncio.gather(*map(store.sessions.rotate, keys), return_exceptions=True)
        done = await revoking
        assert (await store.sessions.list(app, "ada")).sessions == []
        assert done.sessions == len(keys)

    async def test_artifacts_follow_no_rotation_of_what_was_revoked_since(
        self, store: Sojourn, app: str
    ) -> None:
        owner = UserKey.of(app, "ada")
        key = (await store.sessions.create(*owner)).key
        await store.artifacts.save(key, "f", b"secret")
        await store.sessions.rotate(key, operation_id="op")
        await store.admin.revoke_user(*owner)
        await store.rotate(key, operation_id="op")  # what was cut off
        assert await store.admin.artifacts.owners(*owner) == []

    async def test_all_sessions_of_an_app_are_revoked_page_by_page(
        self, store: Sojourn, app: str
    ) -> None:
        for user in ("ada", "bob", ""):
            await fill(store, UserKey.of(app, user))
        other = await fill(store, UserKey.of(f"{app}2", "ada"))
        users = sessions = 0
        cursor: str | None = None
        while True:
            done = await store.admin.revoke_app(app, limit=1, cursor=cursor)
            users, sessions, cursor = users + done.users, sessions + done.sessions, done.cursor
            if cursor is None:
                break
        assert (users, sessions) == (3, 6)
        assert (await store.sessions.list(app)).sessions == []
        assert await store.sessions.get(other[0]) is not None

    # ── forgetting ─────────────────────────────────────────────────────────────────────────────

    async def test_a_user_is_forgotten_in_one_app(self, store: Sojourn, app: str) -> None:
        owner, other = UserKey.of(app, "ada"), UserKey.of(f"{app}2", "ada")
        for each in (owner, other):
            await fill(store, each)
            assert await of_user(store, each)
        receipt = await store.admin.forget("ada", app=app)
        assert await of_user(store, owner) == []
        assert "ada" not in (await store.admin.users(app)).names
        assert len(await of_user(store, other)) == 13
        erased = receipt.erased
        assert (erased["sessions"], erased["events"], erased["user_state"]) == (2, 2, 1)
        assert (erased["claims"], erased["connections"]) == (1, 1)
        assert (erased["memories"], erased["artifacts"], erased["cached"]) == (3, 3, 1)
        assert receipt.is_of("ada")
        assert not receipt.is_of("bob")
        assert receipt.time == pytest.approx(time.time(), abs=60)
        assert "'ada'" not in repr(receipt)  # hexadecimal digits may spell it
        assert "secret" not in repr(receipt)

    async def test_a_user_is_forgotten_in_all_apps(self, store: Sojourn, app: str) -> None:
        user = f"ada:{{}}*%-{app}"
        owners = [UserKey.of(app, user), UserKey.of(f"{app}:x", user)]
        for owner in owners:
            await fill(store, owner)
        await store.memory.events(user, app=f"{app}-memory").put("k", 1)
        await store.cache.put("k", 1, tenant=tenant_of(UserKey.of(f"{app}-cache", user)))
        await store.memory.agent(user, app=f"{app}-agent").put("k", 1)
        places = [app, f"{app}-cache", f"{app}-memory", f"{app}:x"]
        assert await store.admin.apps_of(user) == places
        assert (await store.admin.forget(user)).apps == 4
        assert await store.admin.apps_of(user) == []
        for owner in owners:
            assert await of_user(store, owner) == []
        assert await store.memory.agent(user, app=f"{app}-agent").get("k") == 1
        assert (await store.admin.forget(user)).erased == {}

    async def test_who_was_forgotten_begins_anew(self, store: Sojourn, app: str) -> None:
        owner = UserKey.of(app, "ada")
        keys = await fill(store, owner)
        await store.admin.forget("ada", app=app)
        assert await fill(store, owner, "again") != keys
        ensured = await store.sessions.ensure(*keys[0])
        assert (ensured.version, ensured.state.get("user:theirs")) == (1, "again")
        assert (await store.admin.users(app)).names == ["ada"]
        assert (await store.admin.memory.scopes("user", app=app)).names == ["ada"]

    async def test_the_state_of_the_app_stays(self, store: Sojourn, app: str) -> None:
        await fill(store, UserKey.of(app, "ada"))
        await store.admin.forget("ada", app=app)
        made: Session[Event] = await store.sessions.create(app, "bob")
        assert made.state == {"app:shared": 1}

    # ── lifetimes ──────────────────────────────────────────────────────────────────────────────

    async def test_what_would_have_ended_is_not_begun(self, store: Sojourn, app: str) -> None:
        past = time.time() - 60
        for begin in (store.sessions.create, store.sessions.ensure):
            with pytest.raises(InvalidInput, match="ended before it begins"):
                await begin(app, "ada", "s", until=past, state={"user:x": 1})
        assert await store.sessions.user_state(app, "ada") == {}
        assert await store.sessions.count(app, "ada") == 0
        made = await store.sessions.create(app, "ada", "s")
        assert (await store.sessions.ensure(app, "ada", "s", until=past)).key == made.key

    @pytest.mark.parametrize("first", ["ttl", "max_age", "until"])
    async def test_the_first_of_three_ends_counts(
        self, store: Sojourn, app: str, first: str
    ) -> None:
        spans = {name: 50.0 if name == first else 500.0 for name in ("ttl", "max_age", "until")}
        made = await store.sessions.create(
            app, "ada", ttl=spans["ttl"], max_age=spans["max_age"], until=made_at(spans["until"])
        )
        for _ in range(2):
            assert made.expires == pytest.approx(made_at(50), abs=10)
            await store.sessions.append(made.key, Event(author="user", payload="x"))
            again = await store.sessions.get(made.key)
            assert again is not None
            made = again


def made_at(seconds: float) -> float:
    """So many seconds from now."""
    return time.time() + seconds
