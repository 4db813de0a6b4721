"""The store that an object uses, and the thread for its calls without an event loop."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sojourn import client
from sojourn.errors import InvalidInput, SojournError
from sojourn.sync.portal import Portal

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    Where: TypeAlias = str | client.Sojourn | redis.Redis | redis.asyncio.Redis

T = TypeVar("T")


class _SharedStore:
    """A store that was opened by URL, and how many objects use it.

    After a fork the child has one of its own, as connections are the parent's; what is kept in
    memory was copied with it.
    """

    def __init__(self, url: Any, options: Mapping[str, Any]) -> None:
        self._args = url, dict(options)
        self._store = client.open(url, **options)
        self._parents: list[client.Sojourn] = []
        self.pid = os.getpid()
        self.users = 0

    @property
    def store(self) -> client.Sojourn:
        if self.pid != os.getpid():
            self.pid = os.getpid()
            if self._store.where != "memory://":
                self._parents.append(self._store)  # never collected here: that would close it
                self._store = client.open(self._args[0], **self._args[1])
        return self._store


_guard = threading.Lock()
_shared: dict[tuple[Any, str], _SharedStore] = {}
_portals: dict[int, Portal] = {}
"""By process: a thread does not survive a fork."""


class Opened:
    """A store that was lent; or one opened by URL, which all objects of that URL share.

    Applications make an object for each request, by URL, and never close it: a store for each of
    them would leave its connections behind.

    Args:
        url_or_store: as `sojourn.open` takes it, or an open store.
        options: further arguments of `sojourn.open`.
    """

    def __init__(self, url_or_store: Where, options: Mapping[str, Any]) -> None:
        self._used: client.Sojourn | _SharedStore
        self._key: tuple[Any, str] | None = None
        if isinstance(url_or_store, client.Sojourn):
            if options:
                raise InvalidInput("Options of the store go to sojourn.open().")
            self._used = url_or_store
            return
        key = url_or_store, repr(sorted(options.items()))
        with _guard:
            if key not in _shared:
                _shared[key] = _SharedStore(url_or_store, options)
            self._used = _shared[key]
            self._used.users += 1
        self._key = key

    @property
    def store(self) -> client.Sojourn:
        """The open store."""
        return self._used.store if isinstance(self._used, _SharedStore) else self._used

    def run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function in the thread that all objects share; the caller waits."""
        return _portal().run(call)

    async def wait(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function: with a lent store here, else in that thread.

        The connections of a shared store then outlive the event loops of those who share it.
        """
        if isinstance(self._used, client.Sojourn):
            return await call()
        return await _portal().wait(call)

    async def close(self) -> None:
        """Close the store, unless it was lent or others use it. Idempotent."""
        key, self._key = self._key, None
        if key is None:
            return
        with _guard:
            _shared[key].users -= 1
            last = not _shared[key].users and _shared.pop(key)
        if last:
            await last.store.close()


def _portal() -> Portal:
    return _portals.setdefault(os.getpid(), Portal())


@atexit.register
def _close_all() -> None:
    """What nobody has closed: writes that are still buffered are tried once more."""
    for shared in list(_shared.values()):
        if shared.pid == os.getpid():
            with suppress(SojournError, RuntimeError):  # no thread starts any more
                _portal().run(shared.store.close)
