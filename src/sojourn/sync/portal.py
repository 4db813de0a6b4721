"""A thread with an event loop, for callers that have none."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from sojourn.errors import Closed, InvalidInput
from sojourn.process_bound import tell_after_fork
from sojourn.sync.crossing import Running, mailbox, run_in, start_loop

log = logging.getLogger("sojourn")

T = TypeVar("T")

_ending: set[asyncio.Task[None]] = set()
"""Loops hold tasks weakly."""
_parents: list[object] = []
"""Loops of processes that this one was forked from: collecting them would end the parent's."""


class Portal:
    """Runs coroutines in a thread of its own, which starts with the first call, in each process."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: Callable[[], None] = lambda: None
        tell_after_fork(self)

    def start(
        self, call: Callable[[], Coroutine[Any, Any, T]], ended: Callable[[], None] = lambda: None
    ) -> Running[T]:
        """Run a coroutine function there; `ended` is called there at its end.

        Raises:
            InvalidInput: this is that thread, so that the caller would wait for itself.
            Closed: Python ends, and no thread runs any more: a `__del__` calls at the very last.
        """
        if sys.is_finalizing():
            raise Closed(
                "Python is ending and runs no thread any more: make the last calls in a "
                "with-block, or in a function of atexit."
            )
        if self._loop is not None and _running_loop() is self._loop:
            raise InvalidInput(
                "A hook runs in the thread that makes the store's calls, so a call from there "
                "would wait for itself for ever: hand it to a thread of your own."
            )
        with self._starting:
            if self._loop is None:
                self._loop, self._stop = start_loop()
            return run_in(self._loop, call, ended)

    def run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function; the caller's thread waits. Ctrl-C there cancels it."""
        running = self.start(call)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise
        finally:
            del running  # its error would hold this frame, and so the caller's store

    async def wait(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function for a task of another event loop. Cancelling it cancels that."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def ended() -> None:
            with suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(done.set)

        running = self.start(call, ended)
        try:
            await done.wait()
        except asyncio.CancelledError:
            running.cancel()
            raise
        return running.result()

    def close(self) -> None:
        """End the thread; another call starts a new one."""
        with self._starting:
            loop, stop = self._loop, self._stop
            self._loop = None
        if loop is not None:
            run_in(loop, _end_all, lambda: None).result()
            stop()

    def after_fork(self) -> None:
        """Leave the thread to the parent."""
        _parents.append((self._loop, self._stop))
        self._starting = threading.Lock()
        self._loop = None

    @property
    def is_running(self) -> bool:
        """Whether it has a thread."""
        return self._loop is not None

    def abandon(self, last: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run a last coroutine function and end the thread; the caller does not wait.

        For finalizers: they may run in any thread, also in the portal's own, at any moment.
        """
        loop = self._loop
        if loop is None:
            return

        async def end() -> None:
            try:
                await last()
                await _end_all()
            except Exception:
                log.exception("A store that was not closed could not be closed now.")
            finally:
                loop.stop()

        def begin() -> None:
            task = loop.create_task(end())
            _ending.add(task)
            task.add_done_callback(_ending.discard)

        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(begin)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _end_all() -> None:
    """Let other calls end by what they were just told; nobody shall wait for a loop that stops."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, late = await asyncio.wait(others, timeout=1)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


class CallersThread:
    """Lets a coroutine in the portal run functions in the thread of the caller that waits for it.

    What belongs to that thread is there: a connection of sqlite3, a request of Flask's. What
    another task asks for, while the caller may have its answer already, runs in a worker thread,
    with a copy of the caller's context variables.
    """

    def __init__(self) -> None:
        self._steps = mailbox()
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[Any] | None = None

    def serve(self, portal: Portal, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the portal, and here what it asks for, until it ends."""

        async def served() -> T:
            self._task = asyncio.current_task()
            return await call()

        running = portal.start(served, lambda: self._steps.put(None))
        try:
            while (step := self._steps.get()) is not None:
                step()
            return running.result()
        except BaseException:
            running.cancel()
            raise

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function there; from the portal."""
        if asyncio.current_task() is not self._task:
            return await asyncio.to_thread(self._context.copy().run, function)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: Callable[[], None]) -> None:
            loop.call_soon_threadsafe(lambda: None if done.done() else result())

        def step() -> None:
            try:
                value = function()
            except StopIteration as error:  # no future can hold it
                failure = RuntimeError(f"The function raised StopIteration: {error}")
                settle(lambda: done.set_exception(failure))
            except Exception as error:  # noqa: BLE001 - raised where it was asked for
                wrong = error
                settle(lambda: done.set_exception(wrong))
            else:
                settle(lambda: done.set_result(value))

        self._steps.put(step)
        return await done
