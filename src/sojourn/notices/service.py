"""Public API of the notices room."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import islice

from sojourn.access import access, for_operators
from sojourn.codecs import is_whole, shown
from sojourn.errors import Closed, ConfigurationError, InvalidInput, Unavailable
from sojourn.ids import UserKey, user_key
from sojourn.notices.model import REMEMBERED, Notice, NoticePlace
from sojourn.notices.operations import FindNewestNotice, ReadNotices
from sojourn.notices.store import NoticeStore
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import in_time

_PAGE = 100
"""Notices that a subscriber holds at most."""
_START = NoticePlace.parse("0")
_AGAIN = 1.0
"""Seconds until a read that found no server is repeated, unless a wake-up comes before."""


@stays_here("its URL, and open the store there")
class Notices:
    """Notices of changes. Made by `sojourn.open(…, notices=True)`, as `store.notices`.

    Args:
        store: where they are kept.
        enabled: whether the store was opened with them; if not, only others may have written some.
        poll: seconds after which a subscriber reads without a wake-up, which may have been lost.
        operation_timeout: seconds that a call may take.
    """

    def __init__(
        self, store: NoticeStore, *, enabled: bool, poll: float, operation_timeout: float
    ) -> None:
        self._operation_timeout = operation_timeout
        self._store = store
        self._enabled = enabled
        self._poll = poll
        self._closed = False

    @access()
    def subscribe(
        self, app: str, user: str, *, after: str | None = None
    ) -> AsyncGenerator[Notice, None]:
        """The changes of a user's sessions as they happen: each once, in order.

        It lasts until the store is closed or the iteration is: `async for notice in …`. An outage,
        a failover, a lost connection only delay notices. A slow subscriber finds about the last
        1,000; when notices were dropped before they were read, a `missed` stands in their place.

        One round trip for each 100 notices; all subscribers of an event loop share one connection
        to each server, on which wake-ups come.

        Args:
            app: the application.
            user: the user.
            after: a `Notice.id`, to go on behind it; `"0"` for all that are remembered; None for
                those from the first step of the iteration on.

        Raises:
            InvalidInput: an id or the cursor.
            ConfigurationError: the store was opened without `notices=True`.
            AccessDenied: this user may not subscribe to the channel (while iterating).
            Unavailable: with `after=None`, the newest notice cannot be found (while iterating).
            Closed: the store is closed (while iterating).
        """
        owner, place = user_key(app, user), None if after is None else NoticePlace.parse(after)
        return self._follow(self._wanted(), owner, place)

    @in_time
    async def read(
        self,
        app: str,
        user: str,
        *,
        after: str = "0",
        limit: int = _PAGE,
        newest_first: bool = False,
    ) -> list[Notice]:
        """The notices behind a cursor, for callers that poll. One round trip.

        Notices of kinds that only a newer version of Sojourn knows are passed over; a page of them
        costs another round trip.

        Args:
            app: the application.
            user: the user.
            after: a `Notice.id`, or what `latest` gave; `"0"` for all that are remembered.
            limit: how many at most, up to 1,000.
            newest_first: start with the last one; `after` then leads to those before it. What is
                written after the first page is on no later one: start again to see it.

        Raises:
            InvalidInput: an id, a cursor or a limit.
            ConfigurationError: the store was opened without `notices=True`.
        """
        owner, place = user_key(app, user), NoticePlace.parse(after)
        if not is_whole(limit) or not 1 <= limit <= REMEMBERED:
            raise InvalidInput(f"limit must be from 1 to {REMEMBERED:,}, not {shown(limit)}.")
        store, found = self._wanted(), list[Notice]()
        if newest_first:
            all_ = await self._all(owner)
            before = (each for each in reversed(all_) if place == _START or _is_before(each, place))
            return list(islice(before, limit))
        while True:
            page = await store.run(ReadNotices(owner, place, limit))
            found += page.notices(place)
            if len(found) >= limit or len(page.entries) < limit:
                return found[:limit]
            place = page.entries[-1].place  # some were of kinds that this version does not know

    @for_operators
    async def kept(self, app: str, user: str) -> list[Notice]:
        """All that are remembered, also when this store was opened without notices.

        One round trip.

        Raises:
            InvalidInput: an id.
        """
        return await self._all(user_key(app, user))

    async def latest(self, app: str, user: str) -> str:
        """The cursor behind everything that has happened until now. One round trip.

        Take it before listing sessions, and subscribe after it: then no change is missed.

        Raises:
            InvalidInput: an id.
            ConfigurationError: the store was opened without `notices=True`.
        """
        return (await self._wanted().run(FindNewestNotice(user_key(app, user)))).text()

    def close(self) -> None:
        """End all iterations with `Closed`. The store does it when it is closed."""
        self._closed = True
        self._store.close()

    async def _all(self, owner: UserKey) -> list[Notice]:
        return (await self._store.run(ReadNotices(owner, _START, 2 * REMEMBERED))).notices(_START)

    def _wanted(self) -> NoticeStore:
        if self._closed:
            raise Closed("This store is closed: open a new one.")
        if not self._enabled:
            raise ConfigurationError(
                "This store was opened without notices, so its changes are not published: open "
                "it, and every other that writes, with notices=True."
            )
        return self._store

    async def _follow(
        self, store: NoticeStore, owner: UserKey, place: NoticePlace | None
    ) -> AsyncGenerator[Notice, None]:
        watch = store.watch(owner)
        try:
            if place is None:
                place = await self._wanted().run(FindNewestNotice(owner))
            while True:
                wanted = self._wanted()
                try:
                    page = await wanted.run(ReadNotices(owner, place, _PAGE))
                except (Closed, Unavailable):  # what is under way ends when a loop disconnects
                    self._wanted()
                    await watch.wait(min(_AGAIN, self._poll))
                    continue
                notices = page.notices(place)
                for notice in notices:
                    yield notice
                    place = NoticePlace.parse(notice.id)
                if page.entries:  # also behind those of kinds that this version does not know
                    place = page.entries[-1].place
                elif not notices:
                    await watch.wait(self._poll)
        finally:
            watch.close()


def _is_before(notice: Notice, place: NoticePlace) -> bool:
    return NoticePlace.parse(notice.id) < place
