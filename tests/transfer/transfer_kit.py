"""A store with something of everything, what it looks like to its users, and processes to kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sojourn import Event, SessionKey, Sojourn, UserKey
from sojourn.artifacts.model import ArtifactPlace
from sojourn.artifacts.operations.archive import ReadArchivedArtifact
from sojourn.sessions.operations.archive import ReadStoredState
from sojourn.transfer.lines import Line
from sojourn.transfer.sealing import seal, sealed, unseal

LONG = SessionKey.of("shop", "ada", "long")
EVENTS = 1300
"""Of the long session: several windows."""

_OWNERS = (UserKey.of("shop", "ada"), SessionKey.of("shop", "ada", "gone"))
_SCOPES = (("user", "ada"), ("agent", "bot"), ("knowledge", "cats"), ("sessions", "ada"))


def said(number: int, text: str = "hé\nllo") -> Event:
    return Event(author="user", payload={"text": text, "n": number, "big": 10**30, "list": []})


async def fill(store: Sojourn) -> None:
    """Sessions of each kind of lifetime, with all scopes of state; memories; artifacts; a value."""
    now = time.time()
    lives: list[dict[str, Any]] = [
        {},
        {"ttl": None},
        {"ttl": 500.0},
        {"until": now + 5000},
        {"ttl": None, "until": now + 6000},
    ]
    for user in ("ada", "bob", "", "ü:{}/%"):
        for number, life in enumerate(lives):
            state = {"a": [1, {}], "user:name": user, "app:n": {"x": []}, "": None}
            made = await store.sessions.create(
                "shop", user, f"s{number}", state=state, title="tïtle", metadata={"q": 1}, **life
            )
            events = [said(n) for n in range(number)]
            if events:
                await store.sessions.append(made.key, *events)
    await store.sessions.create("böok", "ada", "*", state={"app:k": 1}, labels={"flow": "f"})
    await store.sessions.create(*LONG)
    for start in range(0, EVENTS, 260):
        await store.sessions.append(LONG, *(said(n, "x" * 200) for n in range(start, start + 260)))
    await store.sessions.trim(LONG, keep=EVENTS - 7)
    await _remember(store)
    owner = UserKey.of("shop", "ada")
    await store.artifacts.save(owner, "f.txt", b"hello", metadata={"a": 1}, mime_type="text/plain")
    await store.artifacts.save(owner, "f.txt", bytes(range(256)) * 5000)
    await store.artifacts.save(SessionKey.of("shop", "ada", "gone"), "empty", b"")
    await store.cache.put("c", {"v": 1}, ttl=100, stale=50, tags=["t"], tenant="x")


async def _remember(store: Sojourn) -> None:
    for kind, name in _SCOPES:
        scope = getattr(store.memory, kind)(name, app="shop")
        await scope.put("one", {"v": [1]}, text="hello world", metadata={"m": 1})
        await scope.put("two", 3, ttl=None)
        await scope.put("gone", 3)
        await scope.delete("gone")
        await scope.put("one", {"v": ["blue"]})
    for number in range(70):
        await store.memory.user("", app="shop").put(f"k{number}", number, ttl=800)


async def picture(store: Sojourn, *, cache: bool = True) -> dict[str, Any]:
    """All of it as its users see it. Looking lets some of it live for longer."""
    found: dict[str, Any] = {}
    keys: list[SessionKey] = []
    for app in (await store.admin.apps()).names:
        found[f"state {app}"] = await _state(store, app)
        for user in (await store.admin.users(app)).names:
            found[f"state {app}/{user}"] = await _state(store, UserKey.of(app, user))
            page = await store.sessions.list(app, user)
            keys += (each.key for each in page.sessions)
    for key in keys:  # in their order; reading them lets the state live on
        found[f"session {key}"] = await session(store, key)
    found["order"] = sorted(keys, key=lambda key: key.owner)
    await _memories(store, found)
    await _artifacts(store, found)
    if cache:
        found["cached"] = await store.cache.get("c", tenant="x")
    return found


async def _memories(store: Sojourn, found: dict[str, Any]) -> None:
    for kind, name in (*_SCOPES, ("user", "")):
        page = await getattr(store.memory, kind)(name, app="shop").list(limit=1000)
        found[f"memory {kind} {name}"] = [
            (*_fields(entry, "expires"), _about(entry.expires)) for entry in page.entries
        ]


async def _artifacts(store: Sojourn, found: dict[str, Any]) -> None:
    for owner in _OWNERS:
        for name in await store.artifacts.names(owner):
            read = ReadArchivedArtifact(ArtifactPlace(owner, name))
            archived = await store.stores.artifacts.run(read)
            assert archived is not None
            versions = await store.artifacts.versions(owner, name)
            found[f"artifact {owner} {name}"] = (_about(archived.expires), versions)
    for owner in _OWNERS:
        for name in await store.artifacts.names(owner):
            for each in await store.artifacts.versions(owner, name):
                data = await store.artifacts.load(owner, name, version=each.version)
                found[f"data {owner} {name} {each.version}"] = data


async def session(store: Sojourn, key: SessionKey) -> Any:
    found = await store.sessions.get(key)
    if found is None:
        return None
    life = [found.ttl, _about(found.until), _about(found.expires)]
    return _fields(found, "incarnation", "expires", "until"), life


async def _state(store: Sojourn, of: Any) -> Any:
    found = await store.stores.sessions.run(ReadStoredState(of))
    values = {name: json.loads(value) for name, value in found.pairs.items()}
    return values, _about(found.expires)


class Near(float):
    """An instant as servers keep it, in milliseconds, and one of these to each side."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(self - other) < 0.003

    __hash__ = float.__hash__


def _about(instant: float | None) -> Near | None:
    return None if instant is None else Near(instant)


def _fields(value: Any, *but: str) -> list[Any]:
    return [getattr(value, name) for name in value.__struct_fields__ if name not in but]


def lines_of(path: Path) -> list[Line]:
    """The lines of an archive."""
    before, found = "", []
    for data in path.read_bytes().splitlines():
        line, before = unseal(data, before)
        found.append(line)
    return found


def rewrite(path: Path, lines: list[Any]) -> None:
    """An archive of other lines, with sums that are right."""
    before, out = "", b""
    for line in lines:
        data, before = seal(line, before)
        out += data + b"\n"
    path.write_bytes(out)


Bodies = list[dict[str, Any]]


def bodies_of(path: Path) -> Bodies:
    """The lines of an archive as JSON objects, without their sums."""
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    for each in found:
        del each["sum"]
    return found


def write_bodies(path: Path, bodies: Bodies) -> None:
    """An archive of these, with sums that are right: as another version may have written it."""
    before, out = "", b""
    for body in bodies:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        data, before = sealed(text[:-1], before)
        out += data + b"\n"
    path.write_bytes(out)


MORTAL = """
import asyncio, os, signal, sys
import sojourn
from sojourn import transfer

async def main(what, url, path, step, number):
    seen = 0
    def watch(progress):
        nonlocal seen
        seen += progress.step == step
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)
    async with sojourn.open(url) as store:
        await getattr(transfer, what)(store, path, watch=watch)

what, url, path, step, number = sys.argv[1:]
asyncio.run(main(what, url, path, step, int(number)))
"""


def run_mortal(what: str, url: str, path: Path, step: str, number: int) -> int:
    """An export or import in a process that is killed at a report of its progress, as kill -9."""
    command = [sys.executable, "-c", MORTAL, what, url, str(path), step, str(number)]
    return subprocess.run(command, env={**os.environ}, timeout=60, check=False).returncode
