"""Everything that a caller chooses has a cap, on every path, checked before anything is sent."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest

import sojourn
from servers import Server
from sojourn import Event, InvalidInput, SessionKey, Sojourn, TooLarge
from sojourn.caps import CAPS, CEILING
from sojourn.codecs import json, pieces
from sojourn.memory import words
from sojourn.transfer import export, import_

BIG = "ä" * 50_000
"""Over the cap of anything short, also in characters."""
LARGE = {"k": "x" * (CAPS.metadata + 1)}


@pytest.fixture(params=["memory", "server"])
async def store(request: pytest.FixtureRequest, shared_server: Server) -> AsyncIterator[Sojourn]:
    space = f"caps-{secrets.token_hex(4)}"
    url = "memory://" if request.param == "memory" else f"{shared_server.url}?namespace={space}"
    async with sojourn.open(url) as store:
        yield store


KEY = SessionKey.of("shop", "ada", "s")
Call = Callable[[Sojourn], Awaitable[Any]]


def event(**fields: Any) -> Event:
    return Event(**{"author": "a", "payload": 1, **fields})


CALLS: dict[str, Call] = {
    "create title": lambda s: s.sessions.create("shop", "ada", title=BIG),
    "create status": lambda s: s.sessions.create("shop", "ada", status=BIG),
    "create metadata": lambda s: s.sessions.create("shop", "ada", metadata=LARGE),
    "create state key": lambda s: s.sessions.create("shop", "ada", state={BIG: 1}),
    "ensure title": lambda s: s.sessions.ensure("shop", "ada", "s", title=BIG),
    "update title": lambda s: s.sessions.update(KEY, title=BIG),
    "update metadata": lambda s: s.sessions.update(KEY, metadata=LARGE),
    "save status": lambda s: s.sessions.save(KEY, status=BIG),
    "save metadata": lambda s: s.sessions.save(KEY, metadata=LARGE),
    "save state": lambda s: s.sessions.save(
        KEY, state={str(n): 1 for n in range(CAPS.state_keys + 1)}
    ),
    "author": lambda s: s.sessions.append(KEY, event(author=BIG)),
    "kind": lambda s: s.sessions.append(KEY, event(kind=BIG)),
    "event id": lambda s: s.sessions.append(KEY, event(id=BIG)),
    "delta key": lambda s: s.sessions.append(KEY, event(state_delta={BIG: 1})),
    "replay state key": lambda s: s.adapters.replay(KEY, state={BIG: 1}),
    "events": lambda s: s.sessions.append(KEY, *[event() for _ in range(CAPS.events + 1)]),
    "role": lambda s: s.history(KEY).append(BIG, "hello"),
    "status filter": lambda s: s.sessions.list("shop", "ada", status=BIG),
    "pattern": lambda s: s.sessions.list("shop", "ada", pattern=BIG),
    "cursor": lambda s: s.sessions.list("shop", "ada", cursor="A" * 100_000),
    "operation id": lambda s: s.sessions.create("shop", "ada", operation_id=BIG),
    "keys": lambda s: s.batch.get(
        [SessionKey.of("a", "u", str(n)) for n in range(CAPS.sessions + 1)]
    ),
    "memory key": lambda s: s.memory.user("ada").put(BIG, 1),
    "memory metadata": lambda s: s.memory.user("ada").put("k", 1, metadata=LARGE),
    "memory text": lambda s: s.memory.user("ada").put("k", 1, text="x" * 9_000_000),
    "cache name": lambda s: s.cache.put(BIG, 1),
    "cache tag": lambda s: s.cache.put("n", 1, tags=[BIG]),
    "cache tags": lambda s: s.cache.put("n", 1, tags=[str(n) for n in range(CAPS.tags + 1)]),
    "artifact name": lambda s: s.artifacts.save(KEY, BIG, b""),
    "artifact type": lambda s: s.artifacts.save(KEY, "n", b"", mime_type=BIG),
    "artifact metadata": lambda s: s.artifacts.save(KEY, "n", b"", metadata=LARGE),
}


@pytest.mark.parametrize("what", CALLS)
async def test_what_is_over_its_cap_is_refused_unsent(what: str) -> None:
    async with sojourn.open("redis://127.0.0.1:1") as nowhere:  # sent, it would be Unavailable
        with pytest.raises(InvalidInput) as caught:
            await CALLS[what](nowhere)
        assert len(str(caught.value)) < 1000


async def test_keys_of_a_state_are_counted_over_all_writes(store: Sojourn) -> None:
    most = CAPS.state_keys
    made = await store.sessions.create("shop", "ada")
    for prefix in ("", "user:", "app:"):
        full = {f"{prefix}k{n}": 1 for n in range(most)}
        await store.sessions.append(made.key, event(state_delta=full))
        await store.sessions.append(made.key, event(state_delta={f"{prefix}k1": 2}))
        with pytest.raises(TooLarge, match="keys") as caught:
            await store.sessions.append(made.key, event(state_delta={f"{prefix}new": 1}))
        assert (caught.value.size, caught.value.limit) == (most + 1, most)
    with pytest.raises(TooLarge, match="keys"):
        await store.sessions.create("shop", "ada", "other", state={"user:new": 1})
    found = await store.sessions.get(made.key)
    assert found is not None
    assert len(found.state) == 3 * most


encoded = msgspec.json.Encoder().encode
WIDE: Any = [[] for _ in range(CAPS.members // 2 + 1)]
"""Half a mebibyte of JSON and less, which takes a thousand times as long as a text to decode."""
DEEP: Any = []
for _ in range(CAPS.depth):
    DEEP = [DEEP]
LONG = 10**CAPS.digits
MANY = {f"k{n}": n for n in range(CAPS.members // 2 + 1)}
SLOW = {"wide": WIDE, "deep": DEEP, "long": LONG, "many": MANY, "raw": msgspec.Raw(encoded(WIDE))}
WAYS: dict[str, Callable[[Sojourn, Any], Awaitable[Any]]] = {
    "payload": lambda s, v: s.sessions.append(KEY, event(payload=v)),
    "begin": lambda s, v: s.adapters.begin(KEY, event(payload=v)),
    "replay": lambda s, v: s.adapters.replay(KEY, event(payload=v)),
    "delta": lambda s, v: s.sessions.append(KEY, event(state_delta={"k": v})),
    "replayed state": lambda s, v: s.adapters.replay(KEY, state={"app:k": v}),
    "create": lambda s, v: s.sessions.create("shop", "ada", state={"user:k": v}),
    "ensure": lambda s, v: s.sessions.ensure("shop", "ada", "s", state={"k": v}),
    "save": lambda s, v: s.sessions.save(KEY, state={"k": v}),
    "history": lambda s, v: s.history(KEY).append("user", "hello", metadata={"k": v}),
    "memory": lambda s, v: s.memory.user("ada").put("k", v),
    "memories": lambda s, v: s.memory.user("ada").put_many({"k": v}),
    "cache": lambda s, v: s.cache.put("n", v),
    "artifact": lambda s, v: s.artifacts.save(KEY, "n", b"", metadata={"k": v}),
}


@pytest.mark.parametrize(
    ("way", "value"),
    [*product(WAYS, ["wide", "long"]), *product(["payload"], ["deep", "many", "raw"])],
)
async def test_what_would_take_long_to_decode_is_refused_unsent(way: str, value: str) -> None:
    async with sojourn.open("redis://127.0.0.1:1") as nowhere:  # sent, it would be Unavailable
        with pytest.raises(TooLarge, match=r"members|levels|digits|metadata"):
            await WAYS[way](nowhere, SLOW[value])


async def test_members_of_an_event_are_counted_together() -> None:
    part = [0] * (CAPS.members // 2)
    async with sojourn.open("memory://") as store:
        await store.sessions.ensure("shop", "ada", "s")
        await store.sessions.append(KEY, event(payload=part, state_delta={"k": part[:-100]}))
        with pytest.raises(TooLarge, match="members"):
            await store.sessions.append(KEY, event(payload=part, state_delta={"k": part}))


async def test_what_strings_hold_is_no_member(store: Sojourn) -> None:
    table = "\n".join(['1,"[2]",\\"{3}:' + "7" * 2000] * 200) + ",[{:" * CAPS.members
    made = await store.sessions.create("shop", "ada", state={"k": table})
    await store.sessions.append(made.key, event(payload=[table, "\\", table]))
    await store.memory.user("ada").put("k", table)
    found = await store.sessions.get(made.key)
    assert found is not None
    assert found.events[0].payload == [table, "\\", table]


async def test_what_is_just_under_the_caps_is_taken(store: Sojourn) -> None:
    values = [DEEP[0][0], [0] * (CAPS.members - 100), 10 ** (CAPS.digits - 1), -0.5]
    made = await store.sessions.create("shop", "ada")
    for value in values:
        await store.sessions.append(made.key, event(payload=value))
    found = await store.sessions.get(made.key)
    assert found is not None
    assert [each.payload for each in found.events] == values


async def test_much_work_is_done_in_pieces(
    store: Sojourn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have their turn after each value, once a piece has taken its time."""
    monkeypatch.setattr(pieces, "_SLICE", -1.0)
    monkeypatch.setattr(json, "_LARGE", 0)  # else few bytes are decoded at once
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def turns_of(call: Awaitable[Any]) -> int:
        before = turns
        await call
        return turns - before

    state = {f"k{n}": n for n in range(100)}
    ticking = asyncio.create_task(tick())
    sessions, memory = store.sessions, store.memory.user("ada")
    assert await turns_of(sessions.create("shop", "ada", "s", state=state)) >= 100
    assert await turns_of(sessions.append(KEY, *[event() for _ in range(100)])) >= 100
    assert await turns_of(sessions.get(KEY)) >= 200
    assert await turns_of(sessions.list("shop", "ada")) >= 100
    assert await turns_of(memory.put_many(state)) >= 100
    assert await turns_of(memory.get_many(state)) >= 100
    assert await turns_of(memory.list()) >= 100
    assert await turns_of(memory.search("k1 k2 k3")) >= 3
    assert await turns_of(export(store, tmp_path / "archive")) >= 300
    ticking.cancel()


