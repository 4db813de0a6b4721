"""The in-memory notice store."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from weakref import WeakSet

from sojourn.ids import SessionKey, UserKey
from sojourn.notices.model import Kind, NoticeEntry, NoticePlace, Page
from sojourn.notices.store import REMEMBERED
from sojourn.resilience.atomic import atomic


def _entries() -> deque[NoticeEntry]:
    return deque(maxlen=REMEMBERED)


@dataclass(slots=True)
class _Stream:
    entries: deque[NoticeEntry] = field(default_factory=_entries)
    expires: float | None = None


class InMemoryWatch:
    """Wakes one task, whatever loop runs it."""

    def __init__(self, drop: Callable[[InMemoryWatch], None]) -> None:
        self._drop = drop
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait until there may be news, and so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def wake(self) -> None:
        """There may be news."""
        with suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(self._news.set)

    def close(self) -> None:
        """Be woken no more."""
        self._drop(self)


@atomic
class InMemoryNotices:
    """A `NoticeStore` in this process.

    Args:
        state_ttl: seconds that the notices of a user outlive the last one; None for ever.
        clock: seconds since the epoch.
    """

    def __init__(self, state_ttl: float | None, clock: Callable[[], float] = time.time) -> None:
        self._ttl = state_ttl
        self._clock = clock
        self._streams: dict[UserKey, _Stream] = {}
        self._watches: dict[UserKey, WeakSet[InMemoryWatch]] = {}

    def tell(self, key: SessionKey, kind: Kind, version: int) -> None:
        """Remember that a session has changed, and wake who listens."""
        now = self._clock()
        stream = self._stream(key.owner)
        if stream is None:
            stream = self._streams[key.owner] = _Stream()
        place = NoticePlace(int(now * 1000), int(now * 1000) * 1000)
        if stream.entries:
            last = stream.entries[-1].place
            place = NoticePlace(max(place.at, last.at), last.number + 1)
        stream.entries.append(NoticeEntry(place, kind, key.session, version))
        stream.expires = None if self._ttl is None else now + self._ttl
        for watch in list(self._watches.get(key.owner, ())):
            watch.wake()

    async def read(self, owner: UserKey, after: NoticePlace, limit: int) -> Page:
        """Notices of a user behind a place."""
        stream = self._stream(owner)
        if stream is None:
            return Page([], None)
        found = (entry for entry in stream.entries if entry.place > after)
        return Page(list(islice(found, limit)), stream.entries[-1].place)

    async def newest(self, owner: UserKey) -> NoticePlace:
        """The place of a user's newest notice; where there is none, a place at this time."""
        stream = self._stream(owner)
        return (
            NoticePlace(int(self._clock() * 1000), 0)
            if stream is None
            else stream.entries[-1].place
        )

    async def forget(self, owner: UserKey) -> int:
        """Delete all notices of a user."""
        stream = self._streams.pop(owner, None)
        return 0 if stream is None else len(stream.entries)

    def apps_of(self, user: str) -> set[str]:
        """The apps in which something is kept of a user."""
        return {owner.app for owner in self._streams if owner.user == user}

    def watch(self, owner: UserKey) -> InMemoryWatch:
        """What wakes a subscriber to a user's notices."""
        watches = self._watches.setdefault(owner, WeakSet())
        watch = InMemoryWatch(lambda closed: self._unwatch(owner, closed))
        watches.add(watch)
        return watch

    def close(self) -> None:
        """Wake all subscribers."""
        for watches in list(self._watches.values()):
            for watch in list(watches):
                watch.wake()

    def _unwatch(self, owner: UserKey, watch: InMemoryWatch) -> None:
        watches = self._watches.get(owner)
        if watches is not None:
            watches.discard(watch)
            if not watches:
                del self._watches[owner]

    def _stream(self, owner: UserKey) -> _Stream | None:
        stream = self._streams.get(owner)
        if stream is None or stream.expires is None or stream.expires > self._clock():
            return stream
        del self._streams[owner]
        return None
