"""What a store has taken, an archive holds and every other store takes: any value under its cap."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sojourn
from extent import examples
from servers import Server
from sojourn import Event, InvalidInput, SessionKey, Sojourn, UserKey, transfer

ODD = [
    "\0",
    "\n",
    "\r\n",
    "\u2028",
    "\ufeff",
    "\x7f",
    "\U0010ffff",
    "\ufdfa",
    "{}",
    "*",
    "a:b",
    "%",
    " ",
]
TEXT = st.one_of(
    st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
)
ID = TEXT.filter(bool)
TIME = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, -1.0, 1e10, 1.7e12, 1.7e15, 1.7e18, 5e-324, 1.7e308, -1e300]),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([2**53 + 1, 2**64, -(2**63) - 1, 10**400]),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXT,
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
STATE = st.dictionaries(
    st.tuples(st.sampled_from(["", "user:", "app:", "app", "temp:"]), TEXT).map("".join), JSON
)
EVENTS = st.lists(
    st.builds(
        Event,
        author=TEXT,
        payload=JSON,
        kind=TEXT,
        time=TIME,
        state_delta=STATE,
        id=st.one_of(st.uuids().map(str), ID),
    ),
    max_size=3,
    unique_by=lambda event: event.id,
)
WORLD = st.fixed_dictionaries(
    {
        "ids": st.tuples(ID, TEXT, ID),
        "session": st.fixed_dictionaries(
            {
                "title": TEXT,
                "status": TEXT,
                "metadata": OBJECT,
                "state": STATE,
                "labels": st.dictionaries(
                    ID.map(lambda t: t[:16]), ID.map(lambda t: t[:60]), max_size=3
                ),
                "created": st.none() | TIME,
                "ttl": st.none() | st.sampled_from([500.0, 0.5e10, 1e10]),
            }
        ),
        "events": EVENTS,
        "memory": st.dictionaries(ID, st.tuples(JSON, OBJECT, st.none() | TEXT), max_size=3),
        "artifact": st.tuples(ID, st.binary(max_size=9), TEXT, OBJECT, st.none() | TIME),
        "cache": st.tuples(
            TEXT, ID, JSON, st.lists(ID.filter(lambda t: "\n" not in t), max_size=2)
        ),
    }
)


async def taken(store: Sojourn, world: dict[str, Any]) -> None:
    """Give a store what it takes; what it refuses, it says."""
    key = SessionKey.of(*world["ids"])
    try:
        await store.sessions.create(*key, **world["session"])
    except InvalidInput:
        return
    for event in world["events"]:
        await store.sessions.append(key, event)
    memory = store.memory.user(key.user, app=key.app)
    for name, (value, metadata, text) in world["memory"].items():
        await memory.put(name, value, metadata=metadata, text=text)
        await memory.search(name)
    name, data, mime, metadata, created = world["artifact"]
    for owner in (key, UserKey.of(*key[:2])):
        await store.artifacts.save(
            owner, name, data, mime_type=mime, metadata=metadata, created=created
        )
    tenant, entry, value, tags = world["cache"]
    await store.cache.put(entry, value, tags=tags, tenant=tenant)


async def seen(store: Sojourn, world: dict[str, Any]) -> list[str]:
    """All of it as its users see it, but for lifetimes; NaN or -0.0 would differ in this."""
    key = SessionKey.of(*world["ids"])
    found: list[Any] = [await store.sessions.list(*key[:2]), await store.admin.users(key.app)]
    session = await store.sessions.get(key)
    if session is not None:
        found[0] = [each.key for each in found[0].sessions]
        found.append(
            msgspec.structs.replace(
                session, incarnation="", expires=None, state=dict(sorted(session.state.items()))
            )
        )
    memory = store.memory.user(key.user, app=key.app)
    entries = (await memory.list(limit=1000)).entries
    found += [msgspec.structs.replace(each, expires=None) for each in entries]
    for owner in (key, UserKey.of(*key[:2])):
        names = await store.artifacts.names(owner)
        found += [(name, await store.artifacts.load(owner, name)) for name in names]
    tenant, entry, *_ = world["cache"]
    found.append(await store.cache.get(entry, tenant=tenant))
    return [repr(each) for each in found]


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(world=WORLD)
def test_whatever_a_store_took_goes_through_an_archive(
    world: dict[str, Any], shared_server: Server
) -> None:
    async def run() -> None:
        space = f"odd-{secrets.token_hex(4)}"
        with tempfile.TemporaryDirectory() as folder:
            first, second = Path(folder, "1"), Path(folder, "2")
            async with (
                sojourn.open("memory://") as memory,
                sojourn.open(shared_server.url, namespace=space) as server,
                sojourn.open("memory://") as last,
            ):
                await taken(memory, world)
                there = await seen(memory, world)
                await transfer.export(memory, first, cache=True)
                await transfer.import_(server, first)
                assert await seen(server, world) == there
                await transfer.export(server, second, cache=True)
                await transfer.import_(last, second)
                assert await seen(last, world) == there
                listed = await last.sessions.list(world["ids"][0], world["ids"][1])
                found = await memory.sessions.get(SessionKey.of(*world["ids"]))
                assert len(listed.sessions) == (found is not None)

    asyncio.run(run())
