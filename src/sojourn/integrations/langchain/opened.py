"""The store that an object uses, and the thread for its calls without an event loop."""

from __future__ import annotations

import asyncio
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


class _Shared:
    """A store that was opened by URL, and how many objects use it."""

    def __init__(self, store: client.Sojourn) -> None:
        self.store = store
        self.users = 0
        self.pid = os.getpid()


_guard = threading.Lock()
_shared: dict[tuple[Any, str], _Shared] = {}
_portals: dict[int, Portal] = {}
"""By process: a thread does not survive a fork."""


class Opened:
    """A store that was lent; or one opened by URL, which all objects of that URL share.

    Applications make an object for each request, by URL, and never close it: a store for each of
    them would leave its connections behind.

    Args:
        url_or_store: as `sojourn.open` takes it, or an open store.
        options: further arguments of `sojourn.open`.

    Attributes:
        store: the open store.
    """

    def __init__(self, url_or_store: Where, options: Mapping[str, Any]) -> None:
        self._key: tuple[Any, str] | None = None
        self._lent = isinstance(url_or_store, client.Sojourn)
        if isinstance(url_or_store, client.Sojourn):
            if options:
                raise InvalidInput("Options of the store go to sojourn.open().")
            self.store = url_or_store
            return
        key = url_or_store, repr(sorted(options.items()))
        with _guard:
            if key not in _shared:
                _shared[key] = _Shared(client.open(url_or_store, **options))
            _shared[key].users += 1
            self.store = _shared[key].store
        self._key = key

    def run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function in the thread that all objects share; the caller waits."""
        return _portal().run(call)

    async def wait(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function: with a lent store here, else in that thread.

        The connections of a shared store then outlive the event loops of those who share it.
        """
        if self._lent:
            return await call()
        return await asyncio.wrap_future(_portal().start(call))

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
