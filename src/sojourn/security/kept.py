"""The other data of one user: memory, cached results, artifacts, messages, notices."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from sojourn.artifacts import Artifact, Artifacts, ArtifactVersion
from sojourn.cache import Cache
from sojourn.handles import stays_here
from sojourn.ids import SessionKey, UserKey, tenant_of
from sojourn.memory import KEEP, Draft, Entry, Hit, Keep, MemoryPage, MemoryScope
from sojourn.notices import Notice, Notices
from sojourn.security.gate import Gate
from sojourn.sessions import History, Message

T = TypeVar("T")


@stays_here("the store's URL and the Principal, and make it there")
class UserMemory:
    """A memory scope of one user. Methods are those of `MemoryScope`: same errors, same cost.

    Made by `store.as_user`: as its `memory` what is known of the user, as its `remembered` what is
    remembered of the user's sessions, as its `said` what was said in them.
    """

    def __init__(self, gate: Gate, scope: MemoryScope, name: str) -> None:
        self._gate = gate
        self._scope = scope
        self._name = name

    async def put(
        self,
        key: str,
        value: Any,
        *,
        text: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        ttl: float | Keep | None = KEEP,
        expected_version: int | None = None,
        operation_id: str | None = None,
    ) -> int:
        """Store a value, instead of what was there: see `Scope.put`."""
        return await self._to(
            "put",
            partial(
                self._scope.put,
                key,
                value,
                text=text,
                metadata=metadata,
                ttl=ttl,
                expected_version=expected_version,
                operation_id=operation_id,
            ),
        )

    async def put_many(
        self,
        items: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
        ttl: float | Keep | None = KEEP,
        operation_id: str | None = None,
    ) -> dict[str, int]:
        """Store values, all or none: see `Scope.put_many`."""
        put = partial(
            self._scope.put_many, items, metadata=metadata, ttl=ttl, operation_id=operation_id
        )
        return await self._to("put_many", put)

    async def add(
        self,
        drafts: Mapping[str, Draft],
        *,
        replace: bool = False,
        ttl: float | Keep | None = KEEP,
        operation_id: str | None = None,
    ) -> None:
        """Store what is not there yet: see `Scope.add`."""
        add = partial(self._scope.add, drafts, replace=replace, ttl=ttl, operation_id=operation_id)
        await self._to("add", add)

    async def get(self, key: str, default: Any = None) -> Any:
        """The value of an entry: see `Scope.get`."""
        return await self._to("get", partial(self._scope.get, key, default))

    async def entry(self, key: str) -> Entry | None:
        """An entry: see `Scope.entry`."""
        return await self._to("entry", partial(self._scope.entry, key))

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of several entries: see `Scope.get_many`."""
        return await self._to("get_many", partial(self._scope.get_many, keys))

    async def merge(
        self,
        key: str,
        changes: Mapping[str, Any],
        *,
        ttl: float | Keep | None = KEEP,
        operation_id: str | None = None,
    ) -> int:
        """Change some keys of an object: see `Scope.merge`."""
        merge = partial(self._scope.merge, key, changes, ttl=ttl, operation_id=operation_id)
        return await self._to("merge", merge)

    async def delete(
        self, key: str, *, expected_version: int | None = None, operation_id: str | None = None
    ) -> bool:
        """Delete an entry: see `Scope.delete`."""
        delete = partial(
            self._scope.delete, key, expected_version=expected_version, operation_id=operation_id
        )
        return await self._to("delete", delete)

    async def list(
        self,
        *,
        limit: int = 100,
        cursor: str | None = None,
        prefix: str = "",
        newest_first: bool = False,
    ) -> MemoryPage:
        """A page of the entries: see `Scope.list`."""
        page = partial(
            self._scope.list,
            limit=limit,
            cursor=cursor,
            prefix=prefix,
            newest_first=newest_first,
        )
        return await self._to("list", page)

    async def latest(self, *, limit: int = 10) -> MemoryPage:
        """The entries that changed last, newest first: see `Scope.latest`."""
        return await self._to("latest", partial(self._scope.latest, limit=limit))

    async def clear(self) -> None:
        """Delete all entries: see `Scope.clear`."""
        await self._to("clear", self._scope.clear)

    async def search(self, query: str, *, limit: int = 10) -> Sequence[Hit]:
        """The entries that fit a query best: see `Scope.search`."""
        return await self._to("search", partial(self._scope.search, query, limit=limit))

    async def _to(self, action: str, step: Callable[[], Awaitable[T]]) -> T:
        return await self._gate.to(f"{self._name}.{action}", step)


