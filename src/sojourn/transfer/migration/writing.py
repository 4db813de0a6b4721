"""Writes a session of a source in one step, with the times and the lifetime that it has there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from sojourn.calls.operation import RoomStore
from sojourn.errors import InvalidInput, Unavailable
from sojourn.sessions import checks
from sojourn.sessions.archive import ArchivedSession, Outcome
from sojourn.sessions.encoding import encode_events, encode_state
from sojourn.sessions.operations.restore import RestoreSession, StageEvents
from sojourn.sessions.record import FIELDS, encode_fields
from sojourn.sessions.store import SessionHeader
from sojourn.transfer.migration.lifetimes import SourceLifetimes
from sojourn.transfer.migration.model import SourceSession
from sojourn.transfer.values import derived_log_id
from sojourn.wiring import Stores

_EVENTS, _BYTES = 500, 1024 * 1024
"""Of one write: no server is held up for long."""
_TRIES = 3
"""How often a long session is sent whose first events are gone before it is whole."""


async def image_of(
    session: SourceSession, lifetimes: SourceLifetimes, stores: Stores
) -> ArchivedSession:
    """What a session is to be here, its whole log in `rows`.

    Raises:
        InvalidInput: a value that cannot be stored, or `user:` or `app:` state.
        TooLarge: an event is over its cap.
    """
    rows, _ = await encode_events(session.events, stores.options.max_event_bytes)
    own = await encode_state(session.state)
    if own.user or own.app:
        raise InvalidInput("A session's own state has no `user:` or `app:` keys.")
    cap, seq = stores.options.max_events, len(rows)
    updated = session.updated
    if updated is None:
        updated = session.events[-1].time if session.events else time.time() + lifetimes.skew
    incarnation = _incarnation(session)
    head = SessionHeader(
        incarnation=incarnation,
        version=1,
        epoch=0,
        seq=seq,
        dropped=0 if cap is None else max(0, seq - cap),
        created=checks.instant(created_at(session), "created"),
        updated=checks.instant(updated, "updated"),
        ttl=checks.lifetime(lifetimes.of(session)),
        until=checks.end(session.until),
        expires=lifetimes.end(session),
        log_id=derived_log_id(incarnation),
        fields=encode_fields({name: getattr(session, name) for name in FIELDS}),
    )
    return ArchivedSession(head, own.session, head.incarnation, 0, rows[head.dropped :])


async def write(store: RoomStore, session: SourceSession, image: ArchivedSession) -> Outcome:
    """Write it unless there is one. One round trip; one more for each part of a long log.

    Raises:
        Conflict: it was written before and is gone since.
        TooManySessions: the user has as many as one may have.
        TooLarge: the state is over its cap.
        Unavailable: and its kin; or parts of a long log do not stay until it is whole.
    """
    parts = list(in_parts(image.rows))
    if len(parts) > 1:
        image = image._replace(before=len(image.rows), rows=())
        for _ in range(_TRIES):
            if await _staged(store, session, image, parts):
                break
        else:
            raise Unavailable(
                f"The first events of {session.where!r} are gone before the last have come: the "
                "server evicts keys, or others migrate the same session. Run it again."
            )
    return await store.run(RestoreSession(session.key, image, replace=False))


async def _staged(
    store: RoomStore,
    session: SourceSession,
    image: ArchivedSession,
    parts: Sequence[Sequence[bytes]],
) -> bool:
    """Send the log before the session; whether all of it is there then."""
    before, dropped = 0, image.head.dropped
    for part in parts:
        stage = StageEvents(session.key, image.staged, dropped, before, part, image.head.log_id)
        there = await store.run(stage)
        before += len(part)
        if there < before:
            return False
    return True


def in_parts(rows: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Some rows at a time; once also when there are none."""
    part: list[bytes] = []
    size = 0
    for row in rows:
        if part and (len(part) == _EVENTS or size + len(row) > _BYTES):
            yield part
            part, size = [], 0
        part.append(row)
        size += len(row)
    yield part


def created_at(session: SourceSession) -> float:
    """When it was created, or else when it was first heard of."""
    if session.created is not None:
        return session.created
    known = [event.time for event in session.events[:1]]
    if session.updated is not None:
        known.append(session.updated)
    return min(known, default=time.time())


def _incarnation(session: SourceSession) -> str:
    """The same when the same is migrated again."""
    digest = blake2b(digest_size=18)
    for word in (session.where, *session.key, repr(session.created), repr(session.updated)):
        digest.update(f"{len(word)}:{word}".encode())
    for event in session.events:
        digest.update(f"{len(event.id)}:{event.id}".encode())
    return digest.hexdigest()
