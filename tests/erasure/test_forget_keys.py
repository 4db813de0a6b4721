"""After a user was forgotten nothing on the servers says anything of the user."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from erasure_kit import everything, mentions
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import sojourn
from extent import examples
from servers import Server
from sojourn import Event, SessionKey, UserKey
from sojourn.client import Sojourn
from sojourn.engine.scan import scan, unlink
from sojourn.ids import escape, tenant_of
from sojourn.memory.keys import MemoryRoomKeys
from sojourn.security import Principal
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.operations.restore import StageEvents
from sojourn.testing.forgetting import fill

USER = "ada lovelace:{*}%"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Sojourn]:
    if url == "memory://":
        pytest.skip("keys are a server's")
    async with sojourn.open(url, notices=True, namespace="erase") as store:
        yield store


async def test_no_key_and_no_value_mentions_who_was_forgotten(store: Sojourn) -> None:
    owner = UserKey.of("shop", USER)
    keys = await fill(store, owner, "s3cret")
    await store.sessions.delete(keys[0])
    await store.artifacts.save(SessionKey.of("shop", USER, "never"), "f", b"s3cret")
    await store.artifacts.delete(owner, "s3cret")
    await store.cache.delete("s3cret", tenant=tenant_of(owner))
    asking = asyncio.create_task(  # a lease on what is never computed
        store.cache.fetch("s3cret-2", asyncio.Event().wait, tenant=tenant_of(owner))
    )
    found = await everything(store)
    while not any(":lease:" in key for key in found):
        found = await everything(store)
    assert len(mentions(found, escape(USER))) > 30
    await store.admin.forget(USER)
    asking.cancel()
    left = await everything(store)
    assert mentions(left, escape(USER), escape(escape(USER)), USER, "s3cret") == []
    assert any(key.startswith("erase:erased:{") for key in left)


async def test_rows_that_wait_for_their_session_are_forgotten(store: Sojourn) -> None:
    key, alike = (SessionKey.of("shop", user, "s:1") for user in (USER, f"{USER}2"))
    rows = store.stores.sessions
    for each in (key, alike):
        assert await rows.run(StageEvents(each, "half:1", 0, 0, [b"s3cret", b"s3cret"])) == 2
    await store.admin.forget(USER)
    left = await everything(store)
    assert len(mentions(left, "s3cret")) == 1
    assert await rows.run(StageEvents(alike, "half:1", 0, 0, [])) == 2
    await store.admin.forget(alike.user)
    assert mentions(await everything(store), "s3cret") == []


async def test_a_rotated_session_is_forgotten_under_both_ids(store: Sojourn) -> None:
    owner = UserKey.of("shop", USER)
    keys = await fill(store, owner, "s3cret")
    rotated = await store.rotate(keys[0])
    handle = store.guard().user(Principal.of("shop", USER))
    again = await handle.sessions.rotate(rotated.key.session)
    await handle.sessions.rotate("s3cret-1")
    await store.admin.forget(USER)
    left = await everything(store)
    told = (escape(USER), escape(escape(USER)), USER, "s3cret", again.key.session)
    assert mentions(left, *told, rotated.key.session) == []


async def test_what_indexes_have_lost_is_forgotten_too(store: Sojourn) -> None:
    owner = UserKey.of("shop", "grace-hopper")
    await fill(store, owner, "s3cret")
    user = SessionRoomKeys("erase").user(owner)
    memory = MemoryRoomKeys("erase").memory("shop", "user", owner.user)
    for key in (user.by_update, user.by_expiry, memory.names, memory.expiry, memory.changes):
        await redis(store, "DEL", key)
    await redis(store, "SET", user.outbox, "of another type")
    receipt = await store.admin.forget(owner.user, app="shop")
    assert (receipt.erased["sessions"], receipt.erased["memories"]) == (2, 3)
    assert mentions(await everything(store), "grace-hopper", "s3cret") == []


async def test_who_shares_an_index_that_others_took_is_forgotten(store: Sojourn) -> None:
    """In an index of another type nobody is named: neither found by it nor taken out of it."""
    owner, keys = UserKey.of("shop", "grace-hopper"), SessionRoomKeys("erase")
    await fill(store, owner, "s3cret")
    memories = MemoryRoomKeys("erase").memories_of("shop", "user", owner.user)
    shared = [keys.apps(), keys.users_of(owner), *memories]
    for index in shared:
        await redis(store, "DEL", index)
        await redis(store, "SET", index, "of another type")
    try:
        assert await store.admin.apps_of(owner.user) == ["shop"]
        receipt = await store.admin.forget(owner.user)
    finally:
        for index in shared:
            await redis(store, "DEL", index)
    assert (receipt.erased["sessions"], receipt.erased["memories"]) == (2, 3)
    assert mentions(await everything(store), "grace-hopper", "s3cret") == []


async def test_what_waits_for_the_app_is_carried_out(store: Sojourn) -> None:
    made = await store.sessions.create("shop", "mary")
    outbox = SessionRoomKeys("erase").user(made.key).outbox
    entry = '{"stamp":99999999999999999,"delta":{"waits":"1"}}'
    await redis(store, "HSET", outbox, "operation", entry)
    receipt = await store.admin.forget("mary", app="shop")
    assert receipt.erased["app_deltas"] == 1
    assert (await store.sessions.create("shop", "bob")).state["app:waits"] == 1


async def test_who_comes_back_elsewhere_is_found_again(store: Sojourn, url: str) -> None:
    async with sojourn.open(url, namespace="erase") as other:
        await other.sessions.create("shop", "joan")
        await other.memory.user("joan", app="shop").put("k", 1)
        await store.admin.forget("joan", app="shop")
        await other.sessions.create("shop", "joan")
        await other.memory.user("joan", app="shop").put("k", 1)
        async with asyncio.timeout(10):
            while "joan" not in (await store.admin.users("shop")).names:
                await asyncio.sleep(0.01)
            while "joan" not in (await store.admin.memory.scopes("user", app="shop")).names:
                await asyncio.sleep(0.01)


async def test_who_comes_back_with_a_first_message_is_found_again(store: Sojourn, url: str) -> None:
    async with sojourn.open(url, namespace="erase") as other:
        await other.history(SessionKey.of("shop", "jill", "talk")).append("user", "hello")
        await store.admin.forget("jill", app="shop")
        await other.history(SessionKey.of("shop", "jill", "talk")).append("user", "hello again")
        async with asyncio.timeout(10):
            while "jill" not in (await store.admin.users("shop")).names:
                await asyncio.sleep(0.01)


async def redis(store: Sojourn, *words: str) -> None:
    from sojourn.calls.call import Call

    assert store._engine
    await store._engine.run(Call("test.write", (words[1],), list, commands=[words]))


ids = st.text(st.sampled_from("ab:%{}*?[]#\\^-é. "), max_size=6)


@given(ids, ids, st.sampled_from(["{0}", "{0}*", "{0}:", ":{0}", "a{0}", "{0}%", "{0}%3A"]))
@example("a", "a", "*")
@example("", "a:", "{0}")
@example("*", "b", "a{0}")
@settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_nobody_who_looks_alike_is_touched(
    shared_server: Server, user: str, other: str, form: str
) -> None:
    """Everything but what the user's own sessions left for others is as it was before."""
    asyncio.run(check(shared_server.url, user, {other, form.replace("{0}", user), escape(user)}))


