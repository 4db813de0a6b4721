"""Server-sent events: a session as it grows, read once for all who follow it.

A reader names the last event that it has; what came since is told from memory while that reaches
back so far, and else from the store. So nothing is missed and nothing comes twice, whichever server
is asked, and a slow reader costs no memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import msgspec

from sojourn.client import Sojourn
from sojourn.errors import Closed, ConfigurationError, SessionNotFound, SojournError
from sojourn.ids import SessionKey, UserKey
from sojourn.sessions import Event, LogPage, event_document
from sojourn.surfaces.http.problems import Problem

log = logging.getLogger("sojourn.http")

POLL = 0.5
"""Seconds after which a log is read again that nobody has told of."""
_POLL_WITH_NOTICES = 30.0
_AGAIN = 1.0
"""Seconds until a read that found no server is repeated."""
_KEEP_ALIVE = 15.0
_MOST_READERS = 2000
_PAGE = 500
_BUFFER_BYTES = 4 * 1024 * 1024
"""Of events of a session that is followed."""
_PER_READER = 0.0002
"""Seconds that a session rests between two reads for each of its readers: to tell 200 of them takes
longer than to read, and what comes meanwhile is told at once."""
_LONGEST_REST = 0.05

_encode = msgspec.json.Encoder(enc_hook=str).encode


def message(event: str, document: Any, number: int | None = None) -> bytes:
    """A message of a stream. JSON has no line ends."""
    name = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %s\ndata: %s\n\n" % (name, event.encode(), _encode(document))


KEEP_ALIVE = b": nothing new\n\n"


def appended(event: Event) -> bytes:
    """The message of an event, which can be resumed behind."""
    return message("append", event_document(event), event.seq)


class _Tail:
    """The end of the log of one session, as long as somebody follows it.

    Args:
        key: which session.
        page: of its end, as it was read first.

    Attributes:
        readers: how many there are.
        gone: there is no such session any more.
        length: the number of the last event.
        version: of the session, with each change another.
    """

    def __init__(self, key: SessionKey, page: LogPage) -> None:
        self.key = key
        self.readers = 0
        self.gone = False
        self.length = page.length
        self.version = page.version
        self.incarnation = page.incarnation
        self.epoch = page.epoch
        self.due = asyncio.Event()
        self._told: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    def take(self, page: LogPage) -> bool:
        """Take what was read; whether there is more."""
        before = self.version, self.length, self.gone, self.epoch
        if page.incarnation != self.incarnation:
            self.gone = True
        elif page.epoch != self.epoch or page.seqs.start > self.length + 1:
            self._told.clear()
            self._bytes = 0
            self.length, self.version, self.epoch = page.length, page.version, page.epoch
        else:
            for event in page.events:
                told = appended(event)
                self._told.append((event.seq, told))
                self._bytes += len(told)
            while self._bytes > _BUFFER_BYTES:
                self._bytes -= len(self._told.popleft()[1])
            self.length = page.seqs.stop - 1 if page.seqs else self.length
            self.version = page.version
        if before != (self.version, self.length, self.gone, self.epoch):
            self.tell()
        return not self.gone and self.length < page.length

    def tell(self) -> None:
        """Wake all readers."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def after(self, seq: int) -> list[tuple[int, bytes]] | None:
        """The messages behind a number; None when they do not reach back so far."""
        if not self._told or self._told[0][0] > seq + 1:
            return None
        found = list[tuple[int, bytes]]()
        for number, told in reversed(self._told):
            if number <= seq:
                break
            found.append((number, told))
        return found[::-1]

    async def changes(self, seconds: float) -> bool:
        """Wait for a change; whether there was one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
                return True
        return False


class _Reader:
    """Somebody who follows a session.

    Args:
        own: the sessions of the caller.
        tail: of the session.
        seq: the last event that the reader has.
        page: of the session as it was when that was asked for.
    """

    def __init__(self, own: Any, tail: _Tail, seq: int, page: LogPage) -> None:
        self._own = own
        self._tail = tail
        self._cut = seq > page.length
        self._seq = min(seq, page.length)
        self._version = page.version
        self._epoch = page.epoch

    @property
    def has_all(self) -> bool:
        """Whether there is nothing new; the tail may know less than this reader yet."""
        tail = self._tail
        if self._epoch != tail.epoch:
            return self._epoch > tail.epoch
        return not self._cut and self._seq >= tail.length and self._version >= tail.version

    async def next(self) -> bytes:
        """The messages that come next; none when there is nothing new."""
        tail = self._tail
        if self.has_all:
            return b""
        if self._cut or self._epoch < tail.epoch:
            return self._update(cut=True)
        if self._seq < tail.length:
            self._version = tail.version
            found = tail.after(self._seq)
            if found is None:
                read = await self._own.events(tail.key.session, after=self._seq, limit=_PAGE)
                found = [(event.seq, appended(event)) for event in read.events]
                self._seq = max(self._seq, read.seqs.stop - 1)  # also behind what is unreadable
            self._seq = max(self._seq, found[-1][0] if found else 0)
            return b"".join(each for _, each in found)
        return self._update(cut=False)

    def _update(self, *, cut: bool) -> bytes:
        tail = self._tail
        self._cut = False
        if self._epoch < tail.epoch:
            self._seq, self._epoch = tail.length, tail.epoch
        self._version = max(self._version, tail.version)
        return message("update", {"version": self._version, "length": self._seq, "cut": cut})


class Tails:
    """Follows sessions of a store, each with one task.

    Args:
        store: the store.
    """

    def __init__(self, store: Sojourn) -> None:
        self._store = store
        self._tails: dict[SessionKey, _Tail] = {}
        self._users: dict[UserKey, int] = {}
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._readers = 0
        self._notices = True

    def wake(self, app: str, user: str, session: str) -> None:
        """Say that a session was changed by this process."""
        tail = self._tails.get(SessionKey(app, user, session))  # type: ignore[arg-type]
        if tail is not None:
            tail.due.set()

    async def follow(self, own: Any, key: SessionKey, seq: int | None) -> AsyncGenerator[bytes]:
        """The messages of a session behind a number, as they come.

        Args:
            own: the sessions of the caller, who may read this one.
            key: which session.
            seq: the last event that the caller has; None for the last one that there is.

        Raises:
            SessionNotFound: there is no such session. Once it has begun, it ends with `gone`.
            Problem: too many are followed.
        """
        if self._readers >= _MOST_READERS:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Too many streams: try again later.")
        page = await own.events(key.session, limit=1)
        return self._messages(own, key, page, page.length if seq is None else seq)

    async def _messages(
        self, own: Any, key: SessionKey, page: LogPage, seq: int
    ) -> AsyncGenerator[bytes]:
        tail = self._tails.get(key)
        if tail is None or tail.incarnation != page.incarnation:
            tail = self._tails[key] = _Tail(key, page)
        self._enter(tail)
        tail.due.set()
        reader = _Reader(own, tail, seq, page)
        try:
            yield b"retry: 1000\n\n"
            while not (tail.gone or self._store.closed):
                told = await reader.next()
                if told:
                    yield told
                elif reader.has_all and not await tail.changes(_KEEP_ALIVE):
                    yield KEEP_ALIVE
        except SessionNotFound:
            tail.gone = True
        except SojournError as error:  # the reader comes again
            log.warning("A stream ends: %s", error)
        finally:
            self._leave(tail)
        if tail.gone:
            yield message("gone", {})

    def _enter(self, tail: _Tail) -> None:
        self._readers += 1
        tail.readers += 1
        if tail.readers == 1:
            self._tasks[tail] = asyncio.create_task(self._read(tail))
            owner = tail.key.owner
            self._users[owner] = self._users.get(owner, 0) + 1
            if self._notices and owner not in self._tasks:
                self._tasks[owner] = asyncio.create_task(self._listen(owner))

    def _leave(self, tail: _Tail) -> None:
        self._readers -= 1
        tail.readers -= 1
        if tail.readers:
            return
        self._tasks.pop(tail).cancel()
        if self._tails.get(tail.key) is tail:
            del self._tails[tail.key]
        owner = tail.key.owner
        self._users[owner] -= 1
        if not self._users[owner]:
            del self._users[owner]
            listening = self._tasks.pop(owner, None)
            if listening is not None:
                listening.cancel()

    async def _read(self, tail: _Tail) -> None:
        """Read what is new in a session, when it is due."""
        more = True
        while not tail.gone:
            pause = _POLL_WITH_NOTICES if self._notices else POLL
            if not more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await tail.due.wait()
            tail.due.clear()
            try:
                page = await self._store.sessions.events(tail.key, after=tail.length, limit=_PAGE)
                more = tail.take(page)
            except SessionNotFound:
                tail.gone = True
                tail.tell()
            except Closed:
                tail.tell()
                return
            except SojournError as error:
                log.warning("A session that is followed cannot be read: %s", error)
                await asyncio.sleep(_AGAIN)
            await asyncio.sleep(min(_LONGEST_REST, tail.readers * _PER_READER))

    async def _listen(self, owner: UserKey) -> None:
        """Wake the sessions of a user by notices, where the store has them."""
        try:
            after = await self._store.notices.latest(*owner)
            self._wake_all(owner)  # what has happened before that is told by nobody
            async for notice in self._store.notices.subscribe(*owner, after=after):
                self._wake_all(owner, notice.session)
        except Closed:
            return
        except SojournError as error:
            if not isinstance(error, ConfigurationError):  # it was opened without them
                log.warning("Notices cannot be read, so sessions are polled: %s", error)
            self._notices = False
            self._wake_all(owner)

    def _wake_all(self, owner: UserKey, session: str = "") -> None:
        for key, tail in self._tails.items():
            if key.owner == owner and session in ("", key.session):
                tail.due.set()
