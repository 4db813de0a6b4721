"""The connections of one event loop to one server: a large call never delays a small one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from redis.asyncio.connection import AbstractConnection

from sojourn.engine.address import Address
from sojourn.engine.faults import Redirect
from sojourn.engine.listener import Listener
from sojourn.engine.multiplexer import ConnectionStats, Multiplexer, Timeouts
from sojourn.engine.pending import LARGE, Pending
from sojourn.resilience.deadline import running_clock

Connect = Callable[[], Awaitable[AbstractConnection]]


class ConnectionPair:
    """Two connections to one server, one for small calls and one for large ones, and a listener.

    A third carries one call at a time: calls that were in flight when connections broke, as they
    may have broken them. It connects when there is such a call.

    When writes wait for replicas, reads use the connection for large calls: they need not wait.

    Args:
        connect: makes a connection that is ready for commands.
        where: the server's address for messages.
        timeouts: how long to wait.
        tally: counts what happens to them.
        changed: called when the server becomes unreachable (True), or reachable again (False).
        lost: called when a connection has ended or could not be made.
        elsewhere: takes a call that another node must answer; None where there are no others.
        again: takes a call that was put off; this pair itself if not given.
        moved: told which node has a channel; None where there are no others.

    Attributes:
        server: where the last connection led to; None before the first.
        clock: that of the loop.
    """

    def __init__(
        self,
        connect: Connect,
        where: str,
        timeouts: Timeouts,
        *,
        tally: ConnectionStats,
        changed: Callable[[bool], None],
        lost: Callable[[], None] = lambda: None,
        elsewhere: Callable[[Pending, Redirect], bool] | None = None,
        again: Callable[[Pending], None] | None = None,
        moved: Callable[[Redirect], object] | None = None,
    ) -> None:
        self.tally = tally
        self._lost = lost
        self.changed = changed
        self._connect = connect
        self._elsewhere = elsewhere
        self._again = again
        self._apart = timeouts.replicas > 0
        self.server: Address | None = None
        self.clock = running_clock()
        self.small = Multiplexer(self._connected, where, timeouts, self)
        self.large = Multiplexer(self._connected, where, timeouts, self)
        self.alone = Multiplexer(self._connected, where, timeouts, self, alone=True)
        self.listener = Listener(self._connected, where, timeouts, lost=self.lost, moved=moved)

    @property
    def several(self) -> bool:
        """Whether other nodes may have the keys of a call."""
        return self._elsewhere is not None

    @property
    def is_idle(self) -> bool:
        """Whether no call is waiting or in flight."""
        return all(multiplexer.is_idle for multiplexer in self._multiplexers)

    @property
    def _multiplexers(self) -> tuple[Multiplexer, ...]:
        return self.small, self.large, self.alone

    def lost(self) -> None:
        """A connection has ended, or could not be made."""
        self.tally.losses += 1
        self._lost()

    def send(self, pending: Pending) -> None:
        """Take a call."""
        if pending.losses and pending.is_suspect:
            self.alone.submit(pending)
        elif (
            pending.call.separate_connection
            or len(pending.packet) > LARGE
            or (self._apart and pending.call.operation_id is None)
        ):
            self.large.submit(pending)
        else:
            self.small.submit(pending)

    def listener_of(self, channel: str) -> Listener:  # noqa: ARG002 - a Cluster goes by it
        """The listener of a channel."""
        return self.listener

    def submit(self, pending: Pending) -> None:
        """Take a call that has backed off."""
        (self._again or self.send)(pending)

    def redirect(self, pending: Pending, to: Redirect) -> bool:
        """Hand over a call that another node must answer."""
        return self._elsewhere is not None and self._elsewhere(pending, to)

    def withdraw(self) -> list[Pending]:
        """Return the calls that wait without a connection."""
        return [pending for multiplexer in self._multiplexers for pending in multiplexer.withdraw()]

    async def _connected(self) -> AbstractConnection:
        """Connect. If this is another server than before, leave all connections to that one.

        It may be a primary of before, which still answers and no longer knows the truth.
        """
        connection = await self._connect()
        self.tally.connections += 1
        server = Address(getattr(connection, "host", ""), getattr(connection, "port", 0))
        if self.server not in (None, server):
            for multiplexer in self._multiplexers:
                multiplexer.leave()
            self.listener.leave()
        self.server = server
        for multiplexer in self._multiplexers:
            multiplexer.reached()
        return connection

    def hang_up(self) -> None:
        """Close all connections of a stopped loop."""
        for multiplexer in self._multiplexers:
            multiplexer.hang_up()
        self.listener.hang_up()

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(
            *(multiplexer.close() for multiplexer in self._multiplexers), self.listener.close()
        )
