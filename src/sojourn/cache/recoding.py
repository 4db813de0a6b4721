"""Cached values, encoded anew for a job that goes over all records."""

from __future__ import annotations

from collections.abc import Mapping

from sojourn.cache.keys import CacheRoomKeys
from sojourn.cache.store import EntryKey
from sojourn.caps import CEILING
from sojourn.codecs.growth import check_format
from sojourn.codecs.recoding import Recoding


class CacheRecoding:
    """The content of this room's records, as a `RoomRecoding`.

    Args:
        keys: tell whose a record is.
    """

    def __init__(self, keys: CacheRoomKeys) -> None:
        self._keys = keys

    async def fields(
        self,
        kind: str,  # noqa: ARG002 - there is one
        key: str,
        fields: Mapping[bytes, bytes],
        recoding: Recoding,
    ) -> Mapping[bytes, bytes]:
        """An entry's hash."""
        check_format(fields.get(b"format"), key)
        value = fields.get(b"value")
        if value is None:
            return fields
        tenant, _, name = self._keys.named(key)
        place = EntryKey(tenant, name).place
        recoder = await recoding.recoder(place.app, place.user, [value])
        return {**fields, b"value": recoder.value(value, place, CEILING.event)}
