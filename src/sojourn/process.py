"""The store that all parts of a process share, opened at first use as the environment says."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from sojourn.client import Sojourn, open  # noqa: A004 - as in sojourn.open
from sojourn.engine.embedded import find_server
from sojourn.errors import ConfigurationError, SojournError
from sojourn.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("sojourn")

_LAST_SECONDS = 5.0
"""How long closing may take when the process ends."""


class _Place:
    """Where a store is kept."""

    def __init__(self, opener: Callable[[], Sojourn]) -> None:
        self._opener = opener
        self._lock = threading.Lock()
        self._store: Sojourn | None = None
        self._parents: list[Sojourn] = []

    def get(self) -> Sojourn:
        """The store, opened if there is none."""
        with self._lock:
            if self._store is None or self._store.closed:
                self._store = self._opener()
            return self._store

    def take(self) -> Sojourn | None:
        """The store if there is one; the next `get` opens another."""
        with self._lock:
            store, self._store = self._store, None
        return store

    def after_fork(self) -> None:
        """Leave the parent's connections alone. What is kept in memory was copied with it."""
        self._lock = threading.Lock()
        if self._store is not None and self._store.where != "memory://":
            self._parents.append(self._store)  # never collected here: that would close them
            self._store = None


def default() -> Sojourn:
    """The store of this process: the same object from wherever it is asked for.

    The first call opens it as `sojourn.Settings` say; nothing is sent yet. Where nothing in the
    environment names a server it is `embedded:.sojourn`, as for the command line. A process that
    was forked opens its own.

    Raises:
        ConfigurationError: a variable is wrong, or none names a server and there is no embedded
            one here.
        InvalidInput: the URL and the variables do not go together.
    """
    return _places[-1].get()


async def close_default() -> None:
    """Close the store of this process, if it was opened. The next `default()` opens another.

    What was not closed is closed when the process ends, for which it has a few seconds.
    """
    store = _places[-1].take()
    if store is not None:
        await store.close()


@contextmanager
def force_memory() -> Generator[Sojourn]:
    """For tests: inside, `default()` is a new `memory://` in every thread, whatever is set.

    Gives that store. Afterwards `default()` is what it was before.
    """
    place = _Place(lambda: open("memory://"))
    _places.append(place)
    try:
        yield place.get()
    finally:
        _places.remove(place)


def _open_as_set() -> Sojourn:
    settings = Settings()
    if not settings.said_by:
        try:
            find_server()
        except ConfigurationError as error:
            raise ConfigurationError(
                "Nothing in the environment names a server: set SOJOURN_URL, REDIS_URL or "
                f"REDIS_HOST; or SOJOURN_URL=memory:// for the memory of this process. {error}"
            ) from error
        log.info("SOJOURN_URL is not set: using %s in %s.", settings.url, Path.cwd())
    return open(settings.url, **settings.arguments)


_places = [_Place(_open_as_set)]
"""The last is the one that counts."""


class _InThisThread(ThreadPoolExecutor):
    """No thread can be started any more when the interpreter ends."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - raised where it is asked for
            future.set_exception(error)
        return future


def _close_at_exit() -> None:
    store = _places[-1].take()
    if store is None or store.closed:
        return
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_InThisThread())
    try:
        loop.run_until_complete(asyncio.wait_for(store.close(), _LAST_SECONDS))
    except (SojournError, TimeoutError) as error:
        log.warning("The store of this process was not closed in order: %s", type(error).__name__)
    finally:
        loop.close()


def _after_fork() -> None:
    for place in _places:
        place.after_fork()


atexit.register(_close_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
