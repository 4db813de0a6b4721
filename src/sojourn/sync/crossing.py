"""Calls from a caller's thread into the portal's, and their results back.

Under gevent's `monkey.patch_all()` threads are greenlets, and a real thread can run only one event
loop: the portal's would block every other. So the portal runs in a real thread then. A gevent lock
must not be awaited across real threads (a hub with nothing else to do reports that it would block
forever), so a result wakes its caller through a watcher of the caller's hub.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

Work = Callable[[], Coroutine[Any, Any, T]]


class Mailbox(Protocol):
    """What one thread tells another, in order."""

    def put(self, item: Any, /) -> None:
        """Leave something, from any thread."""
        ...

    def get(self) -> Any:
        """Wait for the next, in the thread that made the box."""
        ...


class Running(Protocol[R_co]):
    """A call that is under way in the portal."""

    def result(self) -> R_co:
        """Wait for its result."""
        ...

    def cancel(self) -> object:
        """End it."""
        ...


def mailbox() -> Mailbox:
    """A mailbox of the running thread, or greenlet."""
    return queue.SimpleQueue[Any]() if _patched() is None else _GreenBox()


def run_in(loop: asyncio.AbstractEventLoop, work: Work[T], ended: Callable[[], None]) -> Running[T]:
    """Run a coroutine function in the loop of another thread; `ended` is called there."""
    if _patched() is not None:
        return _GreenCall(loop, work, ended)
    future: Future[T] = asyncio.run_coroutine_threadsafe(work(), loop)
    future.add_done_callback(lambda _: ended())
    return future


def start_loop() -> tuple[asyncio.AbstractEventLoop, Callable[[], None]]:
    """A real thread with a running event loop, and what stops it and waits until it has ended."""
    made, heirs = mailbox(), list[Callable[[None], None]]()

    def serve() -> None:
        try:
            loop = asyncio.new_event_loop()  # here: a selector of gevent's belongs to its thread
        except BaseException as error:  # noqa: BLE001 - raised where the thread was started
            made.put(error)
            return
        loop.call_soon(made.put, loop)
        try:
            loop.run_forever()
        finally:
            loop.close()
            if _patched() is not None:
                import_module("gevent").get_hub().destroy()
            for told in heirs:
                told(None)

    monkey = _patched()
    thread = None
    if monkey is not None:
        monkey.get_original("_thread", "start_new_thread")(serve, ())
    else:
        thread = threading.Thread(target=serve, name="sojourn sync", daemon=True)
        thread.start()
    loop = made.get()
    if isinstance(loop, BaseException):
        raise loop

    def stop() -> None:
        ended = mailbox()
        heirs.append(ended.put)
        loop.call_soon_threadsafe(loop.stop)
        ended.get()
        if thread is not None:
            thread.join()

    return loop, stop


def _patched() -> Any:
    """gevent.monkey, if it has changed how threads wait."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is None or not any(map(monkey.is_module_patched, ("threading", "queue", "select"))):
        return None
    return monkey


class _GreenBox:
    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._news = import_module("gevent.event").Event()
        self._loop = import_module("gevent").get_hub().loop
        # Of this thread, not of this greenlet; and without an import when Python ends.
        self._number = import_module("gevent.monkey").get_original("_thread", "get_ident")
        self._thread = self._number()
        self._watcher = self._loop.async_()
        self._watcher.start(self._news.set)

    def put(self, item: Any, /) -> None:
        self._items.append(item)
        self._watcher.send()

    def get(self) -> Any:
        while not self._items:
            self._news.wait()
            self._news.clear()
        return self._items.popleft()

    def __del__(self) -> None:
        if self._number() == self._thread:
            self._watcher.close()
        else:  # an error's frames may end there; the loop of a hub belongs to its thread
            with suppress(ValueError):  # that hub has ended, and its watchers with it
                self._loop.run_callback_threadsafe(self._watcher.close)


class _GreenCall(Generic[T]):
    def __init__(
        self, loop: asyncio.AbstractEventLoop, work: Work[T], ended: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._ended = ended
        self._done = _GreenBox()
        self._task: asyncio.Task[T] | None = None
        loop.call_soon_threadsafe(self._begin, work)

    def result(self) -> T:
        task: asyncio.Task[T] = self._done.get()
        if task.cancelled():
            raise CancelledError
        return task.result()

    def cancel(self) -> object:
        return self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())

    def _begin(self, work: Work[T]) -> None:
        self._task = self._loop.create_task(work())
        self._task.add_done_callback(self._tell)

    def _tell(self, task: asyncio.Task[T]) -> None:
        self._ended()
        self._done.put(task)
