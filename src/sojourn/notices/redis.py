"""Notices on a server: a stream for each user, which the scripts that change sessions write."""

from __future__ import annotations

import logging
from typing import Any, get_args

from sojourn.calls.call import Call
from sojourn.engine.engine import Engine
from sojourn.ids import UserKey
from sojourn.notices.keys import NoticeRoomKeys
from sojourn.notices.model import Kind, NoticeEntry, NoticePlace, Page
from sojourn.notices.store import NoticeWatch

log = logging.getLogger("sojourn.notices")

_KINDS: dict[bytes, Kind] = {kind.encode(): kind for kind in get_args(Kind)}


class RedisNotices:
    """A `NoticeStore` over an engine. A user's channel has the name of the stream.

    Args:
        engine: where calls go.
        keys: builds the keys.
    """

    def __init__(self, engine: Engine, keys: NoticeRoomKeys) -> None:
        self._engine = engine
        self._keys = keys

    async def read(self, owner: UserKey, after: NoticePlace, limit: int) -> Page:
        """One round trip."""
        stream = self._keys.notices(owner)
        start = "-" if after.at == 0 else f"({after.text()}"
        entries, newest = await self._engine.run(
            Call(
                name="notices.read",
                keys=(stream,),
                read=list,
                commands=[
                    ("XRANGE", stream, start, "+", "COUNT", limit),
                    ("XREVRANGE", stream, "+", "-", "COUNT", 1),
                ],
            )
        )
        return Page([_entry(each) for each in entries], _place(newest[0][0]) if newest else None)

    async def newest(self, owner: UserKey) -> NoticePlace:
        """One round trip."""
        stream = self._keys.notices(owner)
        newest, (seconds, micros) = await self._engine.run(
            Call(
                name="notices.newest",
                keys=(stream,),
                read=list,
                commands=[("XREVRANGE", stream, "+", "-", "COUNT", 1), ("TIME",)],
            )
        )
        if newest:
            return _place(newest[0][0])
        return NoticePlace(int(seconds) * 1000 + int(micros) // 1000, 0)

    async def forget(self, owner: UserKey) -> int:
        """One round trip."""
        stream = self._keys.notices(owner)
        commands = [("XLEN", stream), ("UNLINK", stream)]
        call: Call[list[Any]] = Call(
            "notices.forget", (stream,), list, commands=commands, allow_wrong_type=True
        )
        count, _ = await self._engine.run(call)
        return count if isinstance(count, int) else 0

    def watch(self, owner: UserKey) -> NoticeWatch:
        """All of an event loop share one connection to a server."""
        return self._engine.watch(self._keys.notices(owner))

    def close(self) -> None:
        """The engine wakes them when it is closed."""


def _entry(stored: list[Any]) -> NoticeEntry:
    """An entry of a stream; one that cannot be read is as good as one that is missing."""
    place = _place(stored[0])
    fields = dict(zip(stored[1][::2], stored[1][1::2], strict=True))
    if fields.get(b"kind", b"missed") not in _KINDS:
        return NoticeEntry(place, None, "", 0)
    try:
        session, version = fields[b"session"].decode(), int(fields[b"version"])
        return NoticeEntry(place, _KINDS[fields[b"kind"]], session, version)
    except (LookupError, ValueError):
        log.warning("The notice %s cannot be read: it counts as missed.", place.text())
        return NoticeEntry(place, "missed", "", 0)


def _place(stored: bytes) -> NoticePlace:
    at, _, number = stored.partition(b"-")
    return NoticePlace(int(at), int(number))
