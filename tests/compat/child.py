"""A process that has one version of Sojourn and does what its parent says, line by line.

A request is a JSON object: `run`, an expression in which `await` is allowed, and `names`, values
for its names. `store` is what the last expression with `opened(…)` opened. The answer is the value
as JSON, or the class and the message of an error. Run as a script, with nothing of the tests on its
path, so that both versions get the same requests and neither knows the other.
"""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import redis.asyncio

import sojourn
from sojourn import Event, SessionKey, Sojourn, UserKey, transfer
from sojourn.errors import SojournError
from sojourn.memory import Draft

CONNECTION = SessionKey.of("shop", "ada", "connection")
"""Of the MCP server's streams: nothing lists them."""


def plain(value: Any) -> Any:  # noqa: PLR0911 - a table
    """A value as JSON; that of a class says which, as another version may know more of it."""
    if isinstance(value, msgspec.Struct):
        found = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return {"$type": "", **found}  # a version may call a class otherwise
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"$type": "", **plain(value._asdict())}
    if isinstance(value, Mapping):
        return {_name(key): plain(each) for key, each in value.items()}
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, BaseException):
        return {"$error": type(value).__name__}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(each) for each in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _name(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(plain(key))


def of_this_version(store: Any) -> Any:
    """The store; the baseline has some of its calls elsewhere."""
    if not hasattr(store, "admin"):
        rooms = store.sessions
        names = [
            "sweep",
            "revoke",
            "revoke_user",
            "revoke_app",
            "users",
            "apps",
            "recent",
            "quarantined",
            "release",
        ]
        calls = {name: getattr(rooms, name) for name in names}
        own = {name: getattr(store, name) for name in ("cache", "memory", "artifacts")}
        store.admin = SimpleNamespace(**calls, **own, forget=store.forget, apps_of=store.apps_of)
        store.adapters = rooms
        store.batch = SimpleNamespace(
            get=rooms.get_many, append=rooms.append_many, save=rooms.save_many
        )
    return store


async def picture(store: Sojourn) -> dict[str, Any]:
    """All that a store holds, as its users see it, but for instants that looking moves."""
    found: dict[str, Any] = {}
    for app in sorted((await store.admin.apps()).names):
        for user in sorted((await store.admin.users(app)).names):
            await _look_at(store, app, user, found)
    for kind in ("user", "agent", "knowledge", "sessions"):
        for scope in (await store.admin.memory.scopes(kind, app="shop")).names:  # type: ignore[arg-type]
            await _remember(store, kind, scope, found)
    for name in sorted(await store.admin.cache.names()):
        found[f"cached {name}"] = plain(await store.cache.get(name, stale=True))
    found["stream"] = plain(await streams(store).after(CONNECTION, 1))
    return found


def streams(store: Sojourn) -> Any:
    """The room of the MCP server, which has no public name."""
    return store._streams if hasattr(store, "_streams") else store.room("streams")


async def following(store: Sojourn, many: int) -> list[Any]:
    """So many notices of a user, as they come."""
    found: list[Any] = []
    async for notice in store.notices.subscribe("shop", "ada", after="0"):
        found.append(notice)
        if len(found) == many:
            break
    return found


async def _look_at(store: Sojourn, app: str, user: str, found: dict[str, Any]) -> None:
    page = await store.sessions.list(app, user)
    found[f"page {app}/{user}"] = [plain(page.corrupt), plain(page.cursor)]
    for listed in page.sessions:
        found[f"listed {listed.key}"] = _settled(plain(listed))
        found[f"session {listed.key}"] = _settled(plain(await store.sessions.get(listed.key)))
    for words in ({"team": "a"}, {"flow": "x"}, {"flow": "y", "new": "é"}):
        labelled = await store.sessions.list(app, user, labels=words)
        found[f"labelled {app}/{user} {words}"] = [str(each.key) for each in labelled.sessions]
    found[f"state {app}/{user}"] = plain(await store.sessions.user_state(app, user))
    found[f"count {app}/{user}"] = await store.sessions.count(app, user)
    found[f"quarantine {app}/{user}"] = plain(await store.admin.quarantined(app, user))
    found[f"notices {app}/{user}"] = plain(await store.notices.read(app, user))
    for owner in await store.admin.artifacts.owners(app, user):
        for name in await store.artifacts.names(owner):
            for each in await store.artifacts.versions(owner, name):
                data = await store.artifacts.load(owner, name, version=each.version)
                found[f"artifact {owner} {name} {each.version}"] = [plain(each), plain(data)]


async def _remember(store: Sojourn, kind: str, name: str, found: dict[str, Any]) -> None:
    scope = getattr(store.memory, kind)(name, app="shop")
    page = await scope.list(limit=1000)
    found[f"memory {kind} {name}"] = [plain(page.entries), plain(page.corrupt)]
    found[f"latest {kind} {name}"] = [each.key for each in (await scope.latest()).entries]
    found[f"search {kind} {name}"] = sorted(hit.entry.key for hit in await scope.search("blue"))


def _settled(value: Any) -> Any:
    """A session without the instant of its end, which every look may put off."""
    return value and {name: each for name, each in value.items() if name != "expires"}


class Child:
    """The store that is open, and the names that expressions may use."""

    def __init__(self) -> None:
        self._store: Sojourn | None = None
        self._url = ""
        self._reports: list[Any] = []
        self._names: dict[str, Any] = {
            "sojourn": sojourn,
            "transfer": transfer,
            "asyncio": asyncio,
            "SessionKey": SessionKey,
            "UserKey": UserKey,
            "Event": Event,
            "Draft": Draft,
            "CONNECTION": CONNECTION,
            "streams": streams,
            "picture": picture,
            "following": following,
            "reports": self._reports,
            "raw": self.raw,
            "once_there": self.once_there,
            "opened": self.opened,
        }

    async def opened(self, url: str, **options: Any) -> str:
        """Open a store in place of the one before; gives where this version was imported from."""
        await self.closed()
        self._url = url
        self._store = self._names["store"] = of_this_version(sojourn.open(url, **options))
        self._reports.clear()
        self._store.on_replay(self._reports.append)
        return str(sojourn.__file__)

    async def closed(self) -> None:
        """Close the store."""
        if self._store is not None:
            await self._store.close()

    async def raw(self, *words: str) -> Any:
        """The reply to a command that Sojourn knows nothing of."""
        async with redis.asyncio.Redis.from_url(self._url.partition("?")[0]) as client:
            return await client.execute_command(*words)

    async def once_there(self, key: str) -> str:
        """Wait until a key is set; gives its name."""
        while not await self.raw("EXISTS", key):
            await asyncio.sleep(0.01)
        return key

    async def run(self, expression: str, names: dict[str, Any]) -> Any:
        """The value of an expression."""
        code = compile(expression, "request", "eval", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        value = eval(code, {**self._names, **names})
        return await value if asyncio.iscoroutine(value) else value


async def main() -> None:
    child = Child()
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        answer: dict[str, Any]
        try:
            answer = {"value": plain(await child.run(request["run"], request["names"]))}
        except SojournError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        except Exception as error:  # noqa: BLE001 - the parent is told
            answer = {"crash": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer
    await child.closed()


if __name__ == "__main__":
    asyncio.run(main())
