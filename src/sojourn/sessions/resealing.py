"""Sealing of buffered writes: anew, when the key that sealed them seals no more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from sojourn.calls.operation import RoomStore
from sojourn.caps import CEILING
from sojourn.codecs.codec import Codec, Coder, Place, sealed_with
from sojourn.codecs.growth import MARK, Unopened
from sojourn.codecs.recoding import Recoder
from sojourn.errors import CorruptRecord, Undecodable
from sojourn.ids import SessionKey
from sojourn.sessions.event_codec import decoded_row, encoded_row, place_of_log
from sojourn.sessions.operations import Append, Create
from sojourn.sessions.operations.log_id import ReadLogId
from sojourn.sessions.record import FIELDS, is_content
from sojourn.sessions.store import Delta, Pairs


async def append_sealed_now(append: Append, codec: Codec, store: RoomStore) -> Append:
    """An append that has waited, as it would be sealed now. What is plain stays so.

    Another data key may have taken the place of its own meanwhile, which is removed then: nobody
    could read the session any more. None, or a round trip when the keys are not cached, and one
    more when something is sealed anew.

    Raises:
        Unavailable: the keys are not cached, and no server answers.
        Erased: the key is gone.
        CorruptRecord: it was damaged or changed, or is not sealed where only sealed values may be.
    """
    key, delta = append.key, append.delta
    try:
        outdated = await _outdated(codec, key, append.rows, delta)
        if outdated is None:
            return append
        known = await store.run(ReadLogId(key))
        if known is None or append.write.incarnation not in ("", known.incarnation):
            return append  # it will be refused
        log = place_of_log(key, known.log_id)
        rows = [_row(outdated.user, log, row) for row in append.rows]
        return replace(append, rows=rows, delta=outdated.delta(delta, key, known.log_id))
    except Undecodable:  # who has the keys reads it
        return append
    except ValueError as error:
        raise _unreadable(error) from error


async def create_sealed_now(create: Create, codec: Codec) -> Create:
    """The same of a create that has waited."""
    key, fields = create.key, create.fields
    content = {name: value for name, value in fields.items() if is_content(name)}
    try:
        outdated = await _outdated(codec, key, content.values(), create.state)
        if outdated is None:
            return create
        log_id = fields.get("log_id", b"").decode()
        place = Place("sessions", "", key.app, key.user, log_id)
        new = {
            name: _value(outdated.user, value, place._replace(field=name), FIELDS[name].is_json)
            for name, value in content.items()
        }
        state = outdated.delta(create.state, key, log_id)
        return replace(create, fields={**fields, **new}, state=state)
    except Undecodable:
        return create
    except ValueError as error:
        raise _unreadable(error) from error


class _Outdated(NamedTuple):
    """What seals a write anew: the values of its user, and of its app."""

    user: Recoder
    app: Recoder

    def delta(self, delta: Delta, key: SessionKey, log_id: str) -> Delta:
        """State sealed anew."""
        app, user = key.app, key.user
        return Delta(
            self._state(self.user, delta.session, Place("sessions", "state", app, user, log_id)),
            self._state(self.user, delta.user, Place("sessions", "user state", app, user)),
            self._state(self.app, delta.app, Place("sessions", "app state", app, None)),
        )

    @staticmethod
    def _state(recoder: Recoder, pairs: Pairs, of: Place) -> Pairs:
        return {
            name: recoder.value(value, of._replace(name=name), CEILING.state, sized=True)
            if value[:1] == MARK
            else value
            for name, value in pairs.items()
        }


async def _outdated(
    codec: Codec, key: SessionKey, values: Iterable[bytes], delta: Delta
) -> _Outdated | None:
    """What seals a write anew; None if it is plain, or sealed with what seals now."""
    if codec.keys is None:
        return None
    of_user = [*values, *delta.session.values(), *delta.user.values()]
    of_app = [*delta.app.values()]
    user = await codec.coder(key.app, key.user, of_user, create=True)
    app = await codec.coder(key.app, None, of_app, create=True) if of_app else user
    if not (_is_other(user, of_user) or _is_other(app, of_app)):
        return None
    return _Outdated(Recoder(user, user), Recoder(app, app))


def _is_other(coder: Coder, stored: Iterable[bytes]) -> bool:
    seals = coder.seals_with
    return bool(seals) and any(
        value[:1] == MARK and sealed_with(value) != seals for value in stored
    )


def _value(recoder: Recoder, value: bytes, place: Place, is_json: bool) -> bytes:
    """A field sealed anew; one without any encoding is encoded when it is written."""
    if value[:1] != MARK:
        return value
    return recoder.value(value, place, CEILING.state, json=is_json)


def _row(recoder: Recoder, log: bytes, row: bytes) -> bytes:
    if row[:1] != MARK:
        return row
    opened = decoded_row(recoder.reads, log, row)
    if isinstance(opened, Unopened):
        raise opened.error
    return encoded_row(recoder.writes, log, opened)


def _unreadable(error: ValueError) -> CorruptRecord:
    return CorruptRecord(
        f"A write that has waited cannot be read ({error}): it was not done.", key="", raw=b""
    )
