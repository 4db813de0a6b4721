"""The calls of a store for callers without an event loop, made of the asynchronous ones."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from functools import partial, wraps
from typing import Any, Self, TypeVar

from sojourn import process
from sojourn.admin import Admin
from sojourn.cache import Cache
from sojourn.client import Sojourn
from sojourn.doctor import Doctor
from sojourn.errors import InvalidInput
from sojourn.notices import Notice, Notices
from sojourn.process_bound import stays_here
from sojourn.rooms import ROOMS
from sojourn.security import Guard, User, UserRoom
from sojourn.sync.portal import CallersThread, Portal

T = TypeVar("T")


@stays_here("its URL, and open the store there")
class Facade:
    """A room whose coroutine functions are plain ones.

    Args:
        portal: where they run.
        room: gives the room itself; after a fork it is another.
    """

    def __init__(self, portal: Portal, room: Callable[[], Any]) -> None:
        self._portal = portal
        self._room = room

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._plain(getattr(self._room(), name), name)

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._room()) if not name.startswith("_")]

    def _plain(self, found: Any, name: str) -> Any:
        if inspect.iscoroutinefunction(found):

            @wraps(found)
            def call(*args: Any, **kwargs: Any) -> Any:
                method = getattr(self._room(), name)
                return self._portal.run(partial(method, *args, **kwargs))

            return call
        if (facade := _facade_of(found)) is not None:
            return facade(self._portal, lambda: getattr(self._room(), name))
        if inspect.ismethod(found):

            @wraps(found)
            def make(*args: Any, **kwargs: Any) -> Any:
                kept: list[Any] = []

                def made() -> Any:  # once for each room: a guard counts
                    room = self._room()
                    if not kept or kept[0] is not room:
                        kept[:] = room, getattr(room, name)(*args, **kwargs)
                    return kept[1]

                result = made()
                facade = _facade_of(result)
                return result if facade is None else facade(self._portal, made)

            return make
        return found


class CacheFacade(Facade):
    """The cache: what it computes runs in the thread of the caller."""

    def fetch(self, name: str, compute: Callable[[], T], **options: Any) -> T:
        """As `Cache.fetch`, with a plain function."""
        thread = CallersThread()

        async def fetch() -> T:
            value: T = await self._room().fetch(name, partial(thread.run, compute), **options)
            return value

        return thread.serve(self._portal, fetch)

    def cached(self, **options: Any) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """As `Cache.cached`, for plain functions."""

        def decorate(function: Callable[..., T]) -> Callable[..., T]:
            if inspect.iscoroutinefunction(function):
                raise InvalidInput(
                    f"{function.__qualname__} is async: use the cache of `sojourn.open` for it."
                )

            @wraps(function)
            def cached(*args: Any, **kwargs: Any) -> T:
                thread = CallersThread()

                @wraps(function)
                async def run(*args: Any, **kwargs: Any) -> T:
                    return await thread.run(partial(function, *args, **kwargs))

                call: Callable[[], Coroutine[Any, Any, T]]
                call = partial(self._room().cached(**options)(run), *args, **kwargs)
                result: T = thread.serve(self._portal, call)
                return result

            return cached

        return decorate


class NoticesFacade(Facade):
    """The notices: each step of a subscription waits in the thread that takes it."""

    def subscribe(self, *owner: str, **options: Any) -> Iterator[Notice]:
        """As `Notices.subscribe`, as a plain iterator."""
        portal = self._portal
        notices: AsyncGenerator[Notice, None] = self._room().subscribe(*owner, **options)

        async def step() -> Notice:
            return await anext(notices)

        async def end() -> None:
            await notices.aclose()

        def steps() -> Iterator[Notice]:
            try:
                while True:
                    yield portal.run(step)
            except GeneratorExit:
                portal.run(end)
                raise

        return steps()


class Store(Facade):
    """An open store for callers without an event loop: `with sojourn.sync.open(url) as store`.

    It may be used from any thread, and in a process forked after it was opened.

    Args:
        room: gives the store.
        close: closes it.
    """

    def __init__(
        self, room: Callable[[], Sojourn], close: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        super().__init__(Portal(), room)
        self._close = close

    def close(self) -> None:
        """Close the store and end its thread."""
        if sys.is_finalizing():  # there is no thread any more, and connections end with the process
            return
        self._portal.run(self._close)
        self._portal.close()

    def __repr__(self) -> str:
        return f"<sojourn.sync.Store {repr(self._room()).removeprefix('<Sojourn ')}"

    def __del__(self) -> None:
        """Nobody closed it: say so, and end its thread and connections."""
        portal: Portal | None = self.__dict__.get("_portal")
        if portal is None or not portal.is_running:
            return
        warnings.warn(
            f"{self!r} was not closed: use `with sojourn.sync.open(...) as store`, or close().",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )
        if not sys.is_finalizing():  # then threads have ended already
            portal.abandon(self._close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DefaultStore(Store):
    """Whichever store `sojourn.default()` gives at the time of a call."""

    def __init__(self) -> None:
        super().__init__(process.default, process.close_default)

    def __repr__(self) -> str:
        return "<sojourn.sync.default()>"

    def __del__(self) -> None:
        """It is closed when the process ends."""


DEFAULT = DefaultStore()
"""The only one."""


_FACADES: dict[type, type[Facade]] = {
    Admin: Facade,
    Cache: CacheFacade,
    Doctor: Facade,
    Guard: Facade,
    Notices: NoticesFacade,
    User: Facade,
}
"""What wraps classes that are of no room, or wrapped in their own way."""


def _facade_of(found: object) -> type[Facade] | None:
    """What wraps an object; a handle is wrapped as its room is."""
    kind = found.of if isinstance(found, UserRoom) else type(found)
    if any(kind in room.wraps for room in ROOMS):
        return _FACADES.get(kind, Facade)
    return _FACADES.get(kind)
