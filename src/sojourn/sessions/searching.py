"""Search over sessions and the events of their logs, newest first, within a time."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any, NamedTuple, cast

import msgspec

from sojourn.calls.operation import RoomStore
from sojourn.caps import CAPS
from sojourn.codecs import text
from sojourn.codecs.pieces import Turns
from sojourn.errors import CorruptRecord, Erased, InvalidInput, Undecodable
from sojourn.ids import SessionId, SessionKey, UserKey
from sojourn.resilience.deadline import within
from sojourn.sessions import refusals
from sojourn.sessions.archive import LogSlice
from sojourn.sessions.event_codec import decode_row
from sojourn.sessions.model import EventHit, SearchPage, Session
from sojourn.sessions.operations.archive import ReadLogSlice
from sojourn.sessions.operations.lists import ListIds
from sojourn.sessions.store import IndexPlace

SECONDS = 2.0
"""Seconds after which a search gives what it has found."""

_ROWS, _MOST_ROWS = 64, 1024
"""Events of a log that are read at first, and at most, in one round trip."""
_BYTES = 4 * 1024 * 1024
"""Bytes of events after which none follow in a round trip, and of the first look at a session."""
_FIRST_BYTES = 256 * 1024
_TOGETHER = 16
"""Sessions of a user that are looked into at the same time."""

_SAID_OF_KIND = frozenset({"role", "type"})
"""Members that say what an object is: nobody looks for them."""
_DATA = 2048
"""Characters without a space from which on a text of ASCII is data, such as an image."""
_BEFORE, _SNIPPET = 60, 200
"""Characters of a snippet before the first word found, and in all."""

_NOT_AN_EVENT = (ValueError, LookupError, TypeError, RecursionError)
_NOT_READ = (CorruptRecord, Undecodable, Erased)

_decode = msgspec.json.Decoder().decode


class Words(NamedTuple):
    """Words that must all stand in a text, somewhere and in any case.

    Attributes:
        folded: the words, without case.
        escaped: the same as they stand in JSON.
    """

    folded: Sequence[str]
    escaped: Sequence[str]

    @classmethod
    def of(cls, query: object) -> Words:
        """The words of a query.

        Raises:
            InvalidInput: it has none, or too many characters.
        """
        folded = list(dict.fromkeys(text(query, "query", CAPS.pattern).casefold().split()))
        if not folded:
            raise InvalidInput("A query needs a word.")
        return cls(folded, [json.dumps(word, ensure_ascii=False)[1:-1] for word in folded])

    def stand_in(self, searched: str) -> bool:
        """Whether all stand in a text."""
        folded = searched.casefold()
        return all(word in folded for word in self.folded)

    def may_stand_in(self, row: bytes) -> bool:
        """Whether all may stand in the texts of some JSON, which then is to be decoded."""
        folded = row.decode(errors="replace").casefold()
        return "\\u" in folded or "\\/" in folded or all(word in folded for word in self.escaped)

    def snippet(self, texts: Sequence[str]) -> str:
        """Some characters around the first word that stands in one of these."""
        for each in texts:
            for word in self.folded:
                if word in each.casefold():
                    met = re.search(re.escape(word), each, re.IGNORECASE)
                    return _cut(each, each.casefold().find(word) if met is None else met.start())
        return _cut(texts[0], 0) if texts else ""


def admits(words: Words, session: Session[Any]) -> bool:
    """Whether the words stand in a session's id, title, summary and metadata."""
    told = (session.key.session, session.title, session.summary, *texts_of(session.metadata))
    return words.stand_in("\n".join(told))


