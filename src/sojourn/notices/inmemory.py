"""Notice store in this process: the same contract and answers as on a server."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from weakref import WeakSet

from sojourn.calls.operation import Operation, R
from sojourn.ids import SessionKey, UserKey
from sojourn.notices.model import REMEMBERED, Kind, NoticeEntry, NoticePlace
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
        """As `NoticeWatch`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def wake(self) -> None:
        """Say that there may be news."""
        with suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(self._news.set)

    def close(self) -> None:
        """As `NoticeWatch`."""
        self._drop(self)


@atomic
class InMemoryNotices:
    """Notices in this process, gone with it. Public attributes are for operations.

    Args:
        state_ttl: seconds that the notices of a user outlive the last one; None for ever.
        clock: seconds since the epoch.
    """

    def __init__(self, state_ttl: float | None, clock: Callable[[], float] = time.time) -> None:
        self._ttl = state_ttl
        self.clock = clock
        self.streams: dict[UserKey, _Stream] = {}
        self._watches: dict[UserKey, WeakSet[InMemoryWatch]] = {}

    async def run(self, operation: Operation[R]) -> R:
        """As `NoticeStore`."""
        return await operation.in_memory(self)

    def tell(self, key: SessionKey, kind: Kind, version: int) -> None:
        """Remember that a session has changed, and wake all subscribers of its user."""
        now = self.clock()
        place = NoticePlace(int(now * 1000), int(now * 1000) * 1000)
        if not self.entries(key.owner):
            self.streams[key.owner] = _Stream()
        stream = self.streams[key.owner]
        if stream.entries:
            last = stream.entries[-1].place
            place = NoticePlace(max(place.at, last.at), last.number + 1)
        stream.entries.append(NoticeEntry(place, kind, key.session, version))
        stream.expires = None if self._ttl is None else now + self._ttl
        for watch in list(self._watches.get(key.owner, ())):
            watch.wake()

    def entries(self, owner: UserKey) -> Sequence[NoticeEntry]:
        """The notices of a user that have not expired, oldest first."""
        stream = self.streams.get(owner)
        if stream is None:
            return ()
        if stream.expires is not None and stream.expires <= self.clock():
            del self.streams[owner]
            return ()
        return stream.entries

    def apps_of(self, user: str) -> set[str]:
        """The apps in which a user has notices."""
        return {owner.app for owner in self.streams if owner.user == user}

    def watch(self, owner: UserKey) -> InMemoryWatch:
        """As `NoticeStore`."""
        watches = self._watches.setdefault(owner, WeakSet())
        watch = InMemoryWatch(lambda closed: self._unwatch(owner, closed))
        watches.add(watch)
        return watch

    def close(self) -> None:
        """As `NoticeStore`."""
        for watches in list(self._watches.values()):
            for watch in list(watches):
                watch.wake()

    def _unwatch(self, owner: UserKey, watch: InMemoryWatch) -> None:
        watches = self._watches.get(owner)
        if watches is not None:
            watches.discard(watch)
            if not watches:
                del self._watches[owner]