async def check(url: str, user: str, names: set[str]) -> None:
    namespace = f"alike-{secrets.token_hex(6)}"
    async with sojourn.open(url, namespace=namespace, notices=True) as store:
        for app in ("shop", "shop:a", "*"):
            for name in names - {user}:
                made = await store.sessions.create(app, name, "s", state={"user:x": name})
                await store.sessions.append(made.key, Event(author="user", payload=name))
                await store.artifacts.save(made.key, "f", b"x")
                await store.memory.user(name, app=app).put("k", 1)
                await store.cache.put("k", 1, tenant=tenant_of(made.key.owner))
            await store.memory.agent(f"{user}?", app=app).put("k", 1)
            await store.memory.agent(user or "?", app=app).put("k", 1)
        await store.ping()  # behind what nobody waits for
        before = await everything(store)
        await fill(store, UserKey.of("*", user))
        await fill(store, UserKey.of("shop:a", user))
        assert await store.admin.apps_of(user) == ["*", "shop:a"]
        await store.admin.forget(user, app="*")
        assert await store.admin.apps_of(user) == ["shop:a"]
        await store.admin.forget(user)
        after = await everything(store)
        ours = (
            f"{namespace}:apps",
            f"{namespace}:erased:",
            f"{namespace}:state:{{%2A}}",
            f"{namespace}:state:{{shop%3Aa}}",
        )
        for found in (before, after):
            for key in [key for key in found if key.startswith(ours)]:
                del found[key]
        assert after == before
        async for names_of in scan(store._engine, f"{namespace}:*"):  # type: ignore[arg-type]
            await unlink(store._engine, names_of)  # type: ignore[arg-type]
