"""Content of sessions, users and apps, encoded anew for a job that goes over all records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from sojourn.calls.call import Call
from sojourn.caps import CEILING
from sojourn.codecs import growth, in_pieces
from sojourn.codecs.codec import Place, plain_size
from sojourn.codecs.growth import MARK, Unopened
from sojourn.codecs.recoding import Recoder, Recoding, unless_same
from sojourn.engine.engine import Engine
from sojourn.ids import AppName, SessionKey, UserKey
from sojourn.sessions.event_codec import (
    NotARow,
    decode_row,
    decoded_row,
    encoded_row,
    place_of_log,
)
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.record import FIELDS

_STATE, _SIZE = b"state:", b"size:"
_ROTATIONS = (b"rotate:", b"rotated:", b"rotated-from:")

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_to_json = msgspec.json.Encoder().encode


class SessionRecoding:
    """The content of this room's records, as a `RoomRecoding`.

    Args:
        engine: where calls go.
        keys: tell whose a record is.
    """

    def __init__(self, engine: Engine, keys: SessionRoomKeys) -> None:
        self._engine = engine
        self._keys = keys

    async def fields(
        self, kind: str, key: str, fields: Mapping[bytes, bytes], recoding: Recoding
    ) -> Mapping[bytes, bytes]:
        """A session's hash, that of a user's or an app's state, or an outbox."""
        growth.check_format(fields.get(b"format"), key)
        app, *names = self._keys.named(key)
        if kind == "outbox":
            recoder = await recoding.recoder(app, None, _deltas(fields.values()))
            return {name: _recoded_delta(recoder, value, app) for name, value in fields.items()}
        user = names[0] if names else None
        recoder = await recoding.recoder(app, user, fields.values())
        log_id = fields.get(b"log_id", b"").decode(errors="replace") if kind == "session" else ""
        field = "state" if kind == "session" else "app state" if user is None else "user state"
        place = Place("sessions", field, app, user, log_id)
        new = dict(fields)
        for name, value in fields.items():
            word = name.decode(errors="replace")
            if name.startswith(_STATE):
                at = place._replace(name=word[len(_STATE) :])
                _set_state(new, name, recoder.value(value, at, CEILING.state, sized=True))
            elif kind == "session" and word in FIELDS and not FIELDS[word].in_clear:
                at = place._replace(field=word)
                is_json = FIELDS[word].is_json
                new[name] = recoder.value(value, at, CEILING.state, json=is_json)
        return new

    async def rows(
        self, session: str, head: Mapping[bytes, bytes], rows: Sequence[bytes], recoding: Recoding
    ) -> Sequence[bytes]:
        """Rows of a log. Those that cannot be opened stay: a read puts them into the quarantine."""
        key = SessionKey.of(*self._keys.named(session))
        place = place_of_log(key, head.get(b"log_id", b"").decode(errors="replace"))
        recoder = await recoding.recoder(key.app, key.user, rows)

        def recoded(row: bytes) -> bytes:
            opened = decoded_row(recoder.reads, place, row)
            if isinstance(opened, Unopened):
                return row
            if opened is row:  # in plain text; encoded, it would get another checksum
                try:
                    decode_row(row)
                except (NotARow, RecursionError):
                    return row
            return unless_same(row, encoded_row(recoder.writes, place, opened))

        return await in_pieces(recoded, rows)

    async def moved_within(self, owner: UserKey, seconds: float) -> bool:
        """Whether a session of a user got another id in the last so many seconds. Two round trips.

        Its keys have other names since then, and what goes over all keys may have missed them.
        """
        key = self._keys.user(owner).operations
        clock: Call[list[Any]] = Call("sessions.clock", (key,), list, [("TIME",)])
        at, micros = (await self._engine.run(clock))[0]
        since = f"{(int(at) + int(micros) / 1e6 - seconds) * 1000:.0f}"
        command = ("ZRANGEBYSCORE", key, since, "+inf")
        call: Call[list[Any]] = Call("sessions.moved", (key,), list, [command])
        return any(member.startswith(_ROTATIONS) for member in (await self._engine.run(call))[0])


def _set_state(fields: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    """A state value; scripts find the plain size of an encoded one beside it."""
    size = _SIZE + name[len(_STATE) :]
    if fields[name] != value:
        fields.pop(size, None)
        if value[:1] == MARK:
            fields[size] = b"%d" % plain_size(value)
    fields[name] = value


def _deltas(entries: Iterable[bytes]) -> list[bytes]:
    """The encoded values in an outbox."""
    found: list[bytes] = []
    for entry in entries:
        with suppress(ValueError, KeyError, RecursionError):  # a flush puts it into the quarantine
            found += [value for value in _values(entry).values() if value[:1] == MARK]
    return found


def _values(entry: bytes) -> dict[str, bytes]:
    """What an entry of an outbox sets, as it is stored.

    Raises:
        ValueError: it cannot be read.
    """
    delta = _members(_members(entry)["delta"])
    return {name: _stored(text) for name, text in delta.items()}


def _stored(text: msgspec.Raw) -> bytes:
    written = bytes(text)
    return growth.of_member(written) if written[:1] == b"{" else _text(written).encode()


def _recoded_delta(recoder: Recoder, entry: bytes, app: AppName | str) -> bytes:
    try:
        members, values = _members(entry), _values(entry)
        major = growth.major_of(_text(members["format"])) if "format" in members else 1
    except (ValueError, KeyError, RecursionError):
        return entry  # a flush puts it into the quarantine
    growth.check_major(major, "A delta in the outbox")
    place = Place("sessions", "app state", app, None)
    new = {
        name: recoder.value(value, place._replace(name=name), CEILING.state, sized=True)
        for name, value in values.items()
    }
    if new == values:
        return entry
    delta = {name: msgspec.Raw(_as_text(value)) for name, value in new.items()}
    return _to_json({**members, "delta": delta})


def _as_text(value: bytes) -> bytes:
    return growth.to_member(value) if value[:1] == MARK else _to_json(value.decode())
