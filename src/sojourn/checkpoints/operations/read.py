"""Read checkpoints, what they use, and those before one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.checkpoints import coded as content
from sojourn.checkpoints import refusals
from sojourn.checkpoints.model import ThreadKey
from sojourn.checkpoints.records import split_checkpoint
from sojourn.checkpoints.store import StoredRow, StoredRows
from sojourn.ids import escape

if TYPE_CHECKING:
    from sojourn.calls.coded import CodedStore
    from sojourn.checkpoints.inmemory import InMemoryCheckpoints
    from sojourn.checkpoints.redis import RedisCheckpoints

_READ, _OBJECTS, _HISTORY = (
    Script.beside(__name__, name) for name in ("read", "objects", "history")
)


class ReadCheckpoints(Operation[StoredRows], frozen=True):
    """Checkpoints, with their writes and the objects that both use.

    Raises CorruptRecord, NewerFormat.

    Attributes:
        key: of which thread.
        places: which; None for the last of the namespace.
        namespace: escaped; for the last.
        bare: without objects.
    """

    key: ThreadKey
    places: Sequence[str] | None = None
    namespace: str = ""
    bare: bool = False

    async def on_server(self, server: RedisCheckpoints) -> StoredRows:
        """One round trip."""
        what: tuple[str, ...] = (self.key.thread, "latest", f"{self.namespace}:")
        if self.places is not None:
            what = (self.key.thread, "bare" if self.bare else "these", *self.places)
        reply = await server.script(_READ, server.keys.thread(self.key), *what, large=True)
        after = 2 + 3 * int(reply[1])
        return StoredRows(_rows(reply[2:after]), _objects(reply[after:]))

    async def in_memory(self, memory: InMemoryCheckpoints) -> StoredRows:
        """As `Operation`."""
        found = memory.alive(self.key)
        if found is None:
            return StoredRows()
        places = self.places
        if places is None:
            places = found.places(self.namespace)[:1]
        rows = [row for place in places if (row := found.row(place))]
        if self.bare:
            return StoredRows(rows)
        digests = [each for row in rows for each in split_checkpoint(row.checkpoint)[0].digests]
        for row in rows:
            writes = found.writes.get(row.place, {}).values()
            digests += [each for write in writes for each in write.digests]
        return StoredRows(rows, found.reachable(digests))

    async def decoded(self, result: StoredRows, coded: CodedStore) -> StoredRows:
        """As `Operation`."""
        return await _decoded(coded, self.key, result)


class ReadObjects(Operation[StoredRows], frozen=True):
    """Objects and those below them; no checkpoints.

    Attributes:
        key: of which thread.
        digests: which.
    """

    key: ThreadKey
    digests: Sequence[str]

    async def on_server(self, server: RedisCheckpoints) -> StoredRows:
        """One round trip."""
        keys = server.keys.thread(self.key)
        return StoredRows(
            (), _objects(await server.script(_OBJECTS, keys, *self.digests, large=True))
        )

    async def in_memory(self, memory: InMemoryCheckpoints) -> StoredRows:
        """As `Operation`."""
        found = memory.alive(self.key)
        return StoredRows((), {} if found is None else found.reachable(self.digests))

    async def decoded(self, result: StoredRows, coded: CodedStore) -> StoredRows:
        """As `Operation`."""
        return await _decoded(coded, self.key, result)


class ReadHistory(Operation[StoredRows], frozen=True):
    """The checkpoints before one, the nearest first, without objects, as far as they are needed.

    Raises CorruptRecord, NewerFormat.

    Attributes:
        key: of which thread.
        namespace: escaped.
        id: of the checkpoint, escaped; empty for the last.
        names: reading ends when each has had a value in one of them.
    """

    key: ThreadKey
    namespace: str
    id: str
    names: Sequence[str]

    async def on_server(self, server: RedisCheckpoints) -> StoredRows:
        """One round trip."""
        _, *flat = await server.script(
            _HISTORY,
            server.keys.thread(self.key),
            *(self.key.thread, f"{self.namespace}:", self.id, *map(escape, self.names)),
            large=True,
        )
        return StoredRows(_rows(flat))

    async def in_memory(self, memory: InMemoryCheckpoints) -> StoredRows:
        """As `Operation`."""
        found = memory.alive(self.key)
        if found is None:
            return StoredRows()
        place = f"{self.namespace}:{self.id}"
        if not self.id:
            place = next(iter(found.places(self.namespace)), "")
        wanted, rows, row = set(self.names), list[StoredRow](), found.row(place)
        while wanted and row is not None and (parent := _parent(row)):
            row = found.row(f"{self.namespace}:{escape(parent)}")
            if row is not None:
                rows.append(row)
                wanted &= set(split_checkpoint(row.checkpoint)[0].missing)
        return StoredRows(rows)

    async def decoded(self, result: StoredRows, coded: CodedStore) -> StoredRows:
        """As `Operation`."""
        return await _decoded(coded, self.key, result)


class ListPlaces(Operation[list[str]], frozen=True):
    """The places of the checkpoints of a thread, in no order.

    Attributes:
        key: of which thread.
        namespace: escaped; None for all.
    """

    key: ThreadKey
    namespace: str | None = None

    async def on_server(self, server: RedisCheckpoints) -> list[str]:
        """One round trip."""
        key = server.keys.thread(self.key).checkpoints
        call: Call[Any] = Call(
            "threads.places", (key,), only, [("HKEYS", key)], separate_connection=True
        )
        places = [each.decode(errors="replace") for each in await server.engine.run(call)]
        return [
            place
            for place in places
            if self.namespace is None or place.partition(":")[0] == self.namespace
        ]

    async def in_memory(self, memory: InMemoryCheckpoints) -> list[str]:
        """As `Operation`."""
        found = memory.alive(self.key)
        return [] if found is None else found.places(self.namespace)


async def _decoded(coded: CodedStore, key: ThreadKey, result: StoredRows) -> StoredRows:
    try:
        return await content.decoded_rows(coded, key, result)
    except ValueError as error:
        raw = result.rows[0].checkpoint if len(result.rows) == 1 else b""
        raise refusals.corrupt(key.thread, f"cannot be read ({error})", raw) from error


def _parent(row: StoredRow) -> str:
    return split_checkpoint(row.checkpoint)[0].parent


def _rows(flat: Sequence[bytes]) -> list[StoredRow]:
    return [
        StoredRow(place.decode(errors="replace"), checkpoint, writes)
        for place, checkpoint, writes in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    ]


def _objects(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {
        digest.decode(errors="replace"): body
        for digest, body in zip(flat[::2], flat[1::2], strict=True)
    }
