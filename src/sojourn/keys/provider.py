"""Providers of the ring of master keys: a file, a variable, or a function of the application's."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, cast
from weakref import WeakKeyDictionary

from sojourn.engine.tasks import start
from sojourn.errors import ConfigurationError, Unavailable
from sojourn.keys.ring import ENVIRONMENT, KeyRing
from sojourn.resilience.deadline import end_of_operation, from_now, until

RingFunction = Callable[[], "KeyRing | Awaitable[KeyRing]"]
"""Gives a ring, as of a key management service; an ordinary one is called in a thread."""


class RingProvider:
    """The ring of master keys of a store, as `sojourn.open(keys=…)` was given it.

    A file and a function are asked again after some time, so that a ring that changes (a key that
    was added or activated) is used without a restart.

    Args:
        given: a ring, the path of a file, `env:VARIABLE`, or a function.
        seconds: how long an answer is used.
        timeout: seconds that a call waits for a function; it goes on, and the next call uses what
            it gives.

    Raises:
        ConfigurationError: a file or variable that is no ring, or something else.

    Attributes:
        path: of the file; None if it is none.
    """

    def __init__(
        self,
        given: KeyRing | str | os.PathLike[str] | RingFunction,
        seconds: float,
        timeout: float,
    ) -> None:
        self._seconds = seconds
        self._timeout = timeout
        self._ring: KeyRing | None = None
        self._at = 0.0
        self._asking: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[KeyRing]] = (
            WeakKeyDictionary()
        )
        self._function: RingFunction | None = None
        self._source: str = ""
        if isinstance(given, KeyRing):
            self._ring, self._seconds = given, float("inf")
        elif isinstance(given, str | os.PathLike):
            self._source = os.fspath(given)  # pyright: ignore[reportUnknownArgumentType]
            self._ring = KeyRing.load(self._source)
        elif callable(given):  # pyright: ignore[reportUnnecessaryComparison]
            self._function = given
        else:
            raise ConfigurationError(
                "keys= is the path of a file of master keys, env:VARIABLE, a KeyRing, or a "
                f"function that gives one, not {type(given).__name__}."
            )
        self._at = monotonic()

    @property
    def path(self) -> str | None:
        """The file that the ring is in."""
        return self._source if self._source and not self._source.startswith(ENVIRONMENT) else None

    async def ring(self) -> KeyRing:
        """The ring now.

        Raises:
            Unavailable: the function has failed, or takes too long.
            ConfigurationError: the file cannot be read any more, or the function gives no ring.
        """
        if self._ring is not None and monotonic() - self._at < self._seconds:
            return self._ring
        if self._function is None:
            began, self._ring = monotonic(), KeyRing.load(self._source)
            self._at = began
            return self._ring
        return await self._wait(self._function)

    async def _wait(self, function: RingFunction) -> KeyRing:
        loop = asyncio.get_running_loop()
        asking = self._asking.get(loop)
        if asking is None:
            asking = start(loop, self._ask(function), name="sojourn master keys")
            asking.add_done_callback(_heard)
            self._asking[loop] = asking
        try:
            async with until(min(end_of_operation(), from_now(self._timeout))):
                await asyncio.wait([asking])
        except TimeoutError:
            raise Unavailable(
                "The function that gives the master keys has taken too long. It goes on, and the "
                "next call uses what it gives."
            ) from None
        if self._asking.get(loop) is asking:
            del self._asking[loop]
        try:
            return asking.result()
        except asyncio.CancelledError:
            raise Unavailable("The function that gives the master keys was cancelled.") from None

    async def _ask(self, function: RingFunction) -> KeyRing:
        began = monotonic()
        try:
            if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
                getattr(function, "__call__", None)  # noqa: B004 - an object with an async method
            ):
                given: Any = await cast("Any", function)()
            else:
                given = await asyncio.to_thread(function)
                if inspect.isawaitable(given):
                    given = await given
        except (ConfigurationError, Unavailable):
            raise
        except Exception as error:
            raise Unavailable(
                f"The function that gives the master keys has failed ({type(error).__name__}). "
                "Nothing was read or written."
            ) from error
        if not isinstance(given, KeyRing):
            raise ConfigurationError(
                f"The function that gives the master keys gave no KeyRing: {type(given).__name__}."
            )
        self._ring, self._at = given, began
        return given


def _heard(asking: asyncio.Task[KeyRing]) -> None:
    """Let an error that nobody waits for any more not be printed."""
    if not asking.cancelled():
        asking.exception()
