"""Content of memory entries, encoded anew for a job that goes over all records."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import cast

from sojourn.codecs.recoding import Recoding
from sojourn.ids import AppName
from sojourn.memory.coded import recoded, values_of
from sojourn.memory.entry_codec import fields_of, parse_rows
from sojourn.memory.keys import MemoryRoomKeys
from sojourn.memory.model import Kind, ScopeKey
from sojourn.memory.store import MemoryRow

_CONTENT = (b"value", b"metadata", b"text", b"vector", b"vector_encoding", b"digest")


class MemoryRecoding:
    """The content of this room's records, as a `RoomRecoding`.

    Args:
        keys: tell whose a record is.
    """

    def __init__(self, keys: MemoryRoomKeys) -> None:
        self._keys = keys

    async def fields(
        self, kind: str, key: str, fields: Mapping[bytes, bytes], recoding: Recoding
    ) -> Mapping[bytes, bytes]:
        """An entry's hash."""
        if kind != "remembered":
            return fields
        app, scope_kind, name, _, entry = self._keys.named(key)
        scope = ScopeKey(AppName(app), cast("Kind", scope_kind), name)
        (row,) = parse_rows([entry], [key], [[*chain(*fields.items())]], None)
        if not isinstance(row, MemoryRow):
            if row is None:
                return fields
            raise row
        user = None if scope.owner is None else scope.owner.user
        recoder = await recoding.recoder(app, user, values_of(row.item))
        item = recoded(recoder, scope, row)
        if item is row.item:
            return fields
        new = {name: value for name, value in fields.items() if name not in _CONTENT}
        given = iter(fields_of(item._replace(tenant="")))
        for name_, value in zip(given, given, strict=True):
            if name_ != "metadata" or b"metadata" in fields or value != b"{}":
                new[_bytes(name_)] = _bytes(value)
        return new


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
