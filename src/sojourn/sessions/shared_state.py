"""State that sessions share, of users and apps, and the outbox in which app deltas wait."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from sojourn.calls.call import Call, only
from sojourn.caps import CAPS
from sojourn.codecs import decode, growth
from sojourn.engine.engine import Engine
from sojourn.errors import CorruptRecord, NewerFormat, TooLarge, Unavailable, Undecodable
from sojourn.ids import UserKey
from sojourn.sessions.inspection import CorruptionReporter
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.policy import Policy
from sojourn.sessions.quarantine import field_of
from sojourn.sessions.replies import counted, ms, pairs
from sojourn.sessions.scripts import load
from sojourn.sessions.session_codec import (
    FOREIGN,
    DecodedState,
    FieldError,
    Stamp,
    app_stamps,
    app_state,
    user_state,
)
from sojourn.sessions.store import Pairs

log = logging.getLogger("sojourn.sessions")

APPLY_DELTA = load("apply_delta")


class FlushedOutbox(NamedTuple):
    """The result of flushing an outbox.

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


class SharedState:
    """The state of users and apps of one deployment, over an engine."""

    def __init__(
        self, engine: Engine, keys: SessionRoomKeys, policy: Policy, inspection: CorruptionReporter
    ) -> None:
        self._engine = engine
        self._keys = keys
        self.policy = policy
        self._inspection = inspection

    async def apply_delta(
        self, owner: UserKey, operation_id: str, delta: Pairs, stamp: int, waiting: int
    ) -> None:
        """Apply an app delta from the user's outbox in the app's own slot.

        The outbox entry was written with the event, so that a client that dies here loses nothing:
        whoever touches the user next finds it, or this client when it repeats the write.

        Args:
            owner: whose outbox.
            operation_id: of the write that left the entry.
            delta: the state to set; empty when the write left none.
            stamp: when it was written, server's clock in microseconds.
            waiting: how many entries others had left there.

        What cannot be applied now stays in the outbox: the write itself has taken effect.

        Raises:
            TooLarge: the app's state would be over its cap; it is as before.
        """
        try:
            if delta:
                await self._apply(
                    owner, operation_id.encode(), stamp, delta, "after" if waiting else "now"
                )
            if waiting:
                await self.flush(owner)
        except Unavailable as error:
            log.warning("An app: delta waits in its outbox: %s", error)
        except CorruptRecord:
            await self._report_app(owner)

    async def flush(self, owner: UserKey) -> FlushedOutbox:
        """Apply what is left in a user's outbox.

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
            except (TooLarge, Undecodable) as error:  # its writer was told, or has died
                log.warning("A delta left in an outbox was refused: %s", error)
            except Unavailable as error:
                log.warning("An app: delta waits in its outbox: %s", error)
                keep((stamp, operation_id), delta)
            except CorruptRecord:
                await self._report_app(owner)
                keep((stamp, operation_id), delta)
        flawed = await self._inspection.report(owner, None, "outbox", outbox, flaws)
        return FlushedOutbox(left, not (flawed or newer), newer, damaged)

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
        cap = self.policy.max_state_bytes
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.apply_delta",
                keys=(key,),
                read=only,
                script=APPLY_DELTA,
                args=(
                    *(stamp, operation_id, ms(self.policy.state_ttl), cap),
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
            if reply[0] == b"sealed":
                raise growth.refusal("The app's state", key, value=reply[1])
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


def _user(replies: list[Any]) -> DecodedState:
    return user_state(replies[0])


def _app(replies: list[Any]) -> DecodedState:
    return app_state(replies[0])


def _stamped(replies: list[Any]) -> tuple[DecodedState, Mapping[str, Stamp]]:
    return app_state(replies[0]), app_stamps(replies[0])


class _Entry(msgspec.Struct):
    """A delta on its way, as its event's script left it."""

    stamp: int
    delta: dict[str, str | growth.EncodedMember]
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
        delta[name] = growth.of_string(value)
        if isinstance(value, str):
            decode(delta[name])
        else:
            growth.check_stored(delta[name], "A delta in the outbox")
    return left.stamp, delta
