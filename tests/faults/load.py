"""Many clients at the same time, while faults happen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random
from types import TracebackType
from typing import Any, Self

import redis

import sojourn
from faults.checker import check
from faults.client import Client, Ways
from faults.notebook import Entry, Notebook, Place
from faults.report import Report
from faults.stored import look

ANSWERED = 40.0
"""Seconds after the end within which everything in doubt must have been answered."""
USERS = (
    *(("shop", "ada"), ("bank", "bob:{1}"), ("shop", "é u"), ("bank", "")),
    *(("shop", "eve"), ("bank", "fay"), ("shop", "gil"), ("bank", "hal")),
)
"""Whose sessions are written: in a Cluster these are in slots of all nodes."""


class Load:
    """Clients that write to sessions of their own and to some that they share.

    Args:
        urls: a store is opened for each, and the clients spread over them.
        seed: what the dice start from: the same clients do the same things.
        clients: how many there are.
        ways: how they behave.
        namespace: where all their keys are.
        options: further options of the stores.
    """

    def __init__(
        self,
        *urls: str,
        seed: int = 1,
        clients: int = 8,
        ways: Ways = Ways(),  # noqa: B008 - it is frozen
        namespace: str = "faults",
        **options: Any,
    ) -> None:
        self.namespace = namespace
        self.stores: list[sojourn.Sojourn] = []
        self.clients: list[Client] = []
        self.acknowledged = 0
        self._urls = urls
        self._seed = seed
        self._count = clients
        self._ways = ways
        self._options = options
        self._shared: list[tuple[Place, str]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._progress = asyncio.Event()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for url in self._urls:
                store = sojourn.open(
                    url,
                    namespace=self.namespace,
                    operation_timeout=self._ways.timeout,
                    connect_timeout=self._ways.timeout,
                    **self._options,
                )
                self.stores.append(await stack.enter_async_context(store))
            first = self._client("first", self.stores[0])
            for app, user in USERS:
                place = Place(app, user, "shared")
                self._shared.append((place, await first.create_surely(place)))
            for n in range(self._count):
                client = self._client(f"c{n}", self.stores[n % len(self.stores)])
                task = asyncio.create_task(client.run(self._shared, self._stop))
                task.add_done_callback(lambda _: self._progress.set())
                self._tasks.append(task)
            stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self.finish()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for store in self.stores:
            await store.close()

    async def written(self, more: int = 200, within: float = 30) -> None:
        """Wait until so many more writes were acknowledged.

        Raises:
            TimeoutError: they were not, within so many seconds.
        """
        wanted = self.acknowledged + more
        async with asyncio.timeout(within):
            while self.acknowledged < wanted:
                self._progress.clear()
                await self._progress.wait()
                self._raise()

    async def refused(self, *errors: str, more: int = 20, within: float = 30) -> None:
        """Wait until so many more writes have met errors of these classes.

        Raises:
            TimeoutError: they have not, within so many seconds.
        """
        met = lambda: sum(entry.error in errors for entry in self.entries)  # noqa: E731
        wanted = met() + more
        async with asyncio.timeout(within):
            while met() < wanted:
                await asyncio.sleep(0.02)
                self._raise()

    async def finish(self) -> None:
        """Let all clients end what they do, and repeat what is in doubt until it is answered."""
        self._stop.set()
        for client in self.clients:
            client.give_up = asyncio.get_running_loop().time() + ANSWERED
        await asyncio.gather(*self._tasks)

    @property
    def entries(self) -> list[Entry]:
        """What all clients did, client by client."""
        return [entry for book in self.books for entry in book.entries]

    @property
    def books(self) -> list[Notebook]:
        return [client.book for client in self.clients]

    @property
    def repeated(self) -> int:
        """How many appends had been done already when they were sent again."""
        return sum(client.repeated for client in self.clients)

    @property
    def errors(self) -> set[str]:
        """The classes of all errors that writes ended with, for good or for a while."""
        return {entry.error for entry in self.entries} - {""}

    def report(self, servers: Iterable[redis.Redis], *more: Notebook) -> Report:
        """Compare what clients were told with what stands on the servers."""
        report = check(look(servers, self.namespace), [*self.books, *more])
        met = [finding for client in self.clients for finding in client.findings]
        return replace(report, findings=[*met, *report.findings])

    def _client(self, name: str, store: sojourn.Sojourn) -> Client:
        dice = Random(f"{self._seed} {name}")
        client = Client(name, store, dice, self._ways, acknowledged=self._one_more)
        self.clients.append(client)
        return client

    def _one_more(self) -> None:
        self.acknowledged += 1
        self._progress.set()

    def _raise(self) -> None:
        """Do not wait for what a client that failed would have done."""
        for task in self._tasks:
            if task.done():
                task.result()