@stays_here("the store's URL and the Principal, and make it there")
class UserCache:
    """Results of expensive steps of one user. Methods are those of `Cache`, without a tenant."""

    def __init__(self, gate: Gate, cache: Cache) -> None:
        self._gate = gate
        self._cache = cache
        self._tenant = tenant_of(gate.principal.owner)

    async def get(self, name: str, default: Any = None, *, stale: bool = False) -> Any:
        """The value of an entry: see `Cache.get`."""
        get = partial(self._cache.get, name, default, tenant=self._tenant, stale=stale)
        return await self._gate.to("cache.get", get)

    async def put(
        self,
        name: str,
        value: Any,
        *,
        ttl: float = 3600.0,
        stale: float = 0.0,
        tags: Sequence[str] = (),
        operation_id: str | None = None,
    ) -> None:
        """Store a value: see `Cache.put`."""
        put = partial(
            self._cache.put,
            name,
            value,
            ttl=ttl,
            stale=stale,
            tags=tags,
            tenant=self._tenant,
            operation_id=operation_id,
        )
        await self._gate.to("cache.put", put)

    async def fetch(
        self,
        name: str,
        compute: Callable[[], Awaitable[Any]],
        *,
        ttl: float = 3600.0,
        stale: float = 0.0,
        none_ttl: float | None = None,
        tags: Sequence[str] = (),
        lease: float = 10.0,
    ) -> Any:
        """The value of an entry, computed when there is none: see `Cache.fetch`."""
        fetch = partial(
            self._cache.fetch,
            name,
            compute,
            ttl=ttl,
            stale=stale,
            none_ttl=none_ttl,
            tags=tags,
            tenant=self._tenant,
            lease=lease,
        )
        return await self._gate.to("cache.fetch", fetch)

    async def delete(self, name: str, *, operation_id: str | None = None) -> bool:
        """Delete an entry: see `Cache.delete`."""
        delete = partial(self._cache.delete, name, tenant=self._tenant, operation_id=operation_id)
        return await self._gate.to("cache.delete", delete)

    async def invalidate(self, tag: str) -> None:
        """Let all of the user's entries of a tag count as missing: see `Cache.invalidate`."""
        invalidate = partial(self._cache.invalidate, tag, tenant=self._tenant)
        await self._gate.to("cache.invalidate", invalidate)


@stays_here("the store's URL and the Principal, and make it there")
class UserArtifacts:
    """Files of one user. Methods are those of `Artifacts`.

    In place of an owner stands the id of a session of the user; without one it is about the user's
    own files. That a session is there is not asked, as artifacts outlive it.
    """

    def __init__(self, gate: Gate, artifacts: Artifacts) -> None:
        self._gate = gate
        self._artifacts = artifacts

    async def save(
        self,
        name: str,
        data: bytes | bytearray | memoryview,
        *,
        session: str | None = None,
        mime_type: str = "application/octet-stream",
        metadata: Mapping[str, Any] | None = None,
        operation_id: str | None = None,
    ) -> int:
        """Save a new version: see `Artifacts.save`."""

        async def save(owner: SessionKey | UserKey) -> int:
            return await self._artifacts.save(
                owner,
                name,
                data,
                mime_type=mime_type,
                metadata=metadata,
                operation_id=operation_id,
            )

        return await self._of("save", session, save)

    async def load(
        self, name: str, *, session: str | None = None, version: int | None = None
    ) -> Artifact | None:
        """A version with its data: see `Artifacts.load`."""
        return await self._of(
            "load", session, lambda owner: self._artifacts.load(owner, name, version=version)
        )

    async def find(
        self, name: str, *, session: str | None = None, version: int | None = None
    ) -> ArtifactVersion | None:
        """A version without its data: see `Artifacts.find`."""
        return await self._of(
            "find", session, lambda owner: self._artifacts.find(owner, name, version=version)
        )

    async def versions(
        self, name: str, *, session: str | None = None, newest_first: bool = False
    ) -> list[ArtifactVersion]:
        """All versions without their data: see `Artifacts.versions`."""
        return await self._of(
            "versions",
            session,
            lambda owner: self._artifacts.versions(owner, name, newest_first=newest_first),
        )

    async def names(self, *, session: str | None = None) -> list[str]:
        """The names of all artifacts: see `Artifacts.names`."""
        return await self._of("names", session, self._artifacts.names)

    async def delete(
        self, name: str, *, session: str | None = None, operation_id: str | None = None
    ) -> bool:
        """Delete all versions: see `Artifacts.delete`."""
        return await self._of(
            "delete",
            session,
            lambda owner: self._artifacts.delete(owner, name, operation_id=operation_id),
        )

    async def _of(
        self,
        action: str,
        session: str | None,
        step: Callable[[SessionKey | UserKey], Awaitable[T]],
    ) -> T:
        if session is None:
            owner = self._gate.principal.owner
            return await self._gate.to(f"artifacts.{action}", partial(step, owner))
        return await self._gate.on(f"artifacts.{action}", session, step, missing=lambda _: False)


