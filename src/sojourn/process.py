"""Stores that the parts of a process share: by URL, and the one that the environment names."""

from __future__ import annotations

import asyncio
import atexit
import logging
import math
import os
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sojourn.client import Sojourn, open  # noqa: A004 - as in sojourn.open
from sojourn.engine.embedded import find_server
from sojourn.errors import ConfigurationError, InvalidInput
from sojourn.process_bound import tell_after_fork

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("sojourn")

_LAST_SECONDS = 5.0
"""How long closing may take when the process ends."""


class ProcessStore:
    """A store of this process: open as long as it is held, and another after a fork.

    A child must not use its parent's connections. What is kept in memory was copied with it.

    Args:
        url: as `sojourn.open` takes it.
        options: further arguments of `sojourn.open`.

    Raises:
        ConfigurationError: the URL; nothing is sent yet.
        InvalidInput: one of the other arguments.

    Attributes:
        users: how many share it.
    """

    def __init__(self, url: Any, options: Mapping[str, Any]) -> None:
        self._args = url, dict(options)
        self._lock = threading.Lock()
        self._ended = False
        self._store: Sojourn | None = open(url, **options)
        self.users = 0
        tell_after_fork(self)

    @property
    def store(self) -> Sojourn:
        """The store, opened again if somebody else closed it."""
        store = self._store
        if store is not None and (self._ended or not store.closed):
            return store
        with self._lock:
            if self._store is None or (self._store.closed and not self._ended):
                url, options = self._args
                self._store = open(url, **options)
            return self._store

    @property
    def is_open(self) -> bool:
        """Whether this process has it open."""
        return self._store is not None and not self._store.closed

    async def close(self) -> None:
        """Close it for good: later calls raise `Closed`."""
        store, self._ended = self.store, True
        await store.close()

    def after_fork(self) -> None:
        """Leave the parent's connections alone, and its threads' locks."""
        self._lock = threading.Lock()
        if self._store is not None and self._store.where != "memory://" and not self._ended:
            _parents.append(self._store)
            self._store = None


class Opened:
    """A store that was lent; or one opened by URL, which this process shares.

    All who open the same URL with the same options have one store, in any thread and event loop.
    The last of them that closes it closes the store; what is left open ends with the process.

    Args:
        url_or_store: as `sojourn.open` takes it, or an open store.
        options: further arguments of `sojourn.open`.

    Raises:
        ConfigurationError: the URL; nothing is sent yet.
        InvalidInput: one of the other arguments.
    """

    def __init__(self, url_or_store: Any, options: Mapping[str, Any]) -> None:
        self._key: _Key | None = None
        self._lent = url_or_store if isinstance(url_or_store, Sojourn) else None
        if self._lent is not None:
            if options:
                raise InvalidInput("Options of the store go to sojourn.open().")
            return
        provider = id(options.get("credential_provider"))  # its repr may hide what differs
        key = url_or_store, provider, repr(sorted(options.items()))
        with _lock:
            if key not in _shared:
                _shared[key] = ProcessStore(url_or_store, options)
            self._held = _shared[key]
            self._held.users += 1
        self._key = key

    @property
    def is_lent(self) -> bool:
        """Whether the store is somebody else's."""
        return self._lent is not None

    @property
    def store(self) -> Sojourn:
        """The open store."""
        return self._lent or self._held.store

    async def close(self) -> None:
        """Close the store, unless it was lent or others use it. Idempotent."""
        with _lock:
            key, self._key = self._key, None
            if key is None:
                return
            self._held.users -= 1
            if self._held.users:
                return
            if _shared.get(key) is self._held:
                del _shared[key]
        await self._held.close()


class _Place:
    """Where `default()` finds its store."""

    def __init__(self, opener: Callable[[], ProcessStore | Opened]) -> None:
        self._opener = opener
        self._opened: ProcessStore | Opened | None = None

    def get(self) -> Sojourn:
        """The store, opened if there is none."""
        with _lock:
            if self._opened is None:
                self._opened = self._opener()
            return self._opened.store

    async def close(self) -> None:
        """Close it; the next `get` opens another."""
        with _lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()


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

    It stays open while others use it: adapters that were given the same URL. What was not closed is
    closed when the process ends, for which it has a few seconds.
    """
    await _places[-1].close()


@contextmanager
def force_memory() -> Generator[Sojourn]:
    """For tests: inside, `default()` is a new `memory://` in every thread, whatever is set.

    Gives that store. Afterwards `default()` is what it was before.
    """
    place = _Place(lambda: ProcessStore("memory://", {}))
    _places.append(place)
    try:
        yield place.get()
    finally:
        _places.remove(place)


def _open_as_set() -> Opened:
    from sojourn.settings import Settings  # noqa: PLC0415 - only here is pydantic needed

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
    return Opened(settings.url, settings.arguments)


_Key = tuple[Any, int, str]

_lock = threading.RLock()
_shared: dict[_Key, ProcessStore] = {}
_parents: list[Sojourn] = []
"""Of processes that this one was forked from: collecting them would close their connections."""
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


def close_all() -> None:
    """Close the shared stores that nobody has closed: buffered writes are tried once more.

    It is called when the process ends, outside event loops, and takes a few seconds at most.
    """
    with _lock:
        left = [held for held in _shared.values() if held.is_open]
        _shared.clear()
    if not left:
        return
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_InThisThread())
    loop.slow_callback_duration = math.inf  # in debug mode it would tell of that executor
    try:
        loop.run_until_complete(asyncio.wait_for(_close_all(left), _LAST_SECONDS))
    except TimeoutError as error:
        _warn(error)
    finally:
        loop.close()


async def _close_all(left: list[ProcessStore]) -> None:
    for error in await asyncio.gather(*(held.close() for held in left), return_exceptions=True):
        if error is not None:
            _warn(error)


def _warn(error: BaseException) -> None:
    log.warning("A store of this process was not closed in order: %s", type(error).__name__)


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent's may have it
    _lock = threading.RLock()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
