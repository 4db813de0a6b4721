"""Messages to clients, encoded anew for a job that goes over all records."""

from __future__ import annotations

from collections.abc import Mapping

from sojourn.codecs.growth import check_format
from sojourn.codecs.recoding import Recoding
from sojourn.ids import SessionKey
from sojourn.streams.keys import StreamRoomKeys
from sojourn.streams.operations.messages import LONGEST, place_of


class StreamRecoding:
    """The content of this room's records, as a `RoomRecoding`.

    Args:
        keys: tell whose a record is.
    """

    def __init__(self, keys: StreamRoomKeys) -> None:
        self._keys = keys

    async def fields(
        self,
        kind: str,  # noqa: ARG002 - there is one
        key: str,
        fields: Mapping[bytes, bytes],
        recoding: Recoding,
    ) -> Mapping[bytes, bytes]:
        """A connection's hash: its fields of a number are messages."""
        check_format(fields.get(b"format"), key)
        of = SessionKey.of(*self._keys.named(key))
        messages = {name: value.split(b"\n", 2) for name, value in fields.items() if name.isdigit()}
        rows = [parts[2] for parts in messages.values() if len(parts) > 2]  # noqa: PLR2004
        recoder = await recoding.recoder(of.app, of.user, rows)
        new = dict(fields)
        for name, (operation, *rest) in messages.items():
            size, row = rest
            place = place_of(of, operation.decode())
            new[name] = b"\n".join((operation, size, recoder.value(row, place, LONGEST)))
        return new
