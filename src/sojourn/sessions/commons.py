"""State that sessions share, of users and apps, and the indexes that list them."""

from __future__ import annotations

import logging
import math
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from sojourn.calls.call import Call, only
from sojourn.caps import CAPS
from sojourn.codecs import decode, growth
from sojourn.engine.engine import Engine
from sojourn.engine.keys import Keys
from sojourn.errors import CorruptRecord, NewerFormat, TooLarge, Unavailable
from sojourn.ids import AppName, SessionKey, UserId, UserKey
from sojourn.resilience.deadline import from_now, half_of_remaining
from sojourn.sessions.hashes import (
    FOREIGN,
    DecodedState,
    FieldError,
    Stamp,
    app_stamps,
    app_state,
    user_state,
)
from sojourn.sessions.inspection import CorruptionReporter
from sojourn.sessions.quarantine import field_of
from sojourn.sessions.replies import counted, ms, pairs
from sojourn.sessions.scripts import load
from sojourn.sessions.store import Pairs

log = logging.getLogger("sojourn.sessions")

APPLY, ENROLL, REFRESH = (load(name) for name in ("apply", "enroll", "refresh"))

_AGAIN = 60.0
"""Seconds after which an active user is entered again: others may have evicted the index."""
_ROLL = 10_000
"""Users whose enrolment a process remembers."""
_MONTH = 30 * 86_400


class Policy(NamedTuple):
    """Lifetimes in seconds (None is for ever) and caps in bytes or events (None is no cap).

    `notices` says whether every change of a session is told to who listens.
    """

    session_ttl: float | None
    state_ttl: float | None
    max_state_bytes: int
    max_events: int | None
    max_sessions: int | None = None
    notices: bool = False


class Drained(NamedTuple):
    """What became of the deltas in an outbox.

    Attributes:
        left: state that could not be applied now, each value with its stamp.
        readable: False when an entry was damaged, or waits for a newer version.
        newer: how many entries only a newer version of Sojourn can read; they stay.
        damaged: entries that cannot be read; they stay, too, when there is no room in the
            quarantine.
    """

    left: Mapping[str, tuple[Stamp, bytes]]
    readable: bool
    newer: int = 0
    damaged: Sequence[bytes] = ()

    def over(self, app: DecodedState, stamps: Mapping[str, Stamp]) -> Pairs:
        """The state of an app with what is left, where that is newer.

        Raises:
            NewerFormat: a newer version wrote the app's.
        """
        newer = {
            name: value
            for name, (stamp, value) in self.left.items()
            if stamp >= stamps.get(name, (0, b""))
        }
        return {**app.known(), **newer}


