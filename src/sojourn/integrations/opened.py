"""The store that an adapter uses: lent, or of a URL; and the thread for calls without a loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sojourn.client import Sojourn
from sojourn.process import Opened
from sojourn.sync.portal import Portal

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    Where: TypeAlias = str | Sojourn | redis.Redis | redis.asyncio.Redis

T = TypeVar("T")

_PORTAL = Portal()


class StoreUser:
    """Uses a store that was lent, or one of a URL that all of this process share.

    Applications make an object for each request, by URL, and never close it: a store for each of
    them would leave its connections behind.
    """

    _opened: Opened

    @property
    def store(self) -> Sojourn:
        """The open store."""
        return self._opened.store


class BlockingStoreUser(StoreUser):
    """Makes its calls with and without an event loop."""

    def close(self) -> None:
        """Close the store, unless it was lent or other objects use it."""
        self._run(self._opened.close)

    async def aclose(self) -> None:
        """Close the store, unless it was lent or other objects use it."""
        await self._wait(self._opened.close)

    def _run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function in the thread that all objects share; the caller waits."""
        return _PORTAL.run(call)

    async def _wait(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function: with a lent store here, else in that thread.

        The connections of a shared store then outlive the event loops of those who share it.
        """
        return await (call() if self._opened.is_lent else _PORTAL.wait(call))
