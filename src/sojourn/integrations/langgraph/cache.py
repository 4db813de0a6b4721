"""LangGraph's cache of tasks over the cache room."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from langgraph.cache.base import BaseCache
from langgraph.checkpoint.serde.base import SerializerProtocol

from sojourn.errors import (
    AccessDenied,
    Closed,
    CorruptRecord,
    ServerFault,
    Unavailable,
    Undecodable,
)
from sojourn.ids import escape
from sojourn.integrations.langgraph.strict import strict_serializer
from sojourn.integrations.opened import BlockingStoreUser
from sojourn.options import DAY
from sojourn.process import Opened
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import gather_in_time

if TYPE_CHECKING:
    from sojourn.integrations.opened import Where

log = logging.getLogger("sojourn.langgraph")

_ALL = "langgraph"
"""The tag of all entries."""
_AWAY = (Unavailable, AccessDenied, ServerFault, Closed)
"""For these no task shall fail."""

FullKey = tuple[tuple[str, ...], str]


@stays_here("its URL, and make one there")
class TaskCache(BlockingStoreUser, BaseCache[Any]):
    """Results of tasks that have a `CachePolicy`, kept in Redis or Valkey.

    A cache never makes a task fail: without a server a look-up finds nothing and nothing is stored,
    and an entry that cannot be read counts as missing. The log warns of each. `clear` raises.

    Every method has one for event loops, with an `a` before its name.

    Args:
        url_or_store: a URL or redis-py client as `sojourn.open` takes them, or an open store, which
            `close()` then leaves open. Objects of this process with the same URL and options share
            one store.
        ttl: seconds that a result is kept when its policy does not say; 30 days at most.
        tenant: whose results: each tenant has its own.
        serde: what makes bytes of values; LangGraph's, in its strict form, if not given.
        options: further arguments of `sojourn.open`.

    Raises:
        sojourn.ConfigurationError: the URL; nothing is sent yet.
        sojourn.InvalidInput: one of the other arguments.
    """

    def __init__(
        self,
        url_or_store: Where,
        *,
        ttl: float = DAY,
        tenant: str = "",
        serde: SerializerProtocol | None = None,
        **options: Any,
    ) -> None:
        super().__init__(serde=serde or strict_serializer())
        self._opened = Opened(url_or_store, options)
        self._ttl = ttl
        self._tenant = tenant

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """As `aget`."""
        return self._run(partial(self._get, keys))

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """The values of those keys that have one. One round trip."""
        return await self._wait(partial(self._get, keys))

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """As `aset`."""
        self._run(partial(self._set, pairs))

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """Keep values, each for so many seconds. One round trip."""
        await self._wait(partial(self._set, pairs))

    def clear(self, namespaces: Sequence[tuple[str, ...]] | None = None) -> None:
        """As `aclear`."""
        self._run(partial(self._clear, namespaces))

    async def aclear(self, namespaces: Sequence[tuple[str, ...]] | None = None) -> None:
        """Forget what was stored until now: of some namespaces, or all. One round trip.

        Raises:
            sojourn.Unavailable: no server answers: nothing was forgotten.
        """
        await self._wait(partial(self._clear, namespaces))

    async def _get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        found = await gather_in_time(*(self._one(key) for key in keys))
        return {
            (tuple(key[0]), key[1]): self.serde.loads_typed(stored)
            for key, stored in zip(keys, found, strict=True)
            if stored is not None
        }

    async def _one(self, key: FullKey) -> tuple[str, bytes] | None:
        try:
            found = await self.store.cache.get(_name(key), tenant=self._tenant)
            return None if found is None else (str(found[0]), base64.b64decode(found[1]))
        except (*_AWAY, CorruptRecord, Undecodable, LookupError, TypeError, ValueError) as error:
            log.warning("A cached result of a task counts as missing: %s", error)
            return None

    async def _set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        await gather_in_time(*(self._keep(key, *pair) for key, pair in pairs.items()))

    async def _keep(self, key: FullKey, value: Any, ttl: int | None) -> None:
        kind, data = self.serde.dumps_typed(value)
        try:
            await self.store.cache.put(
                _name(key),
                [kind, base64.b64encode(data).decode()],
                ttl=self._ttl if ttl is None else ttl,
                tags=[_ALL, _tag(key[0])],
                tenant=self._tenant,
            )
        except _AWAY as error:
            log.warning("The result of a task was not cached: %s", error)

    async def _clear(self, namespaces: Sequence[tuple[str, ...]] | None) -> None:
        tags = [_ALL] if namespaces is None else [_tag(each) for each in namespaces]
        await gather_in_time(
            *(self.store.cache.invalidate(tag, tenant=self._tenant) for tag in tags)
        )


def _tag(namespace: tuple[str, ...]) -> str:
    return "/".join((_ALL, *map(escape, namespace)))


def _name(key: FullKey) -> str:
    return f"{_tag(key[0])}//{escape(key[1])}"
