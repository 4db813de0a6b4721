"""The quarantine on a server: one hash for each user, in the user's slot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from sojourn.calls.call import Argument, Call, only
from sojourn.engine.engine import Engine
from sojourn.ids import SessionKey, UserKey
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.model import Quarantined
from sojourn.sessions.quarantine import LARGEST, MOST, MOST_BYTES, UnreadablePart, name_of, visible
from sojourn.sessions.replies import ms, pairs
from sojourn.sessions.scripts import load

_KEEP, _RELEASE = (load(name) for name in ("quarantine", "release"))

_SUM = b"bytes"
"""The field that says how large all records are."""


class _About(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands before the bytes of a record; the script adds the time."""

    key: str
    field: str
    reason: str
    size: int
    time: float = 0.0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_About).decode


class RedisQuarantine:
    """Records that cannot be read, over an engine.

    Args:
        engine: to the server.
        keys: of the deployment.
        ttl: seconds that records are kept from the last of them on; None for ever.
    """

    def __init__(self, engine: Engine, keys: SessionRoomKeys, ttl: float | None) -> None:
        self._engine = engine
        self._keys = keys
        self._ttl = ms(ttl)
        self._sent: set[asyncio.Future[Any]] = set()

    def keep(self, owner: UserKey, records: Sequence[UnreadablePart]) -> None:
        """One script; nobody waits for it."""
        user = self._keys.user(owner)
        arguments: list[Argument] = [self._ttl, MOST, MOST_BYTES]
        for each in records:
            moved = each.part == "outbox" and each.field != ""
            key, field = self._key_of(owner, each), visible(each.field)
            about = _About(key, field, each.reason, len(each.raw))
            arguments += [
                each.id,
                _encode(about),
                each.raw if moved else each.raw[:LARGEST],
                name_of(each.field) if moved else "",
            ]
        sent = self._engine.send_nowait(
            Call(
                name="sessions.quarantine",
                keys=(user.quarantine, user.outbox),
                read=only,
                script=_KEEP,
                args=arguments,
                separate_connection=True,
            )
        )
        self._sent.add(sent)
        sent.add_done_callback(self._sent.discard)

    async def records(self, owner: UserKey) -> list[Quarantined]:
        """One round trip."""
        key = self._keys.user(owner).quarantine
        flat: list[bytes] = await self._engine.run(
            Call(
                "sessions.quarantined",
                (key,),
                only,
                commands=[("HGETALL", key)],
                separate_connection=True,
            )
        )
        found = [_record(key, id_, record) for id_, record in pairs(flat) if id_ != _SUM]
        return sorted(found, key=lambda each: (each.time, each.id))

    async def forget(self, owner: UserKey) -> int:
        """One round trip, after the records that this loop still sends."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            *(sent for sent in list(self._sent) if sent.get_loop() is loop), return_exceptions=True
        )
        key = self._keys.user(owner).quarantine
        call: Call[list[object]] = Call(
            name="sessions.release",
            keys=(key,),
            read=list,
            commands=[("HLEN", key), ("UNLINK", key)],
            allow_wrong_type=True,
        )
        count, _ = await self._engine.run(call)
        return max(0, count - 1) if isinstance(count, int) else 0

    async def remove(self, owner: UserKey, id: str) -> bool:  # noqa: A002 - as the field
        """One round trip."""
        key = self._keys.user(owner).quarantine
        call = Call("sessions.release", (key,), only, script=_RELEASE, args=(id,))
        removed: int = await self._engine.run(call)
        return bool(removed)

    def _key_of(self, owner: UserKey, found: UnreadablePart) -> str:
        if found.key:
            return found.key
        user = self._keys.user(owner)
        keys = {
            "user state": user.state,
            "app state": self._keys.app_state(owner.app),
            "outbox": user.outbox,
            "index": user.by_update,
        }
        if found.session is not None:
            ours = self._keys.session(SessionKey(*owner, found.session))
            keys |= {"session": ours.head, "events": ours.events}
        return keys[found.part]


def _record(key: str, id_: bytes, record: bytes) -> Quarantined:
    head, _, raw = record.partition(b"\n")
    try:
        about = _decode(head)
    except ValueError:
        reason = "this record of the quarantine cannot be read itself"
        about, raw = _About(key, "", reason, len(record)), record
    return Quarantined(
        id=id_.decode(errors="backslashreplace"),
        key=about.key,
        field=about.field,
        reason=about.reason,
        time=about.time,
        size=about.size,
        raw=raw,
    )
