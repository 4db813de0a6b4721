"""Operations of the notices room. The scripts of sessions write the notices."""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING, Any, get_args

from sojourn.calls.call import Call
from sojourn.calls.operation import Operation
from sojourn.ids import UserKey
from sojourn.notices.model import Kind, NoticeEntry, NoticePlace, Page

if TYPE_CHECKING:
    from sojourn.notices.inmemory import InMemoryNotices
    from sojourn.notices.redis import RedisNotices

log = logging.getLogger("sojourn.notices")

_KINDS: dict[bytes, Kind] = {kind.encode(): kind for kind in get_args(Kind)}


class ReadNotices(Operation[Page], frozen=True):
    """The notices of a user behind a place, oldest first.

    Attributes:
        owner: which user.
        after: the place.
        limit: how many at most.
    """

    owner: UserKey
    after: NoticePlace
    limit: int

    async def on_server(self, server: RedisNotices) -> Page:
        """One round trip."""
        stream, after = server.keys.notices(self.owner), self.after
        start = "-" if after.at == 0 else f"({after.text()}"
        commands = [
            ("XRANGE", stream, start, "+", "COUNT", self.limit),
            ("XREVRANGE", stream, "+", "-", "COUNT", 1),
        ]
        entries, newest = await server.engine.run(
            Call("notices.read", (stream,), list, commands=commands)
        )
        last = NoticePlace(*map(int, newest[0][0].split(b"-"))) if newest else None
        return Page([_entry(each) for each in entries], last)

    async def in_memory(self, memory: InMemoryNotices) -> Page:
        """As `Operation`."""
        entries = memory.entries(self.owner)
        if not entries:
            return Page([], None)
        found = (entry for entry in entries if entry.place > self.after)
        return Page(list(islice(found, self.limit)), entries[-1].place)


class FindNewestNotice(Operation[NoticePlace], frozen=True):
    """The place of a user's newest notice; where there is none, a place at this time.

    Attributes:
        owner: which user.
    """

    owner: UserKey

    async def on_server(self, server: RedisNotices) -> NoticePlace:
        """One round trip."""
        stream = server.keys.notices(self.owner)
        commands = [("XREVRANGE", stream, "+", "-", "COUNT", 1), ("TIME",)]
        newest, (seconds, micros) = await server.engine.run(
            Call("notices.newest", (stream,), list, commands=commands)
        )
        if newest:
            return NoticePlace(*map(int, newest[0][0].split(b"-")))
        return NoticePlace(int(seconds) * 1000 + int(micros) // 1000, 0)

    async def in_memory(self, memory: InMemoryNotices) -> NoticePlace:
        """As `Operation`."""
        entries = memory.entries(self.owner)
        return entries[-1].place if entries else NoticePlace(int(memory.clock() * 1000), 0)


class ForgetNotices(Operation[int], frozen=True):
    """Delete all notices of a user; how many.

    Attributes:
        owner: which user.
    """

    owner: UserKey

    async def on_server(self, server: RedisNotices) -> int:
        """One round trip."""
        stream = server.keys.notices(self.owner)
        commands = [("XLEN", stream), ("UNLINK", stream)]
        count, _ = await server.engine.run(
            Call("notices.forget", (stream,), list, commands=commands, allow_wrong_type=True)
        )
        return count if isinstance(count, int) else 0

    async def in_memory(self, memory: InMemoryNotices) -> int:
        """As `Operation`."""
        stream = memory.streams.pop(self.owner, None)
        return 0 if stream is None else len(stream.entries)


def _entry(stored: list[Any]) -> NoticeEntry:
    """An entry of a stream; one that cannot be read counts as one that is missing."""
    place = NoticePlace(*map(int, stored[0].split(b"-")))
    fields = dict(zip(stored[1][::2], stored[1][1::2], strict=True))
    if fields.get(b"kind", b"missed") not in _KINDS:
        return NoticeEntry(place, None, "", 0)
    try:
        session, version = fields[b"session"].decode(), int(fields[b"version"])
        return NoticeEntry(place, _KINDS[fields[b"kind"]], session, version)
    except (LookupError, ValueError):
        log.warning("The notice %s cannot be read: it counts as missed.", place.text())
        return NoticeEntry(place, "missed", "", 0)