def texts_of(value: Any) -> Iterator[str]:
    """The texts and numbers of a JSON value, in order, without names and without long data."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            if len(found) < _DATA or not found.isascii() or " " in found[:_DATA]:
                yield found
        elif isinstance(found, dict):
            members = cast("dict[str, Any]", found).items()
            waiting += [each for name, each in reversed(members) if name not in _SAID_OF_KIND]
        elif isinstance(found, list):
            waiting.extend(reversed(cast("list[Any]", found)))  # type: ignore[redundant-cast]
        elif isinstance(found, int | float) and not isinstance(found, bool):
            yield str(found)


class _SearchPlace(NamedTuple):
    """Where a search goes on.

    Attributes:
        after: of a user, the place of the session that was looked into last.
        before: of its events, or of those of the one session, the number below which it goes on;
            None when all were looked at.
    """

    after: IndexPlace | None = None
    before: int | None = None

    def text(self) -> str:
        """The cursor for a caller to hand back."""
        after = None if self.after is None else (repr(self.after.score), self.after.name)
        return urlsafe_b64encode(msgspec.json.encode((after, self.before))).decode()

    @classmethod
    def parse(cls, cursor: str | None) -> _SearchPlace:
        """The place of a cursor; the start for None.

        Raises:
            InvalidInput: it is not a cursor of a search.
        """
        if cursor is None:
            return cls()
        try:
            after, before = _cursor(urlsafe_b64decode(cursor[: CAPS.cursor].encode()))
            return cls(None if after is None else IndexPlace(float(after[0]), after[1]), before)
        except (AttributeError, TypeError, ValueError, msgspec.MsgspecError) as error:
            raise InvalidInput("The cursor is not one that a search gave.") from error


_cursor = msgspec.json.Decoder(tuple[tuple[str, str] | None, int | None]).decode


class _RunningSearch:
    """What one call looks for, and what it has found.

    Args:
        words: what is looked for.
        limit: how many events at most.
    """

    def __init__(self, words: Words, limit: int) -> None:
        self.words = words
        self.hits: list[EventHit] = []
        self.skipped: list[SessionKey] = []
        self.turns = Turns()
        self._limit = limit
        self._end = monotonic() + SECONDS

    @property
    def is_over(self) -> bool:
        """Whether its time is over, or all is found that was asked for."""
        return len(self.hits) >= self._limit or monotonic() > self._end

    async def look_at(self, key: SessionKey, part: LogSlice, before: int) -> int:
        """Look at the rows of a part from its end; the number of the last that was looked at."""
        for seq in range(before - 1, part.first - 1, -1):
            hit = _hit(self.words, key, part.rows[seq - part.first], seq)
            if hit is not None:
                self.hits.append(hit)
                if len(self.hits) == self._limit:
                    return seq
            await self.turns.rest()
        return part.first

    def page(self, place: _SearchPlace | None) -> SearchPage:
        """What was found, and where to go on; None at the end."""
        cursor = None if place is None else place.text()
        partial = cursor is not None and len(self.hits) < self._limit
        return SearchPage(self.hits, cursor, partial, self.skipped)


class EventSearcher:
    """Searches the logs of a store. Content is decoded in this process, whatever its encoding.

    Args:
        store: where the sessions are.
        operation_timeout: seconds for each round trip.
    """

    def __init__(self, store: RoomStore, operation_timeout: float) -> None:
        self._store = store
        self._operation_timeout = operation_timeout

    async def session(
        self, key: SessionKey, words: Words, limit: int, cursor: str | None
    ) -> SearchPage:
        """A page of the events of a session that have the words."""
        search, place = _RunningSearch(words, limit), _SearchPlace.parse(cursor)
        part = await self._part(key, place.before, _ROWS)
        if part is None:
            raise refusals.missing(key)
        before = await self._log(search, key, part, place.before)
        return search.page(None if before is None else _SearchPlace(None, before))

    async def user(
        self, owner: UserKey, words: Words, limit: int, cursor: str | None
    ) -> SearchPage:
        """A page of the events of a user's sessions that have the words."""
        search, place = _RunningSearch(words, limit), _SearchPlace.parse(cursor)
        if place.after is not None and place.before is not None:
            key = SessionKey.of(*owner, place.after.name)
            part = (await self._parts([key], place.before))[0]
            before = await self._in_user(search, key, part, place.before)
            if before is not None or search.is_over:
                return search.page(place._replace(before=before))
        more = True
        while more:
            with within(self._operation_timeout):
                ids = ListIds(owner, place.after, _TOGETHER, newest_first=True)
                names = await self._store.run(ids)
            keys = [SessionKey(*owner, SessionId(each.name)) for each in names.places]
            for at, key, part in zip(names.places, keys, await self._parts(keys), strict=True):
                place = _SearchPlace(at, await self._in_user(search, key, part, None))
                if place.before is not None or search.is_over:
                    last = at == names.places[-1] and not names.more and place.before is None
                    return search.page(None if last else place)
            more = names.more
        return search.page(None)

    async def _parts(
        self, keys: Sequence[SessionKey], before: int | None = None
    ) -> Sequence[LogSlice | BaseException | None]:
        """The first part of each log, or why it cannot be read."""
        parts = (self._part(key, before, _ROWS, _FIRST_BYTES) for key in keys)
        return await asyncio.gather(*parts, return_exceptions=True)

    async def _in_user(
        self,
        search: _RunningSearch,
        key: SessionKey,
        part: LogSlice | BaseException | None,
        before: int | None,
    ) -> int | None:
        """As `_log`; a session that cannot be read is noted."""
        try:
            if isinstance(part, BaseException):
                raise part
            return await self._log(search, key, part, before)
        except _NOT_READ:
            search.skipped.append(key)
            return None

    async def _log(
        self, search: _RunningSearch, key: SessionKey, part: LogSlice | None, before: int | None
    ) -> int | None:
        """Search a log from its end; the number below which to go on, None at its start.

        Args:
            search: what is looked for.
            key: whose log.
            part: what was read first.
            before: the number below which to start.
        """
        most = _ROWS
        while part is not None:
            end = part.seq + 1 if before is None else min(before, part.seq + 1)
            if end <= part.first or not part.rows:
                return None
            before = end
            if part.first + len(part.rows) < end:  # there were too many bytes: the end is missing
                most = max(1, min(most, len(part.rows)) // 2)
                part = await self._part(key, before, most)
                continue
            before = await search.look_at(key, part, before)
            if before <= part.dropped + 1:
                return None
            if search.is_over:
                return before
            most = min(2 * most, _MOST_ROWS)
            part = await self._part(key, before, most)
        return None

    async def _part(
        self, key: SessionKey, before: int | None, most: int, size: int = _BYTES
    ) -> LogSlice | None:
        """The events of a log below a number, or the last ones. One round trip."""
        first = -most if before is None else max(1, before - most)
        count = most if before is None else before - first
        with within(self._operation_timeout):
            return await self._store.run(ReadLogSlice(key, first, count, size))


def _hit(words: Words, key: SessionKey, row: bytes, seq: int) -> EventHit | None:
    """An event as it was found; None when it has not all words, or cannot be read."""
    if not words.may_stand_in(row):
        return None
    try:
        event = decode_row(row)
        texts = list(texts_of(_decode(event.payload)))
    except (*_NOT_AN_EVENT, *_NOT_READ):
        return None
    if not words.stand_in("\n".join(texts)):
        return None
    return EventHit(key.session, seq, event.id, event.time, event.author, words.snippet(texts))


def _cut(found: str, at: int) -> str:
    """Some characters of a text around a place, in one line."""
    start = max(0, min(at, len(found)) - _BEFORE)
    part = " ".join(found[start : start + _SNIPPET].split())
    left = "…" if start else ""
    return f"{left}{part}…" if start + _SNIPPET < len(found) else f"{left}{part}"
