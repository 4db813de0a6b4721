"""Credentials from a provider: fetched before connecting, and never on the event loop.

A provider may be slow, may fail for a while, and may briefly return an outdated password. That
says nothing about the server: it uses no connect time, and no outage is declared.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

from redis.credentials import CredentialProvider

from sojourn.engine.tasks import start
from sojourn.errors import SojournError, Unavailable

_LOOK = 0.1
"""Seconds until whoever connects says that it still waits."""
_FRESH = 10.0
"""Seconds for which connections are made with the same answer: a slow one may come when the call
that wanted it has ended, and each server has several connections."""


class Provider(Protocol):
    """Gives credentials: as redis-py's `CredentialProvider`, whose async method it may have too."""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """A password, or a user and a password."""
        ...


class Deferred(Exception):
    """Connecting waits for something else than the server.

    Args:
        error: what a call that runs out of time meanwhile ends with.
    """

    def __init__(self, error: SojournError) -> None:
        super().__init__(str(error))
        self.error = error


class Credentials:
    """Credentials from a provider, for all connections to a server, Sentinel's primary or Cluster.

    Args:
        provider: who is asked.
        where: the server's address for messages.
    """

    def __init__(self, provider: Provider, where: str) -> None:
        self._provider = provider
        self._where = where
        self._asking: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[dict[str, str]]] = (
            WeakKeyDictionary()
        )
        self._given: dict[str, str] = {}
        self._at = 0.0

    async def get(self) -> dict[str, str]:
        """The `username` and `password` of a connection. The provider goes on when this ends.

        Raises:
            Deferred: the provider has not answered yet, or has failed.
        """
        if self._given and monotonic() - self._at < _FRESH:
            return self._given
        loop = asyncio.get_running_loop()
        asking = self._asking.get(loop)
        if asking is None:
            asking = start(loop, self._ask(), name=f"sojourn credentials {self._where}")
            self._asking[loop] = asking
        await asyncio.wait([asking], timeout=_LOOK)
        if not asking.done():
            raise Deferred(
                Unavailable(
                    f"The credential provider for {self._where} has taken too long. It goes on, "
                    "and the next call uses what it gives."
                )
            )
        if self._asking.get(loop) is asking:  # else another connection has waited for it, too
            del self._asking[loop]
        try:
            self._given = asking.result()
        except asyncio.CancelledError:
            raise Deferred(
                Unavailable(f"The credential provider for {self._where} was cancelled.")
            ) from None
        except Exception as error:
            words = " ".join(str(error).split())
            detail = f"{type(error).__name__}: {words}" if words else type(error).__name__
            raise Deferred(
                Unavailable(f"The credential provider for {self._where} failed ({detail}).")
            ) from error
        self._at = monotonic()
        return self._given

    def forget(self) -> None:
        """Ask again for the next connection."""
        self._given = {}

    async def _ask(self) -> dict[str, str]:
        kind = type(self._provider)
        own = getattr(kind, "get_credentials_async", None)
        theirs = getattr(
            CredentialProvider, "get_credentials_async", None
        )  # none before redis-py 5.3
        if own in (None, theirs):  # redis-py's calls the other
            given = await asyncio.to_thread(self._provider.get_credentials)
        else:
            given = await cast("Any", self._provider).get_credentials_async()
        parts: list[Any] = [*cast("Any", given)]
        if len(parts) not in (1, 2) or not all(isinstance(part, str) for part in parts):
            raise TypeError("it gives (password,) or (username, password), both as text")
        *user, password = parts
        return {"username": "".join(user), "password": password}


def is_provider(given: object) -> bool:
    """Whether it can give credentials."""
    methods = ("get_credentials", "get_credentials_async")
    return any(callable(getattr(given, name, None)) for name in methods)
