"""The engine: every call to a server goes through it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sojourn.calls.call import Call
from sojourn.engine.address import Address
from sojourn.engine.cluster import Cluster
from sojourn.engine.connection_pair import ConnectionPair
from sojourn.engine.listener import Listener, Watch
from sojourn.engine.multiplexer import ConnectionStats, Timeouts
from sojourn.engine.pending import Pending
from sojourn.engine.server import Server
from sojourn.errors import Closed
from sojourn.resilience.deadline import Deadline, current_deadline, deadlines
from sojourn.telemetry import CallFact, Hooks, OutageFact, log

T = TypeVar("T")

_STOPPED = 2
"""Stopped loops that keep their connections: those that started last."""
_LINGER = 0.5
"""Seconds for which closing waits for calls of `send_nowait`."""
_SETTLED = 0.1
"""Seconds until calls of `send_nowait` of other processes have arrived, unless these are late."""


class Node(NamedTuple):
    """One of the servers that an engine reaches.

    Attributes:
        where: its address, without secrets.
        run: sends a call to it.
    """

    where: str
    run: Callable[[Call[Any]], Awaitable[Any]]


class Engine:
    """Sends calls to one server and reads their replies.

    An engine may be used from several event loops; each gets connections of its own.

    Args:
        server: where to send.
        timeouts: how long to wait, and for how many replicas.
        hooks: they receive a fact for each call.

    Attributes:
        timeout: seconds that a call may take.
        tally: what its connections have met. Behind each that broke the server may be another now.
        outages: how often the server, or a node of it, could not be reached for longer than a call
            may wait.
    """

    def __init__(self, server: Server, *, timeouts: Timeouts, hooks: Hooks) -> None:
        self._server = server
        self._timeouts = timeouts
        self.timeout = timeouts.operation
        self._whole = max(timeouts.operation, timeouts.transfer)
        self._hooks = hooks
        self._connections: dict[asyncio.AbstractEventLoop, ConnectionPair | Cluster] = {}
        self._unawaited: set[asyncio.Future[Any]] = set()
        self._primaries: dict[Address, str] = {}
        self._closed = False
        self._down: Counter[asyncio.AbstractEventLoop] = Counter()
        self._down_since: float | None = None
        self.tally = ConnectionStats()
        self.outages = 0

    @property
    def where(self) -> str:
        """The server's address, without secrets."""
        return self._server.where

    @property
    def is_spread(self) -> bool:
        """Whether keys are spread over several servers, of which one may be lost alone."""
        return self._server.is_cluster

    @property
    def is_down(self) -> bool:
        """Whether the server, or a node of it, is known to be out of reach: calls fail at once."""
        return bool(self._down)

    def down_since(self) -> float | None:
        """The `time.monotonic` at which the outage started; None when there is none."""
        return self._down_since

    async def run(self, call: Call[T], *, timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Send one call. One round trip.

        Args:
            call: what to send.
            timeout: seconds, instead of the engine's own.

        Raises:
            OutcomeUnknown: a write was sent and no reply came in time.
            Unavailable: no server could be reached in time.
            SojournError: what else the server refused, by its class.
        """
        shared = current_deadline() if deadlines else None
        pending = self._submit(call, timeout, shared=shared, urgent=True)
        try:
            reply = await pending.future
        finally:
            if pending.started:
                self.tell(pending)
        if shared is not None:
            shared.extend_to(pending.deadline)
        return call.read(reply)

    def start(self, call: Call[Any]) -> Pending:
        """Send one call, and return before its replies are there: they come as `Pending.future`.

        Who has awaited that calls `tell` if `Pending.started` is set.
        """
        return self._submit(call, shared=current_deadline() if deadlines else None, urgent=True)

    async def nodes(self) -> list[Node]:
        """List the servers: the nodes of a Cluster that have slots, or the only one.

        No round trip for one server; else one to each node that is known, or to the primary.

        Raises:
            Unavailable: none can be reached in time.
        """
        if not self._server.addresses:
            return [Node(self.where, self.run)]
        loop = asyncio.get_running_loop()
        connections = self._connections.get(loop) or self._open(loop)
        # in a cluster whose map is known, a ping could go to a dead node
        if not (isinstance(connections, Cluster) and await connections.known()):
            await self.run(Call("engine.ping", (), bool, commands=[("PING",)]))
        if isinstance(connections, Cluster):
            found = {address: connections.node(address) for address in connections.addresses()}
        else:
            found = {connections.server or self._server.addresses[0]: connections}
        return [
            Node(self._server.at_node(address).where, partial(self._run_on, node))
            for address, node in found.items()
        ]

    async def _run_on(self, connections: ConnectionPair, call: Call[Any]) -> Any:
        return call.read(await self._submit(call, connections=connections).future)

    async def run_all(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Send several calls at once: one round trip, in order except for large ones.

        Every call has run its course when this returns or raises.

        Raises:
            SojournError: the first error among them, as `run` would raise it.
        """
        replies = await self._replies(calls)
        for reply in replies:  # not its result: with allow_wrong_type that may hold an exception
            if isinstance(reply, BaseException):
                raise reply
        return [call.read(reply) for call, reply in zip(calls, replies, strict=True)]

    async def gather_calls(
        self, calls: Sequence[Call[Any]], *, aside: int = 0, by: float = math.inf
    ) -> list[Any]:
        """Send several calls at once, and return errors in place of the results that failed.

        Args:
            calls: what to send.
            aside: how many of the last ones the others need not wait for.
            by: when these must have ended.
        """
        replies = await self._replies(calls, aside=aside, by=by)
        return [
            reply if isinstance(reply, BaseException) else call.read(reply)
            for call, reply in zip(calls, replies, strict=True)
        ]

    async def _replies(
        self, calls: Sequence[Call[Any]], *, aside: int = 0, by: float = math.inf
    ) -> list[Any]:
        shared, sooner = current_deadline(), len(calls) - aside
        pendings = [
            self._submit(call, shared=shared, by=math.inf if place < sooner else by)
            for place, call in enumerate(calls)
        ]
        replies = await asyncio.gather(*(each.future for each in pendings), return_exceptions=True)
        if shared is not None:
            for each in pendings[:sooner]:
                shared.extend_to(each.deadline)
        return replies

    async def stream(self, calls: Iterable[Call[T]], *, ahead: int) -> AsyncGenerator[T]:
        """Yield the results of calls in order, with a limited number of calls in flight.

        Raises:
            SojournError: as `run` would raise it; the other calls in progress continue.
        """
        shared = current_deadline()
        under_way: deque[tuple[Call[T], Pending]] = deque()
        more = iter(calls)
        try:
            while True:
                for call in islice(more, ahead - len(under_way)):
                    under_way.append((call, self._submit(call, shared=shared)))
                if not under_way:
                    return
                call, pending = under_way.popleft()
                reply = await pending.future
                if shared is not None:
                    shared.extend_to(pending.deadline)
                yield call.read(reply)
        finally:
            for _, pending in under_way:
                pending.forget()

    def send_nowait(
        self, call: Call[Any], *, lost: Callable[[], object] | None = None
    ) -> asyncio.Future[Any]:
        """Send a call without waiting for it: one that is harmless to lose and to repeat.

        It leaves with the next call, or after a moment with all others that were such meanwhile.

        Args:
            call: what to send.
            lost: called when it ended with an error.

        Returns:
            the reply to come, for who must know that it was sent.
        """

        def heard(future: asyncio.Future[Any]) -> None:
            self._unawaited.discard(future)
            if (future.cancelled() or future.exception()) and lost is not None:
                lost()

        future = self._submit(call, unawaited=True).future
        self._unawaited.add(future)
        future.add_done_callback(heard)
        return future

    async def settle(self) -> None:
        """Wait until calls of `send_nowait` that other processes made before now have arrived.

        Such calls enter names into indexes. Erasure waits for them before it removes those names.
        """
        await asyncio.sleep(_SETTLED)

    def watch(self, channel: str) -> Watch:
        """Make a watch that wakes a task of the running loop when a channel gets a message.

        Nothing is sent yet. All watches of a loop share one connection to a server.
        """
        return Watch(channel, self._listener)

    def _listener(self, channel: str) -> Listener:
        loop = asyncio.get_running_loop()
        return (self._connections.get(loop) or self._open(loop)).listener_of(channel)

    def _submit(
        self,
        call: Call[Any],
        timeout: float | None = None,
        connections: ConnectionPair | Cluster | None = None,
        shared: Deadline | None = None,
        by: float = math.inf,
        *,
        urgent: bool = False,
        unawaited: bool = False,
    ) -> Pending:
        loop = asyncio.get_running_loop()
        connections = connections or self._connections.get(loop) or self._open(loop)
        now = connections.clock.time()
        deadline, limit = now + (timeout or self.timeout), now + self._whole
        future: asyncio.Future[Any] = asyncio.Future(loop=loop)
        pending = Pending(call, deadline, future, limit, urgent=urgent, unawaited=unawaited)
        if shared is not None:
            pending.deadline = min(deadline, by, shared.end)
            pending.limit = min(limit, shared.began + self._whole)
            pending.given = pending.deadline - now
        elif by < deadline:
            pending.deadline, pending.given = by, by - now
        if self._hooks.listens or log.isEnabledFor(logging.DEBUG):
            pending.started = time.monotonic()
            if not urgent:  # others tell it when they have awaited it: a callback costs more
                future.add_done_callback(lambda _: self.tell(pending))
        connections.send(pending)
        return pending

    def tell(self, pending: Pending) -> None:
        """Tell the hooks how a call has ended, or that its caller has gone."""
        future, outcome = pending.future, "ok"
        if future.cancelled() or not future.done():
            outcome = "cancelled"
        elif (error := future.exception()) is not None:
            outcome = type(error).__name__
        call = pending.call
        taken = time.monotonic() - pending.started
        sent = len(pending.packet)
        where = pending.where
        if where and self._server.addresses and not self._server.is_cluster:
            where = self._primary(future.get_loop()) or where
        fact = CallFact(call.name, outcome, taken, pending.attempts, sent, where)
        self._hooks.tell(fact, call)

    def _primary(self, loop: asyncio.AbstractEventLoop) -> str:
        """The server that the Sentinels have named to a loop; empty before they have."""
        connections = self._connections.get(loop)
        address = connections.server if isinstance(connections, ConnectionPair) else None
        if address is None:
            return ""
        if address not in self._primaries:
            self._primaries[address] = self._server.at_node(address).where
        return self._primaries[address]

    async def disconnect(self) -> None:
        """Close the connections of the running loop; the next call makes new ones.

        Calls of `send_nowait` have half a second to arrive.
        """
        loop = asyncio.get_running_loop()
        if unawaited := [future for future in list(self._unawaited) if future.get_loop() is loop]:
            await asyncio.wait(unawaited, timeout=_LINGER)
        connections = self._connections.pop(loop, None)
        if connections is not None:
            await connections.close()

    async def close(self) -> None:
        """Close all connections for good, and leave an embedded server. Idempotent."""
        self._closed = True
        await self.disconnect()
        for loop, connections in list(self._connections.items()):
            del self._connections[loop]
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(connections.close(), loop)
            else:
                connections.hang_up()
        await self._server.release()

    def _changed(self, loop: asyncio.AbstractEventLoop, down: bool) -> None:
        """Count a connection that has failed, or works again; each server has several."""
        before = self.is_down
        self._down[loop] += 1 if down else -1
        if self._down[loop] <= 0:
            del self._down[loop]
        self._tell_outage(before)

    def _forget(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget a loop that has ended, with its connections."""
        before = self.is_down
        if (connections := self._connections.pop(loop, None)) is not None:
            connections.hang_up()
        self._down.pop(loop, None)
        self._unawaited = {future for future in self._unawaited if future.get_loop() is not loop}
        self._tell_outage(before)

    def _tell_outage(self, before: bool) -> None:
        self._down_since = (self._down_since or time.monotonic()) if self.is_down else None
        if before != (down := self.is_down) and not self._closed:
            self.outages += down
            self._hooks.tell_outage(OutageFact(self.where, down))

    def _ended(self) -> list[asyncio.AbstractEventLoop]:
        """List loops that are closed or stopped, except the few stopped ones that may run again."""
        closed = [loop for loop in self._connections if loop.is_closed()]
        stopped = [
            loop for loop in self._connections if not (loop.is_running() or loop.is_closed())
        ]
        return closed + stopped[:-_STOPPED]

    def _open(self, loop: asyncio.AbstractEventLoop) -> ConnectionPair | Cluster:
        if self._closed:
            raise Closed("This store is closed: open a new one.")
        for ended in self._ended():
            self._forget(ended)
        server, timeouts, told = self._server, self._timeouts, partial(self._changed, loop)
        connections = self._connections[loop] = (
            Cluster(server, timeouts, tally=self.tally, changed=told)
            if server.is_cluster
            else ConnectionPair(
                server.connect, server.where, timeouts, tally=self.tally, changed=told
            )
        )
        return connections
