"""Store of a room that encodes what goes in and decodes what comes out."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from sojourn.calls.operation import Operation, R, RoomStore
from sojourn.codecs.codec import Codec

_AS_IS: type[Operation[Any]] = Operation


class CodedStore:
    """A `RoomStore` over another one, which gets and gives only stored forms of content.

    Args:
        store: on a server, in memory, or with an outage buffer.
        codec: how values are written.

    Attributes:
        codec: the same.
    """

    def __init__(self, store: RoomStore, codec: Codec) -> None:
        self._store = store
        self.codec = codec

    @property
    def beneath(self) -> RoomStore:
        """The other one, which gives stored forms."""
        return self._store

    def run(self, operation: Operation[R]) -> Coroutine[Any, Any, R]:
        """As `RoomStore`. Without keys, compression and serializer a write is handed on."""
        kind: type[Operation[Any]] = type(operation)
        if kind.decoded is not _AS_IS.decoded or (
            self.codec.writes and kind.encoded is not _AS_IS.encoded
        ):
            return self._coded(operation)
        return self._store.run(operation)

    async def _coded(self, operation: Operation[R]) -> R:
        if self.codec.writes:
            operation = await operation.encoded(self)
        return await operation.decoded(await self._store.run(operation), self)
