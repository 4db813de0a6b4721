"""The nodes of a Redis Cluster: which one has the slot of a call, and how that is learnt.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot

from sojourn.calls.call import Call
from sojourn.engine.address import Address
from sojourn.engine.connection_pair import ConnectionPair
from sojourn.engine.faults import Redirect
from sojourn.engine.listener import Listener
from sojourn.engine.multiplexer import ConnectionStats, Timeouts
from sojourn.engine.pending import Pending
from sojourn.engine.server import Server
from sojourn.engine.tasks import start
from sojourn.errors import Closed, SojournError
from sojourn.resilience.deadline import from_now, running_clock

_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two requests for the map, while it stays the same and nodes are lost."""
_TURNS = 5
"""Redirects of one call after which it backs off before the next."""


class Cluster:
    """The connections of one event loop to the nodes of a Cluster.

    A call goes to the node that is believed to have its slot. A node that no longer has it names
    the one that does (MOVED, ASK), and after a lost connection all nodes are asked again.

    Args:
        seed: how to reach a node, and the addresses to start from.
        timeouts: how long to wait.
        tally: counts what happens to them.
        changed: called when a node becomes unreachable (True), or reachable again (False).
    """

    def __init__(
        self,
        seed: Server,
        timeouts: Timeouts,
        *,
        tally: ConnectionStats,
        changed: Callable[[bool], None],
    ) -> None:
        self._seed = seed
        self._timeouts = timeouts
        self.clock = running_clock()
        self._tally = tally
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._owners: list[Address | None] = [None] * SLOTS
        self._nodes: dict[Address, ConnectionPair] = {}
        self._refreshing: asyncio.Task[bool] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False
        self._asked_at = 0.0
        self._pause = 0.0
        self._pausing: asyncio.TimerHandle | None = None
        self._refresh_soon()

    def send(self, pending: Pending) -> None:
        """Take a call. Without keys it goes to any node."""
        keys = pending.call.keys
        owner = self._owners[key_slot(keys[0].encode())] if keys else None
        pending.asking = False
        self._pair(owner or self._any()).send(pending)

    def listener_of(self, channel: str) -> Listener:
        """The listener of the node that should have the slot of a channel."""
        return self._pair(self._owners[key_slot(channel.encode())] or self._any()).listener

    def hang_up(self) -> None:
        """Close all connections of a stopped loop."""
        for pair in self._nodes.values():
            pair.hang_up()

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        if self._refreshing is not None:
            self._refreshing.cancel()
        if self._pausing is not None:
            self._pausing.cancel()
        await asyncio.gather(
            *(pair.close() for pair in self._nodes.values()),
            *self._leaving,
            return_exceptions=True,
        )

    def addresses(self) -> list[Address]:
        """The nodes that have slots; the seeds as long as none is known."""
        known = sorted({owner for owner in self._owners if owner is not None})
        return known or list(self._seed.addresses)

    async def known(self) -> bool:
        """Wait until the map has been fetched again; whether any node has answered."""
        self._refresh_now()
        if (asked := self._refreshing) is None:
            return False
        await asyncio.wait([asked])
        return not asked.cancelled() and asked.exception() is None and asked.result()

    def node(self, address: Address) -> ConnectionPair:
        """The connections to one node."""
        return self._pair(address)

    def _any(self) -> Address:
        """A node that answers, or else any node."""
        for address in self.addresses():
            pair = self._nodes.get(address)
            if pair is None or not pair.small.is_down:
                return address
        return self.addresses()[0]

    def _pair(self, address: Address) -> ConnectionPair:
        pair = self._nodes.get(address)
        if pair is None:
            if self._closed:
                raise Closed("This store is closed: open a new one.")
            node = self._seed.at_node(address)
            if address not in self._seed.addresses:  # nobody has written it anywhere
                node.where = f"{node.where} (an address that {self._seed.where} announces)"
            pair = self._nodes[address] = ConnectionPair(
                node.connect,
                node.where,
                self._timeouts,
                tally=self._tally,
                changed=self._changed,
                lost=self._refresh_soon,
                elsewhere=lambda pending, to: self._redirect(pending, to, address),
                again=self.send,
                moved=lambda to: self._moved(to, address),
            )
        return pair

    def _redirect(self, pending: Pending, to: Redirect, said_by: Address) -> bool:
        if pending.attempts % _TURNS == 0:
            return False  # nodes disagree: it rests, and goes by the map of then
        pending.asking = to.asking
        self._pair(self._moved(to, said_by)).send(pending)
        return True

    def _moved(self, to: Redirect, said_by: Address) -> Address:
        """The node that has a slot; a permanent move is noted in the map."""
        address = Address(to.host or said_by.host, to.port)
        if not to.asking:
            self._owners[to.slot] = address
            self._pause = 0.0  # there is news
            self._refresh_soon()
        return address

    # ── the map ────────────────────────────────────────────────────────────────────────────────

    def _refresh_soon(self) -> None:
        if self._refreshing is not None or self._closed or self._pausing is not None:
            return
        if (left := self._asked_at + self._pause - self._loop.time()) > 0:
            self._pausing = self._loop.call_later(left, self._refresh_now)
        else:
            self._refresh_now()

    def _refresh_now(self) -> None:
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None
        if self._refreshing is None and not self._closed:
            self._asked_at = self._loop.time()
            self._pause = min(_LONGEST_PAUSE, max(_PAUSE, 2 * self._pause))
            self._refreshing = start(self._loop, self._refresh(), name="sojourn cluster map")
            self._refreshing.add_done_callback(self._refreshed)

    def _refreshed(self, task: asyncio.Task[bool]) -> None:
        self._refreshing = None
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def _refresh(self) -> bool:
        """Ask all known nodes at once, use the first answer, and resend calls of lost nodes.

        A node without slots is left: its replica may have taken its place, and it may be dead.
        """
        asked = {*self.addresses(), *self._seed.addresses}
        questions = {start(self._loop, self._ask(address)): address for address in asked}
        try:
            for answered in asyncio.as_completed(questions):
                owners = await answered
                if owners is not None:
                    self._adopt(owners)
                    return True
        finally:
            for task in questions:
                task.cancel()
        return False

    async def _ask(self, address: Address) -> list[Address | None] | None:
        """The owners of all slots according to a node; None when it cannot tell."""
        deadline = from_now(self._timeouts.operation)
        call: Call[Any] = Call("cluster.slots", (), list, commands=[("CLUSTER", "SLOTS")])
        limit = from_now(self._timeouts.transfer)
        pending = Pending(call, deadline, self._loop.create_future(), limit)
        try:
            self._pair(address).large.submit(pending)
            (ranges,) = await pending.future
        except SojournError:
            return None
        owners: list[Address | None] = [None] * SLOTS
        for first, last, primary, *_ in ranges:
            host = (primary[0] or b"").decode()
            owner = Address(host if host not in ("", "?") else address.host, int(primary[1]))
            owners[first : last + 1] = [owner] * (last + 1 - first)
        return owners if any(owners) else None

    def _adopt(self, owners: list[Address | None]) -> None:
        if owners != self._owners:
            self._pause = 0.0
        self._owners = owners
        for pair in list(self._nodes.values()):
            for pending in pair.withdraw():
                if not pending.future.done():
                    (self.send if pending.call.keys else pair.send)(pending)
        wanted = set(self.addresses())
        idle = [address for address, pair in self._nodes.items() if pair.is_idle]
        for address in [each for each in idle if each not in wanted]:
            leaving = start(self._loop, self._nodes.pop(address).close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