class Commons:
    """Shared state and indexes of one deployment, over an engine."""

    def __init__(
        self, engine: Engine, keys: Keys, policy: Policy, inspection: CorruptionReporter
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._policy = policy
        lives = (policy.session_ttl, policy.state_ttl)
        self._shared_life = None if None in lives else max(life for life in lives if life)
        self._inspection = inspection
        self._roll: OrderedDict[tuple[AppName, UserId], tuple[float, float, float]] = OrderedDict()
        self._losses = 0

    # ── app state ──────────────────────────────────────────────────────────────────────────────

    async def share(
        self, owner: UserKey, operation_id: str, delta: Pairs, stamp: int, waiting: int
    ) -> None:
        """Carry an app delta from the user's outbox to the app's own slot.

        The outbox entry was written with the event, so that a client that dies here loses nothing:
        whoever touches the user next finds it, or this client when it repeats the write.

        Args:
            owner: whose outbox.
            operation_id: of the write that left the entry.
            delta: the state to set; empty when the write left none.
            stamp: when it was written, server's clock in microseconds.
            waiting: how many entries others had left there.

        What cannot be carried now stays in the outbox: the write itself has taken effect.

        Raises:
            TooLarge: the app's state would be over its cap; it is as before.
        """
        try:
            if delta:
                await self._apply(
                    owner, operation_id.encode(), stamp, delta, "after" if waiting else "now"
                )
            if waiting:
                await self.drain(owner)
        except Unavailable as error:
            log.warning("An app: delta waits in its outbox: %s", error)
        except CorruptRecord:
            await self._report_app(owner)

    async def drain(self, owner: UserKey) -> Drained:
        """Carry over what is left in a user's outbox.

        What cannot be read is taken out of it and put into the quarantine; what a newer version
        wrote in a way that this one cannot read stays, for one that can.
        """
        outbox = self._keys.user(owner).outbox
        left: dict[str, tuple[Stamp, bytes]] = {}

        def keep(stamp: Stamp, delta: Pairs) -> None:
            for name, value in delta.items():
                left[name] = max(left.get(name, (stamp, value)), (stamp, value))

        flaws: list[FieldError] = []
        damaged: list[bytes] = []
        newer = 0
        flat: list[bytes] = await self._engine.run(
            Call("sessions.outbox", (outbox,), only, commands=[("HGETALL", outbox)])
        )
        for operation_id, entry in pairs(flat):
            try:
                stamp, delta = _left(operation_id, entry)
            except NewerFormat as error:
                log.warning("An app: delta waits for a newer version of Sojourn: %s", error)
                newer += 1
                continue
            except (ValueError, RecursionError) as error:
                flaws.append(FieldError(field_of(operation_id), str(error), entry))
                damaged.append(operation_id)
                continue
            try:
                await self._apply(owner, operation_id, stamp, delta)
            except TooLarge as error:  # its writer was told, or has died
                log.warning("A delta left in an outbox was refused: %s", error)
            except Unavailable as error:
                log.warning("An app: delta waits in its outbox: %s", error)
                keep((stamp, operation_id), delta)
            except CorruptRecord:
                await self._report_app(owner)
                keep((stamp, operation_id), delta)
        flawed = await self._inspection.report(owner, None, "outbox", outbox, flaws)
        return Drained(left, not (flawed or newer), newer, damaged)

    async def _report_app(self, owner: UserKey) -> None:
        """The state of an app is a key of another type: deltas wait until it is gone."""
        key = self._keys.app_state(owner.app)
        await self._inspection.report(owner, None, "app state", key, [FOREIGN])

    async def _apply(
        self,
        owner: UserKey,
        operation_id: bytes,
        stamp: int,
        delta: Pairs,
        order: Literal["now", "after", ""] = "",
    ) -> None:
        """Apply a delta: at once as the latest of all, one that has waited by its stamp.

        `after` is at once, too, and later than what still waits in the outbox.
        """
        key, outbox = self._keys.app_state(owner.app), self._keys.user(owner).outbox
        cap = self._policy.max_state_bytes
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.apply",
                keys=(key,),
                read=only,
                script=APPLY,
                args=(
                    *(stamp, operation_id, ms(self._policy.state_ttl), cap),
                    order,
                    *counted(delta),
                ),
                operation_id=operation_id.decode(),
            )
        )
        done: Call[Any] = Call(
            "sessions.outbox", (outbox,), only, commands=[("HDEL", outbox, operation_id)]
        )
        self._engine.send_nowait(done)
        if reply[0] != b"ok":
            left = "it is as before, and the event or session that set it is stored"
            if len(reply) > 2:  # noqa: PLR2004 - it says what was counted
                raise TooLarge(
                    *("The app's state", int(reply[1]), CAPS.state_keys, "", left), unit="keys"
                )
            raise TooLarge("The app's state", int(reply[1]), cap, "max_state_bytes", left)

    def state_calls(self, owner: UserKey) -> tuple[Call[DecodedState], Call[DecodedState]]:
        """Read the state of a user and of its app."""
        user, app = self._keys.user(owner).state, self._keys.app_state(owner.app)
        return (
            Call(
                "sessions.state",
                (user,),
                _user,
                [("HGETALL", user)],
                separate_connection=True,
                allow_wrong_type=True,
            ),
            Call(
                "sessions.state",
                (app,),
                _app,
                [("HGETALL", app)],
                separate_connection=True,
                allow_wrong_type=True,
            ),
        )

    def stamped_call(self, owner: UserKey) -> Call[tuple[DecodedState, Mapping[str, Stamp]]]:
        """Read the state of an app, and the stamps of its values."""
        app = self._keys.app_state(owner.app)
        return Call(
            "sessions.state", (app,), _stamped, commands=[("HGETALL", app)], allow_wrong_type=True
        )

    async def report(self, owner: UserKey, user: DecodedState, app: DecodedState) -> bool:
        """Report what of the state of a user and its app cannot be read; whether anything."""
        keys = self._keys.user(owner).state, self._keys.app_state(owner.app)
        return any(
            [
                await self._inspection.report(owner, None, "user state", keys[0], user.flaws),
                await self._inspection.report(owner, None, "app state", keys[1], app.flaws),
            ]
        )

    def told(self, owner: UserKey | SessionKey) -> tuple[str, ...]:
        """The last key of every script that changes a session, where notices are wanted."""
        return (self._keys.user(owner).notices,) if self._policy.notices else ()

    def told_for(self) -> tuple[str, ...]:
        """The last argument of those that do not have it already: how long notices live."""
        return (ms(self._policy.state_ttl),) if self._policy.notices else ()

    # ── indexes ────────────────────────────────────────────────────────────────────────────────

    async def enroll(self, owner: UserKey, ttl: float | None) -> bool:
        """Enter a user into its app's index, unless this process did so lately. One round trip.

        The node of a Cluster that has the index may be lost while the user's own is well. Then the
        user may be missing in lists until somebody touches one of its sessions (`keep_alive`), and
        half of the time is left for what comes next.

        Returns:
            whether it did so now.
        """
        due = self.enrolment(owner, ttl)
        if not due:
            return False
        replies = await self._engine.gather_calls(due, aside=len(due), by=self.enrolled_by())
        failed = [reply for reply in replies if isinstance(reply, BaseException)]
        for error in failed:
            self.check_lost(error)
        if failed:
            return False
        self.enrolled(owner, ttl)
        return True

    def enrolment(self, owner: UserKey, ttl: float | None) -> list[Call[Any]]:
        """What enters a user into its app's index; nothing if this process did so lately."""
        return self._enrolment(owner, ttl) if self._is_due(owner, ttl, time.monotonic()) else []

    def enrolled(self, owner: UserKey, ttl: float | None) -> None:
        """A user is in its app's index now."""
        self._enrolled(owner, ttl)
        self._refresh(owner)

    def enrolled_by(self) -> float:
        """When that must have been done: in a Cluster, half of the time is for what comes next."""
        if not self._engine.is_spread:
            return math.inf
        return min(half_of_remaining(), from_now(self._engine.timeout / 2))

    def check_lost(self, error: BaseException) -> None:
        """Raise what a user was not entered for, unless the node of the index alone is lost."""
        if not (self._engine.is_spread and isinstance(error, Unavailable)):
            raise error
        log.warning("A user is not in the index of its app until its next touch: %s", error)

    def enroll_again(self, owner: UserKey, ttl: float | None) -> None:
        """Enter a user with a new session: others may have forgotten or evicted it since.

        Nobody waits for it.
        """
        due, lasting, _ = self._roll.get(owner, (0.0, 0.0, 0.0))
        self._roll[owner] = (due, lasting, time.monotonic() + _AGAIN)
        for call in self._enrolment(owner, ttl):
            self._engine.send_nowait(call, lost=lambda: self._roll.pop(owner, None))

    async def strike(self, owner: UserKey) -> None:
        """Take a user out of its app's index. One round trip."""
        self._roll.pop(owner, None)
        index = self._keys.users_of(owner)
        await self._engine.run(
            Call(
                "sessions.strike",
                (index,),
                only,
                commands=[("ZREM", index, owner.user)],
                allow_wrong_type=True,  # what is not an index names nobody
            )
        )

    async def enter(self, owner: UserKey, ttl: float | None) -> None:
        """As `enroll`, but what the user shares with others does not live for longer."""
        if self._is_due(owner, ttl, time.monotonic()):
            await self._engine.run_all(self._enrolment(owner, ttl))
            self._enrolled(owner, ttl)

    def keep_alive(self, key: UserKey | SessionKey, ttl: float | None) -> None:
        """Once in a while, lengthen what the user shares with others; nobody waits for it.

        Once a minute its entries in the indexes are written again, should these have been evicted.

        Args:
            key: of the user, or of a session of theirs.
            ttl: seconds that the session at hand lives; None for ever.
        """
        now = time.monotonic()
        owner = key[:2]
        due = self._is_due(owner, ttl, now)
        if not due and self._roll[owner][2] >= now:
            return
        owner = UserKey(*owner)
        if not due:
            self.enroll_again(owner, ttl)
            return
        self._enrolled(owner, ttl)
        for call in self._enrolment(owner, ttl):
            self._engine.send_nowait(call, lost=lambda: self._roll.pop(owner, None))
        self._refresh(owner)

    def _refresh(self, owner: UserKey) -> None:
        lifetime = ms(self._policy.state_ttl)
        for key in (self._keys.user(owner).state, self._keys.app_state(owner.app)):
            self._engine.send_nowait(
                Call("sessions.refresh", (key,), only, script=REFRESH, args=(lifetime,))
            )

    def _is_due(self, owner: tuple[AppName, UserId], ttl: float | None, now: float) -> bool:
        """Not enrolled lately, not for long enough, or on a server that may have lost it since."""
        if self._losses != self._engine.tally.broken:
            self._losses = self._engine.tally.broken
            self._roll.clear()
        due, lasting, _ = self._roll.get(owner, (0.0, 0.0, 0.0))
        return due < now or (lasting < math.inf and lasting < self._lasting(ttl))

    def _enrolled(self, owner: UserKey, ttl: float | None) -> None:
        """Remember it for a thirtieth of the shared lifetime, a day by default."""
        now = time.monotonic()
        due = now + (self._policy.state_ttl or _MONTH) / 30
        self._roll[owner] = (due, self._lasting(ttl), now + _AGAIN)
        self._roll.move_to_end(owner)
        if len(self._roll) > _ROLL:
            self._roll.popitem(last=False)

    def _lasting(self, ttl: float | None) -> float:
        """Seconds that outlive a session, however its life is lengthened until the next time."""
        if ttl is None or self._shared_life is None:
            return math.inf
        return 2 * max(ttl, self._shared_life)

    def _enrolment(self, owner: UserKey, ttl: float | None) -> list[Call[Any]]:
        lasting = self._lasting(ttl)
        until = "" if lasting == math.inf else ms(lasting)
        return [
            Call("sessions.enroll", (index,), only, script=ENROLL, args=(until, name))
            for index, name in (
                (self._keys.apps(), owner.app),
                (self._keys.users_of(owner), owner.user),
            )
        ]


