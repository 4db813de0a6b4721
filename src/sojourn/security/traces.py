"""Search for the apps that hold data of a user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

from sojourn.cache.inmemory import InMemoryCache
from sojourn.cache.keys import CacheRoomKeys
from sojourn.calls.call import Call, only
from sojourn.calls.keys import Keys
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found, members
from sojourn.ids import UserKey, escape, tenant_of, unescape
from sojourn.memory.inmemory import InMemoryMemory
from sojourn.memory.keys import MemoryRoomKeys
from sojourn.memory.model import OF_USERS
from sojourn.sessions.keys import SessionRoomKeys


class _Twin(Protocol):
    def apps_of(self, user: str) -> set[str]: ...


class TwinTraces:
    """Looks through what is kept in this process."""

    def __init__(
        self, twins: Sequence[_Twin], memory: InMemoryMemory, cache: InMemoryCache
    ) -> None:
        self._twins = twins
        self._memory = memory
        self._cache = cache

    async def apps(self, user: str) -> set[str]:
        """Asks nobody."""
        apps = set[str]().union(*(each.apps_of(user) for each in self._twins))
        apps |= self._memory.apps_of(user, OF_USERS)
        return apps | {app for each in self._cache.tenants() if (app := _app_of(each, user))}


class RedisTraces:
    """Looks through the keys of a server, and into the indexes that name users."""

    def __init__(self, engine: Engine, keys: Keys) -> None:
        self._engine = engine
        self._keys = keys
        namespace = keys.start.rstrip(":")
        self._sessions = SessionRoomKeys(namespace)
        self._memory = MemoryRoomKeys(namespace)
        self._cache = CacheRoomKeys(namespace)

    async def apps(self, user: str) -> set[str]:
        """Four round trips for each 1,000 keys of the server."""
        apps: set[str] = set()
        indexes: list[tuple[str, str]] = []
        globs = (
            self._keys.named_by(user),
            self._cache.tenants_by(user),
            self._memory.memories_by(user),
        )
        for glob in globs:
            for key in await found(self._engine, glob):
                kind = self._keys.kind_of(key)
                match kind and kind.name, self._keys.tag_of(key):
                    case None, _:
                        continue
                    case (("cached" | "lease" | "tags" | "cacheops"), (tenant,)):
                        apps |= {app for app in (_app_of(tenant, user),) if app}
                    case "memories", (app, of) if of in OF_USERS and not key.endswith(":expiry"):
                        indexes.append((app, key))
                    case (("memory" | "memoryops" | "remembered"), (app, of, name)):
                        if name == user and of in OF_USERS:
                            apps.add(app)
                    case _, (app, name) if name == user:
                        apps.add(app)
                    case _:
                        pass
        indexes += [
            (app, self._sessions.users_of(UserKey.of(app, user))) for app in await self._all_apps()
        ]
        return apps | await self._naming(user, indexes) | await self._recent(user)

    async def _recent(self, user: str) -> set[str]:
        """The apps of whose sessions by last change some are the user's."""
        glob = f"{escape(user)}:*"
        return {
            self._keys.tag_of(key)[0]
            for key in await found(self._engine, self._sessions.recent_by(user))
            if self._keys.kind_of(key) and await members(self._engine, key, glob)
        }

    async def _all_apps(self) -> list[str]:
        key = self._sessions.apps()
        call: Call[Any] = Call(
            "sessions.index", (key,), only, commands=[("ZRANGE", key, 0, -1)], allow_wrong_type=True
        )
        names = await self._engine.run(call)
        if not isinstance(names, list):
            return []
        return [name.decode() for name in cast("list[bytes]", names)]

    async def _naming(self, user: str, indexes: Sequence[tuple[str, str]]) -> set[str]:
        """The apps of those indexes that name a user."""
        calls = [
            Call(
                "sessions.index",
                (key,),
                only,
                commands=[("ZSCORE", key, user)],
                allow_wrong_type=True,
            )
            for _, key in indexes
        ]
        scores = await self._engine.run_all(calls)
        return {
            app
            for (app, _), score in zip(indexes, scores, strict=True)
            if score is not None and not isinstance(score, Exception)
        }


def _app_of(tenant: str, user: str) -> str | None:
    """The app of which a tenant is this user's; None when it is not."""
    escaped, colon, _ = tenant.partition(":")
    try:
        app = unescape(escaped)
        of_user = bool(colon and app) and tenant_of(UserKey.of(app, user)) == tenant
    except ValueError:
        return None
    return app if of_user else None
