"""Content encoded anew, as the work of a job: with another key, compression or serializer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sojourn.codecs.recoding import LogRecoding, Recoding, RoomRecoding
from sojourn.ids import UserKey
from sojourn.jobs.records import Fields, LogRows


class ResealWork:
    """Encodes the content of records anew.

    Args:
        what: how it is written from now on, in a word.
        recoding: does it.
        rooms: the content of rooms, by the names of their kinds of keys.
        logs: the content of logs.
        owner: whose records; None for those of all.
    """

    name = "reseal"
    whole = False

    def __init__(
        self,
        what: str,
        recoding: Recoding,
        rooms: Mapping[str, RoomRecoding],
        logs: LogRecoding,
        owner: UserKey | None,
    ) -> None:
        self.what = what
        self.owner = owner
        self._recoding = recoding
        self._rooms = rooms
        self._logs = logs
        self.kinds: Collection[str] | None = rooms.keys()

    async def fields(self, kind: str, key: str, fields: Fields) -> Fields:
        """A hash with its content encoded anew."""
        room = self._rooms.get(kind)
        return fields if room is None else await room.fields(kind, key, fields, self._recoding)

    async def rows(self, session: str, log: LogRows) -> Sequence[bytes]:
        """Rows encoded anew."""
        return await self._logs.rows(session, log.head, log.rows, self._recoding)

    @property
    def replaced(self) -> int:
        """Records that rooms have replaced by themselves."""
        return self._recoding.replaced

    @property
    def missed(self) -> int:
        """Those of which others had changed something meanwhile."""
        return self._recoding.missed
