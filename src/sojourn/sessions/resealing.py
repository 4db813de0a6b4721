"""Sealing of buffered writes: anew, when the key that sealed them seals no more."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress

from msgspec.structs import replace

from sojourn.calls.operation import RoomStore
from sojourn.caps import CEILING
from sojourn.codecs.codec import Codec, Coder, Place, sealed_with
from sojourn.codecs.growth import Unopened
from sojourn.codecs.recoding import Recoder
from sojourn.errors import CorruptRecord, Undecodable
from sojourn.ids import AppName, SessionKey
from sojourn.sessions.event_codec import decoded_row, encoded_row, place_of_log
from sojourn.sessions.operations import Append, Create
from sojourn.sessions.operations.log_id import ReadLogId
from sojourn.sessions.record import FIELDS
from sojourn.sessions.store import NO_CHANGE, Delta, Pairs


async def append_sealed_now(append: Append, codec: Codec, store: RoomStore) -> Append:
    """An append that has waited, as it would be sealed now.

    Another data key may have taken the place of its own meanwhile, which is removed then: nobody
    could read the session any more. None, or a round trip when the keys are not cached, and one
    more when something is sealed anew.

    Raises:
        Unavailable: the keys are not cached, and no server answers.
        Erased: the key is gone.
        CorruptRecord: it was damaged or changed, or is plain text where only sealed values may be.
    """
    if not await _is_outdated(append.key, append.rows, append.delta, codec):
        return append
    known = await store.run(ReadLogId(append.key))
    if known is None or append.write.incarnation not in ("", known.incarnation):
        return append  # it will be refused
    key, log_id = append.key, known.log_id
    recoder = await _recoder(codec, key.app, key.user, _values(append.rows, append.delta))
    log = place_of_log(key, log_id)
    with _sound():
        rows = [_recoded_row(recoder, log, row) for row in append.rows]
        delta = await _recoded_delta(recoder, codec, key, log_id, append.delta)
    return replace(append, rows=rows, delta=delta)


async def create_sealed_now(create: Create, codec: Codec) -> Create:
    """The same of a create that has waited."""
    key, fields = create.key, create.fields
    content = {name: value for name, value in fields.items() if _is_content(name)}
    if not await _is_outdated(key, content.values(), create.state, codec):
        return create
    log_id = fields.get("log_id", b"").decode()
    recoder = await _recoder(codec, key.app, key.user, _values(content.values(), create.state))
    with _sound():
        new = {
            name: recoder.value(
                value,
                Place("sessions", name, key.app, key.user, log_id),
                CEILING.state,
                json=FIELDS[name].is_json,
            )
            for name, value in content.items()
        }
        state = await _recoded_delta(recoder, codec, key, log_id, create.state)
    return replace(create, fields={**fields, **new}, state=state)


async def _is_outdated(
    key: SessionKey, values: Iterable[bytes], delta: Delta, codec: Codec
) -> bool:
    """Whether something is not sealed with the key that seals now, if there is one."""
    if codec.keys is None:
        return False
    with suppress(Undecodable):  # who has the keys reads it
        for user, stored in (key.user, _values(values, delta)), (None, [*delta.app.values()]):
            if stored:
                seals = (await codec.coder(key.app, user, create=True)).seals_with
                if seals and any(sealed_with(value) != seals for value in stored):
                    return True
    return False


@contextmanager
def _sound() -> Generator[None]:
    try:
        yield
    except ValueError as error:
        raise CorruptRecord(
            f"A write that has waited cannot be read ({error}): it was not done.", key="", raw=b""
        ) from error


async def _recoder(codec: Codec, app: AppName, user: str | None, stored: list[bytes]) -> Recoder:
    coder: Coder = await codec.coder(app, user, stored, create=True)
    return Recoder(coder, coder)


def _recoded_row(recoder: Recoder, log: bytes, row: bytes) -> bytes:
    opened = decoded_row(recoder.reads, log, row)
    if isinstance(opened, Unopened):
        raise opened.error
    return encoded_row(recoder.writes, log, opened)


async def _recoded_delta(
    recoder: Recoder, codec: Codec, key: SessionKey, log_id: str, delta: Delta
) -> Delta:
    if delta is NO_CHANGE:
        return delta

    def recoded(with_: Recoder, pairs: Pairs, place: Place) -> Pairs:
        return {
            name: with_.value(value, place._replace(name=name), CEILING.state, sized=True)
            for name, value in pairs.items()
        }

    app, user = key.app, key.user
    of_app = delta.app
    if of_app:
        its = await _recoder(codec, app, None, [*of_app.values()])
        of_app = recoded(its, of_app, Place("sessions", "app state", app, None))
    return Delta(
        recoded(recoder, delta.session, Place("sessions", "state", app, user, log_id)),
        recoded(recoder, delta.user, Place("sessions", "user state", app, user)),
        of_app,
    )


def _values(values: Iterable[bytes], delta: Delta) -> list[bytes]:
    """What the user's key has sealed."""
    return [*values, *delta.session.values(), *delta.user.values()]


def _is_content(name: str) -> bool:
    return name in FIELDS and not FIELDS[name].in_clear