def _user(replies: list[Any]) -> DecodedState:
    return user_state(replies[0])


def _app(replies: list[Any]) -> DecodedState:
    return app_state(replies[0])


def _stamped(replies: list[Any]) -> tuple[DecodedState, Mapping[str, Stamp]]:
    return app_state(replies[0]), app_stamps(replies[0])


class _Encoded(msgspec.Struct):
    """A value that is encoded, inside JSON."""

    text: str = msgspec.field(name=growth.MEMBER)


class _Entry(msgspec.Struct):
    """A delta on its way, as its event's script left it."""

    stamp: int
    delta: dict[str, str | _Encoded]
    format: str | None = None


_read_entry = msgspec.json.Decoder(_Entry).decode


def _left(operation_id: bytes, entry: bytes) -> tuple[int, Pairs]:
    """An entry of an outbox: its stamp and its delta.

    Raises:
        NewerFormat: a newer version wrote it so.
        ValueError: it cannot be read.
    """
    operation_id.decode()
    left = _read_entry(entry)
    growth.check_format(left.format, "A delta in the outbox")
    if left.stamp < 0:
        raise ValueError("a negative stamp")
    delta: dict[str, bytes] = {}
    for name, value in left.delta.items():
        if isinstance(value, _Encoded):
            growth.plain(b64decode(value.text), "A delta in the outbox")
            raise ValueError("a value that is encoded and is not")  # noqa: TRY004 - of JSON
        delta[name] = value.encode()
        decode(delta[name])
    return left.stamp, delta
