"""LangChain's key-value store over the memory room."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from langchain_core.stores import BaseStore

from sojourn.errors import CorruptRecord
from sojourn.integrations.langchain.messages import faithful
from sojourn.integrations.opened import BlockingStoreUser
from sojourn.memory import KEEP, Keep, MemoryScope
from sojourn.process import Opened
from sojourn.process_bound import stays_here

if TYPE_CHECKING:
    from sojourn.integrations.opened import Where

V = TypeVar("V")
T = TypeVar("T")

_AT_ONCE = 1000
"""Entries that one call to the memory may name."""
_PAGE = 500

_BYTES: Final = "$bytes"
"""The one member of an object that stands for bytes: they are its text, in base64."""
_VALUE: Final = "$value"
"""The one member of an object that stands for its value, which looks like one of these two."""


@stays_here("its URL, and make one there")
class KeyValueStore(BlockingStoreUser, BaseStore[str, V], Generic[V]):
    """Values under keys, in Redis or Valkey: JSON, or bytes.

    It is the memory's knowledge of a name: `store.memory.knowledge(name)` reads and writes the same
    entries. Bytes are stored as `{"$bytes": "base64"}`. What JSON would change (tuples, keys that
    are no text) is refused.

    Every method has one for event loops, with an `a` before its name, and all may raise
    `sojourn.Unavailable`, `sojourn.AccessDenied` and their kin: an outage never looks like a
    missing value.

    Args:
        name: tells stores apart.
        url_or_store: a URL or redis-py client as `sojourn.open` takes them, or an open store, which
            `close()` then leaves open. Objects of this process with the same URL and options share
            one store.
        app: the application.
        ttl: seconds that a value lives after it was set; None for ever; the store's for knowledge
            (a week) if not given.
        options: further arguments of `sojourn.open`.

    Raises:
        sojourn.ConfigurationError: the URL; nothing is sent yet.
        sojourn.InvalidInput: one of the other arguments.
    """

    def __init__(
        self,
        name: str,
        url_or_store: Where,
        *,
        app: str = "memory",
        ttl: float | Keep | None = KEEP,
        **options: Any,
    ) -> None:
        self._opened = Opened(url_or_store, options)
        self._place = self.store.memory.knowledge(name, app=app).key
        self._ttl: float | Keep | None = ttl

    def mget(self, keys: Sequence[str]) -> list[V | None]:
        """As `amget`."""
        return self._run(partial(self._get, keys))

    async def amget(self, keys: Sequence[str]) -> list[V | None]:
        """The values of keys, in their order; None for one that has none.

        One round trip for each 1,000 keys.

        Raises:
            sojourn.CorruptRecord: one of them cannot be read; it can be deleted.
        """
        return await self._wait(partial(self._get, keys))

    def mset(self, key_value_pairs: Sequence[tuple[str, V]]) -> None:
        """As `amset`."""
        self._run(partial(self._set, key_value_pairs))

    async def amset(self, key_value_pairs: Sequence[tuple[str, V]]) -> None:
        """Set values; of a key that is there twice the last.

        One round trip for each 1,000 pairs, which are set all or none; the first of a store two.

        Raises:
            sojourn.InvalidInput: a key, or a value that would not come back as it is; nothing was
                set.
            sojourn.TooLarge: a value is over the cap of an event.
        """
        await self._wait(partial(self._set, key_value_pairs))

    def mdelete(self, keys: Sequence[str]) -> None:
        """As `amdelete`."""
        self._run(partial(self._delete, keys))

    async def amdelete(self, keys: Sequence[str]) -> None:
        """Delete values; that there is none is no error. One round trip for each 1,000 keys."""
        await self._wait(partial(self._delete, keys))

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """As `ayield_keys`."""
        cursor: str | None = None
        while True:
            keys, cursor = self._run(partial(self._page, prefix, cursor))
            yield from keys
            if cursor is None:
                return

    async def ayield_keys(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *, prefix: str | None = None
    ) -> AsyncIterator[str]:
        """The keys, in order. Two round trips for each 500; values travel with them.

        Args:
            prefix: how they begin; None for all.
        """
        cursor: str | None = None
        while True:
            keys, cursor = await self._wait(partial(self._page, prefix, cursor))
            for key in keys:
                yield key
            if cursor is None:
                return

    def _scope(self) -> MemoryScope:
        return self.store.memory.knowledge(self._place.name, app=self._place.app)

    async def _get(self, keys: Sequence[str]) -> list[V | None]:
        found: dict[str, Any] = {}
        for some in _some(list(dict.fromkeys(keys))):
            found |= await self._scope().get_many(some)
        values = {key: _value_of(key, kept) for key, kept in found.items()}
        return [values.get(key) for key in keys]

    async def _set(self, pairs: Sequence[tuple[str, V]]) -> None:
        kept = {key: _kept(key, value) for key, value in pairs}
        for some in _some(list(kept)):
            await self._scope().put_many({key: kept[key] for key in some}, ttl=self._ttl)

    async def _delete(self, keys: Sequence[str]) -> None:
        for some in _some(list(dict.fromkeys(keys))):
            results = await asyncio.gather(
                *(self._scope().delete(key) for key in some), return_exceptions=True
            )
            for result in results:  # all have ended
                if isinstance(result, BaseException):
                    raise result

    async def _page(self, prefix: str | None, cursor: str | None) -> tuple[list[str], str | None]:
        page = await self._scope().list(limit=_PAGE, cursor=cursor, prefix=prefix or "")
        return sorted(
            [entry.key for entry in page.entries] + page.corrupt + page.newer
        ), page.cursor


def _some(keys: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]


def _kept(key: str, value: Any) -> Any:
    """What is stored for a value."""
    if type(value) is bytes:
        return {_BYTES: base64.b64encode(value).decode()}
    plain = faithful(value, f"The value of {key!r}")
    return {_VALUE: plain} if _mark(plain) else plain


def _value_of(key: str, kept: Any) -> Any:
    mark = _mark(kept)
    if mark == _VALUE:
        return kept[_VALUE]
    if mark == _BYTES:
        try:
            return base64.b64decode(kept[_BYTES], validate=True)
        except (TypeError, ValueError) as error:
            raise CorruptRecord(
                f"The value of {key!r} is marked as bytes and is no base64: delete it.",
                key=key,
                raw=repr(kept[_BYTES]).encode(),
            ) from error
    return kept


def _mark(value: Any) -> str:
    """The one member of an object, if it is one of ours."""
    members = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return next(iter(members)) if len(members) == 1 and members.keys() <= {_BYTES, _VALUE} else ""
