"""A call in progress, and what is known about its outcome."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from redis import exceptions as driver

from sojourn.calls.call import Call, pack, pack_call
from sojourn.engine.faults import advice, is_passing, translate, without_traces
from sojourn.engine.traffic import Traffic
from sojourn.errors import (
    Closed,
    OutcomeUnknown,
    SojournError,
    Unavailable,
)

_ASKING = pack((b"ASKING",))
LARGE = 64 * 1024
"""Size from which a request uses the connection for large calls."""

_MOST = 0.8
"""The share of an operation's time that a call must have had before it blames the server."""


class Pending:
    """A call in progress: its bytes, its replies so far, and the future of its caller.

    Attributes:
        attempts: how often it was sent.
        refusals: how often a server put it off for now.
        asking: it goes to a node that is being given the slot (Redis Cluster's ASK).
        held: its batch ends in a WAIT, whose reply decides.
        urgent: nothing else is sent at the same moment, so it need not wait for others.
        doubtful: it was sent, and the connection was lost before the reply.
        losses: how many connections broke while it was under way.
        refusal: the last reply that put it off.
        deadline: when it ends if none of its bytes move; it stands while they do.
        limit: when it ends in any case.
        unawaited: nobody waits for it, so it may leave with the next call that somebody waits for.
        given: how many seconds its operation had left for it.
        moved: until which second of its connection's traffic its deadline has stood.
        came: how many bytes had come over its connection before it.
        started: when it was handed over (`time.monotonic`); 0 when nobody is told how it ends.
        where: the address that it was sent to last; empty before.
    """

    __slots__ = (
        *(
            "asking",
            "attempts",
            "call",
            "came",
            "deadline",
            "doubtful",
            "future",
            "given",
            "held",
            "unawaited",
            "limit",
            "losses",
            "missing",
            "moved",
        ),
        *("packet", "refusal", "refusals", "replies", "started", "urgent", "where"),
    )

    def __init__(
        self,
        call: Call[Any],
        deadline: float,
        future: asyncio.Future[Any],
        limit: float = math.inf,
        *,
        urgent: bool = False,
        unawaited: bool = False,
    ) -> None:
        self.call = call
        self.unawaited = unawaited
        self.deadline = deadline
        self.limit = limit
        self.given = math.inf
        self.moved = 0.0
        self.came = 0
        self.started = 0.0
        self.where = ""
        self.future = future
        self.packet = pack_call(call)
        self.attempts = 0
        self.refusals = 0
        self.replies: list[Any] = []
        self.missing = 0
        self.asking = False
        self.held = False
        self.urgent = urgent
        self.doubtful = False
        self.losses = 0
        self.refusal: BaseException | None = None

    def enter(self, traffic: Traffic) -> None:
        """Start to wait on a connection."""
        self.moved = traffic.seconds
        self.came = traffic.size

    def end(self, traffic: Traffic) -> float:
        """The time at which it ends, given the traffic so far."""
        return min(self.deadline + traffic.seconds - self.moved, self.limit)

    def stand(self, traffic: Traffic) -> None:
        """Move the deadline by the time in which bytes moved on its connection."""
        moved = traffic.seconds
        end = self.deadline + moved - self.moved
        self.deadline = end if end < self.limit else self.limit  # noqa: FURB136 - of every call
        self.moved = moved

    def start(self) -> bytes:
        """Prepare to be sent (again); returns the bytes to send."""
        self.attempts += 1
        self.replies = []
        self.missing = 1 if self.call.script else len(self.call.commands)
        if not self.asking:
            return self.packet
        self.missing *= 2  # ASKING holds for one command
        if self.call.script:
            return _ASKING + self.packet
        return b"".join(_ASKING + pack(command) for command in self.call.commands)

    def send_whole(self) -> None:
        """Send the script with its source from now on: the server has forgotten it."""
        self.packet = pack_call(self.call, by_digest=False)

    def take_replies(self) -> list[Any]:
        """The replies to the call's own commands, without those to ASKING."""
        return self.replies[1::2] if self.asking else self.replies

    @property
    def is_large(self) -> bool:
        """Whether its request or its reply may be large."""
        return self.call.separate_connection or len(self.packet) > LARGE

    @property
    def is_suspect(self) -> bool:
        """Whether it may have broken its connections, and must be sent alone.

        Small calls keep their order, and are mostly next to the one that did it: twice is chance.
        """
        return self.losses > (0 if self.is_large else 1)

    def lose(self, *, broken: bool) -> None:
        """Note that its connection is gone: broken, or closed by this process."""
        self.doubtful = True
        self.losses += broken
        self.missing = 0

    def forget(self) -> None:
        """Ignore how it ends: nobody waits for it any more."""
        self.future.add_done_callback(_heard)

    def fail(self, error: SojournError, cause: BaseException | None = None) -> None:
        """End with an error, unless the caller has gone."""
        if not self.future.done():
            error.__cause__ = None if cause is None else without_traces(cause)
            self.future.set_exception(error)

    def interrupt(self, error: BaseException) -> None:
        """End with an exception that was thrown into this thread, as if it had met the caller."""
        if not self.future.done():
            self.future.set_exception(error)

    def refuse(self, cause: BaseException, where: str) -> None:
        """End with the server's refusal, which says nothing about an earlier sending."""
        error = translate(cause, where)
        if self.doubtful:
            error = self.unknown(where, str(error)) or error
        self.fail(error, cause)

    def expire(self, where: str, last_error: BaseException | None, whole: float) -> None:
        """End because no reply came in time, with the known cause.

        Args:
            where: the server's address.
            last_error: why there is no connection, if there is none.
            whole: seconds that an operation has; those before this call may have taken most.
        """
        cause = self.refusal or last_error
        in_doubt = self._in_doubt
        unknown = self.unknown(where, _detail(cause)) if in_doubt else None
        if unknown is not None:
            self.fail(unknown, cause)
        elif cause is not None and (not in_doubt or is_passing(cause)):
            self.fail(translate(cause, where), cause)
        elif cause is None and self.given < _MOST * whole:
            self.fail(
                Unavailable(
                    f"{self.call.name} had {max(0, self.given):.2g} s left, which was not enough: "
                    f"what came before it in this operation took the rest. {where} may be slow, or "
                    "this was much at once: ask for less (limit=), or raise operation_timeout."
                )
            )
        else:
            reason = f" ({_detail(cause)})" if cause else ""
            error = Unavailable(
                f"No answer from {where} in time for {self.call.name}{reason}. {advice(where)}"
            )
            self.fail(error, cause)

    def outlast(self, where: str, traffic: Traffic) -> None:
        """End during a transfer that still moves, but too slowly."""
        call, came = self.call, traffic.size - self.came
        what = (
            f"{call.name} was still under way with {where} when transfer_timeout was up, though "
            f"bytes moved: {len(self.packet):,} were to be sent, and {came:,} had come back over "
            "its connection. The link is slow for so much: raise transfer_timeout"
        )
        if call.operation_id is None:
            self.fail(Unavailable(f"{what}, or ask for less at once."))
            return
        error = OutcomeUnknown(
            f"{what}. It may have happened: repeat it with operation_id={call.operation_id!r}, it "
            "takes effect once.",
            operation_id=call.operation_id,
        )
        self.fail(error)

    def condemn(self, where: str, limits: str) -> None:
        """End because connections break whenever it is in flight, even alone."""
        call = self.call
        what = (
            f"{call.name} ({len(self.packet):,} bytes) was under way each time when {where} ended "
            f"its connection ({self.losses} times, at last with no other call), and is not sent "
            f"again. It may exceed a limit of the server: {limits}."
        )
        if call.operation_id is None:
            self.fail(Unavailable(f"{what} Its reply may be what is too large: ask for less."))
            return
        error = OutcomeUnknown(
            f"{what} It may have happened: raise the limit, then repeat it with "
            f"operation_id={call.operation_id!r}, it takes effect once.",
            operation_id=call.operation_id,
        )
        self.fail(error)

    def abandon(self, where: str) -> None:
        """End because the store is closed."""
        reason = "the store was closed"
        unknown = self.unknown(where, reason) if self._in_doubt else None
        self.fail(unknown or Closed("The store was closed while this call was under way."))

    @property
    def _in_doubt(self) -> bool:
        """Whether it was sent and may have taken effect."""
        return self.doubtful or self.held or self.missing > 0

    def unknown(self, where: str, reason: str) -> OutcomeUnknown | None:
        """The error for a write that was sent and may have taken effect; None for a read."""
        call = self.call
        if call.operation_id is None:
            return None
        because = f" ({reason})" if reason else ""
        return OutcomeUnknown(
            f"{call.name} was sent to {where} but was not confirmed in time{because}. It may have "
            f"happened: repeat it with operation_id={call.operation_id!r}, it takes effect once.",
            operation_id=call.operation_id,
        )


class Wait:
    """A WAIT after the writes of a batch, whose reply decides about them.

    Args:
        writes: the calls before it, in order.
        replicas: how many replicas must have the writes.
    """

    __slots__ = ("replicas", "writes")

    def __init__(self, writes: list[Pending], replicas: int) -> None:
        self.writes = writes
        self.replicas = replicas

    def shortfall(self, reply: Any) -> str:
        """The reason why the writes are not confirmed; empty when they are."""
        if isinstance(reply, driver.ResponseError):
            return f"WAIT failed: {reply}"
        have = int(reply)
        if have >= self.replicas:
            return ""
        return f"{have} of {self.replicas} replicas have it"


def _detail(cause: BaseException | None) -> str:
    return "" if cause is None else str(cause) or type(cause).__name__


def _heard(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
