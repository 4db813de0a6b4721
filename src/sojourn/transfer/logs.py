"""Sessions into an archive: their fields, and their logs in windows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from sojourn.calls.operation import RoomStore
from sojourn.codecs import in_pieces
from sojourn.codecs.growth import is_json
from sojourn.errors import SojournError, Unavailable
from sojourn.ids import SessionKey
from sojourn.sessions.archive import LogSlice
from sojourn.sessions.event_codec import GAP
from sojourn.sessions.operations.archive import ReadLogSlice, ReadStoredSession
from sojourn.sessions.record import FIELDS
from sojourn.sessions.store import Pairs, SessionSnapshot
from sojourn.transfer.lines import EventsLine, SessionLine, VoidLine
from sojourn.transfer.model import NOT_READ
from sojourn.transfer.values import event_of, is_sound, session_line, written
from sojourn.transfer.writing import Writer

MOST, SIZE = 500, 512 * 1024
"""Events of one window, and bytes after which no more are added."""
_TRIES = 5
"""How often a session is begun anew that changes while it is read."""


def name_of(key: SessionKey) -> str:
    """A session in a sentence."""
    return f"session {key.session!r} of user {key.user!r} of app {key.app!r}"


Firsts: TypeAlias = Mapping[SessionKey, LogSlice | BaseException | None]
"""How the logs of sessions begin; None for one that is gone."""


class LeftOut(Protocol):
    """Told what cannot be read and is left out."""

    def __call__(self, what: str, error: SojournError | None = None) -> None:
        """Args: what it is; and why, unless it cannot be read at all."""
        ...


class Logs:
    """Writes sessions.

    Args:
        store: where they are.
        writer: writes them.
        left_out: told what cannot be read.
    """

    def __init__(
        self,
        store: RoomStore,
        writer: Writer,
        left_out: LeftOut,
    ) -> None:
        self._store = store
        self._writer = writer
        self._left_out = left_out

    async def first(self, found: Sequence[tuple[SessionKey, SessionSnapshot]]) -> Firsts:
        """How the logs of some sessions begin. One round trip."""
        slices = await asyncio.gather(
            *(self._store.run(ReadLogSlice(key, 1, MOST, SIZE)) for key, _ in found),
            return_exceptions=True,
        )
        return {key: part for (key, _), part in zip(found, slices, strict=True)}

    async def write(
        self, found: Sequence[tuple[SessionKey, SessionSnapshot]], first: Firsts
    ) -> None:
        """Write the sessions of a page, each as it stood when it was listed, or later."""
        for key, stored in found:
            part = first.get(key)
            try:
                if isinstance(part, BaseException):
                    raise part
                await self._write(key, stored, part)
            except NOT_READ as error:
                self._not_whole(key, error)

    async def go_on(self) -> None:
        """Write what is missing of the session with which the archive breaks off."""
        line = self._writer.walk.session
        if line is None:
            return
        key = SessionKey.of(line.app, line.user, line.session)
        try:
            whole = await self._windows(key, line)
        except NOT_READ:
            whole = False
        if not whole:
            self._writer.write(VoidLine())
            await self.write_one(key)

    async def write_one(
        self, key: SessionKey, wanted: Callable[[float], bool] = lambda _: True
    ) -> None:
        """Write a session as it stands now, if there is one and its last change is wanted."""
        try:
            stored = await self._store.run(ReadStoredSession(key))
            if stored is not None and wanted(stored.head.updated):
                await self._write(
                    key, stored, await self._store.run(ReadLogSlice(key, 1, MOST, SIZE))
                )
        except NOT_READ as error:
            self._not_whole(key, error)

    def _not_whole(self, key: SessionKey, error: SojournError) -> None:
        """Leave out a session of which a part cannot be read."""
        if self._writer.walk.session is not None:
            self._writer.write(VoidLine())
        self._left_out(name_of(key), error)

    async def _write(self, key: SessionKey, stored: SessionSnapshot, part: LogSlice | None) -> None:
        for _ in range(_TRIES):
            if await self._attempt(key, stored, part):
                return
            again = await self._store.run(ReadStoredSession(key))
            if again is None:  # deleted, or expired
                return
            stored, part = again, await self._store.run(ReadLogSlice(key, 1, MOST, SIZE))
        raise Unavailable(
            f"The {name_of(key)} is rewritten faster than it can be read. Run the export again, "
            "with the same file, and it goes on there."
        )

    async def _attempt(
        self, key: SessionKey, stored: SessionSnapshot, part: LogSlice | None
    ) -> bool:
        """Write a session; whether its log stayed what it was."""
        head = stored.head
        if part is None or _other(head.incarnation, head.epoch, head.seq, part):
            return False
        if part.dropped > head.seq:
            return False
        what = name_of(key)
        if part.lost:
            self._left_out(f"{what}: {part.lost:,} events are missing in its log")
        if not stored.readable:
            self._left_out(f"{what}: a field of it, or of the state of its user or app")
        rows = part.rows[: head.seq - part.dropped]
        fields = self._fields(what, head.fields)
        head = head._replace(dropped=part.dropped, fields=fields)
        state = await self.readable(what, stored.state)
        line = session_line(key, head, state, await self._events(what, rows, part.first))
        self._writer.write(line)
        if await self._windows(key, line):
            return True
        self._writer.write(VoidLine())
        return False

    def _fields(self, what: str, fields: Pairs) -> Pairs:
        """Those that can be read."""
        found = dict(fields)
        for name, value in fields.items():
            try:
                FIELDS[name].decode(value)
            except (ValueError, RecursionError):
                self._left_out(f"{what}: its {name}")
                del found[name]
        return found

    async def _windows(self, key: SessionKey, line: SessionLine) -> bool:
        """Write the events that are missing of a session; whether its log stayed what it was."""
        walk = self._writer.walk
        while walk.session is not None:
            part = await self._store.run(ReadLogSlice(key, walk.seq + 1, MOST, SIZE))
            if part is None or _other(line.incarnation, line.epoch, line.seq, part):
                return False
            if part.first != walk.seq + 1 or not part.rows:  # cut off, or lost
                return False
            rows = part.rows[: line.seq - walk.seq]
            events = await self._events(name_of(key), rows, part.first)
            self._writer.write(EventsLine(first=part.first, events=events))
        return True

    async def _events(self, what: str, rows: Sequence[bytes], first: int) -> list[msgspec.Raw]:
        def event(numbered: tuple[int, bytes]) -> msgspec.Raw:
            seq, row = numbered
            if is_sound(row):
                return event_of(row)
            self._left_out(f"{what}: event {seq:,}")
            return msgspec.Raw(GAP)

        return await in_pieces(event, enumerate(rows, first))

    async def readable(self, what: str, pairs: Pairs) -> dict[str, msgspec.Raw]:
        """State as it stands in a line; what of it is no JSON is told and left out."""
        values: dict[str, msgspec.Raw] = {}

        def read(pair: tuple[str, bytes]) -> None:
            name, value = pair
            if is_json(value):
                values[name] = written(value)
            else:
                self._left_out(f"{what}: the state value {name!r}")

        await in_pieces(read, pairs.items())
        return values


def _other(incarnation: str, epoch: int, seq: int, part: LogSlice) -> bool:
    """Whether a log is not the one any more that it was."""
    return (incarnation, epoch) != (part.incarnation, part.epoch) or part.seq < seq