async def test_an_archive_of_a_wider_store_is_taken(tmp_path: Path, shared_server: Server) -> None:
    space = secrets.token_hex(4)
    async with sojourn.open("memory://") as wide:
        made = await wide.sessions.create(
            "shop", "ada", state={"user:k": "x" * 500, "k": "y" * 500}
        )
        await wide.sessions.append(made.key, event(payload="x" * 500, time=1e300))
        await wide.memory.user("ada").put("k", "x" * 500)
        await wide.artifacts.save(made.key, "a", b"x" * 500, created=-1e200)
        await export(wide, tmp_path / "archive")
    narrow = {"max_event_bytes": 100, "max_state_bytes": 100, "max_artifact_bytes": 100}
    for url in ("memory://", f"{shared_server.url}?namespace=narrow-{space}"):
        async with sojourn.open(url, **narrow) as store:
            await import_(store, tmp_path / "archive")
            found = await store.sessions.get(made.key)
            assert found is not None
            assert found.events[0].payload == "x" * 500
            assert found.updated == 1e300
            assert found.state == {"k": "y" * 500, "user:k": "x" * 500}


async def test_text_that_grows_when_it_is_normalised_holds_nobody_up(store: Sojourn) -> None:
    """One character becomes eighteen: what is behind the cap is cut off, and done in a thread."""
    ada = store.memory.user("ada")
    await ada.put("k", 1, text="tea " + "\ufdfa" * 30_000)
    assert len(words.stored_words("\ufdfa" * words.LONGEST)) < 3 * words.LONGEST
    assert sum(map(len, words.asked_words("\ufdfa " * 100_000, most=10**9))) < 4 * CAPS.query
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    (hit,) = await ada.search("tea " + "\ufdfa" * 100_000)
    ticking.cancel()
    assert hit.entry.key == "k"
    assert turns > 20


@pytest.mark.parametrize("option", ["max_event_bytes", "max_state_bytes", "max_artifact_bytes"])
def test_no_option_exceeds_what_an_import_takes(option: str) -> None:
    most = getattr(CEILING, option.removeprefix("max_").removesuffix("_bytes"))
    with pytest.raises(InvalidInput, match=option):
        sojourn.open("memory://", **{option: most + 1})


def test_the_guide_has_every_cap() -> None:
    guide = (Path(__file__).parents[1] / "docs/guides/settings.md").read_text()
    for name, most in {
        **CAPS._asdict(),
        **{f"max_{k}_bytes": v for k, v in CEILING._asdict().items()},
    }.items():
        assert f"| `{name}` | {most:,} |" in guide
