"""Conversion of stored state and metadata to callers' values; unreadable ones are reported."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from sojourn.codecs import decode, decode_each, in_pieces
from sojourn.codecs.growth import plain, stored_form
from sojourn.codecs.pieces import Turns
from sojourn.errors import CorruptRecord
from sojourn.ids import SessionKey, UserKey
from sojourn.sessions import scope
from sojourn.sessions.model import Session
from sojourn.sessions.quarantine import Part, Quarantine, UnreadablePart
from sojourn.sessions.record import FIELDS, decode_fields
from sojourn.sessions.store import Pairs, SessionSnapshot, StoredPage

E = TypeVar("E")

_NOT_JSON = (ValueError, RecursionError)
_NOT_READ = (*_NOT_JSON, CorruptRecord)

_GAP: Final = object()
"""Stands for a value that cannot be read."""


class States:
    """Decodes what a store gave. What cannot be read is left out and goes to the quarantine."""

    def __init__(self, quarantine: Quarantine) -> None:
        self._quarantine = quarantine

    async def session(
        self, key: SessionKey, stored: SessionSnapshot, events: list[E]
    ) -> Session[E]:
        """The session that a store gave, with events in whatever view."""
        head = stored.head
        state, whole = await self.merged(key, stored.state, stored.user, stored.app)
        fields, readable = self._fields(key, head.fields)
        return Session(
            key=key,
            incarnation=head.incarnation,
            version=head.version,
            created=head.created,
            updated=head.updated,
            ttl=head.ttl,
            until=head.until,
            expires=head.expires,
            **fields,
            state=state,
            events=events,
            length=head.seq,
            complete=stored.complete and stored.readable and whole and readable,
            durable=stored.durable,
        )

    async def sessions(self, page: StoredPage) -> list[Session[Any]]:
        """Those of a page, without events; in between, the event loop does other work."""
        found: list[Session[Any]] = []
        turns = Turns()
        for key, stored in page.sessions:
            found.append(await self.session(key, stored, []))
            await turns.rest()
        return found

    async def merged(
        self, key: SessionKey, session: Pairs, user: Pairs, app: Pairs
    ) -> tuple[dict[str, Any], bool]:
        """The state that an agent sees, and whether all of it could be read."""
        try:
            return await _decoded(scope.merge(session, user, app)), True
        except _NOT_JSON:
            found: list[UnreadablePart] = []
            state = scope.merge(
                await self._readable(key, "session", session, found),
                await self._readable(key, "user state", user, found),
                await self._readable(key, "app state", app, found),
            )
            self._quarantine.add(found)
            return state, False

    async def of_user(self, owner: UserKey, pairs: Pairs) -> dict[str, Any]:
        """The state of a user."""
        try:
            return await _decoded(pairs)
        except _NOT_JSON:
            found: list[UnreadablePart] = []
            state = await self._readable(owner, "user state", pairs, found)
            self._quarantine.add(found)
            return state

    async def _readable(
        self, of: SessionKey | UserKey, part: Part, pairs: Pairs, found: list[UnreadablePart]
    ) -> dict[str, Any]:
        """The values that are JSON; the others are added to `found`."""
        owner = UserKey(of.app, of.user)
        session = of.session if isinstance(of, SessionKey) and part == "session" else None

        def read(pair: tuple[str, bytes]) -> Any:
            name, value = pair
            try:
                return decode(plain(value, "A state value"))
            except _NOT_READ as error:
                field, raw = f"state:{name}", stored_form(value)
                found.append(UnreadablePart(owner, session, part, field, str(error), raw))
                return _GAP

        values = zip(pairs, await in_pieces(read, pairs.items()), strict=True)
        return {name: value for name, value in values if value is not _GAP}

    def _fields(self, key: SessionKey, fields: Pairs) -> tuple[dict[str, Any], bool]:
        """The fields that applications set, and whether all of them could be read."""
        try:
            return decode_fields(fields), True
        except _NOT_JSON:
            pass
        found: dict[str, Any] = {}
        for name, value in fields.items():
            try:
                found[name] = FIELDS[name].decode(plain(value, "A field of the session"))
            except _NOT_READ as error:
                of, raw = (key.owner, key.session), stored_form(value)
                self._quarantine.add([UnreadablePart(*of, "session", name, str(error), raw)])
        return found, False


async def _decoded(pairs: Pairs) -> dict[str, Any]:
    return dict(zip(pairs, await decode_each(pairs.values()), strict=True)) if pairs else {}