@stays_here("the store's URL and the Principal, and make it there")
class UserHistory:
    """The messages of one session of a user. Methods are those of `History`."""

    def __init__(self, gate: Gate, session: str, history: History) -> None:
        self._gate = gate
        self._session = session
        self._history = history

    async def append(
        self,
        role: str,
        content: Any,
        metadata: Mapping[str, Any] | None = None,
        *,
        operation_id: str | None = None,
    ) -> None:
        """Add a message: see `History.append`."""

        async def append(key: SessionKey) -> None:
            self._gate.check_new(self._session)
            await self._gate.claimed(
                key, self._history.append(role, content, metadata, operation_id=operation_id)
            )

        await self._on("append", append)

    async def extend(
        self, messages: Sequence[Mapping[str, Any]], *, operation_id: str | None = None
    ) -> None:
        """Add messages, all or none: see `History.extend`."""

        async def extend(key: SessionKey) -> None:
            self._gate.check_new(self._session)
            await self._gate.claimed(key, self._history.extend(messages, operation_id=operation_id))

        await self._on("extend", extend)

    async def all(self) -> list[Message]:
        """All messages: see `History.all`."""
        return await self._on("all", lambda _: self._history.all())

    async def last(self, n: int) -> list[Message]:
        """The last n messages: see `History.last`."""
        return await self._on("last", lambda _: self._history.last(n))

    async def pop(self) -> Message | None:
        """Take away the last message: see `History.pop`."""
        return await self._on("pop", lambda _: self._history.pop())

    async def clear(self) -> None:
        """Take away all messages: see `History.clear`."""
        await self._on("clear", lambda _: self._history.clear())

    async def _on(self, action: str, step: Callable[[SessionKey], Awaitable[T]]) -> T:
        return await self._gate.on(
            f"history.{action}", self._session, step, missing=lambda _: False
        )


@stays_here("the store's URL and the Principal, and make it there")
class UserNotices:
    """What happens to one user's sessions. Methods are those of `Notices`."""

    def __init__(self, gate: Gate, notices: Notices) -> None:
        self._gate = gate
        self._notices = notices

    def subscribe(self, *, after: str | None = None) -> AsyncGenerator[Notice, None]:
        """The changes as they happen: see `Notices.subscribe`."""
        following = self._notices.subscribe(*self._gate.principal.owner, after=after)
        self._gate.began("notices.subscribe")
        return following

    async def read(
        self, *, after: str = "0", limit: int = 100, newest_first: bool = False
    ) -> list[Notice]:
        """The notices behind a cursor: see `Notices.read`."""
        owner = self._gate.principal.owner
        read = partial(
            self._notices.read, *owner, after=after, limit=limit, newest_first=newest_first
        )
        return await self._gate.to("notices.read", read)

    async def latest(self) -> str:
        """The cursor behind everything that has happened until now: see `Notices.latest`."""
        owner = self._gate.principal.owner
        return await self._gate.to("notices.latest", partial(self._notices.latest, *owner))
