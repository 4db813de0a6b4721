"""Store the writes of a task beside a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from sojourn.calls.call import Argument, Script
from sojourn.calls.operation import Operation
from sojourn.checkpoints import coded as content
from sojourn.checkpoints.model import ThreadKey
from sojourn.checkpoints.objects import missing_of
from sojourn.checkpoints.operations.put import LARGE
from sojourn.checkpoints.records import WriteRow
from sojourn.checkpoints.store import in_ms
from sojourn.ids import escape

if TYPE_CHECKING:
    from sojourn.calls.coded import CodedStore
    from sojourn.checkpoints.inmemory import InMemoryCheckpoints
    from sojourn.checkpoints.redis import RedisCheckpoints

_PUT_WRITES = Script.beside(__name__)


class PutWrites(Operation[Sequence[str]], frozen=True):
    """Store writes. Gives digests that are neither there nor given: then nothing was written.

    Raises CorruptRecord, NewerFormat.

    Attributes:
        key: of which thread.
        place: of the checkpoint.
        task: whose writes.
        rows: the first of an index stays; the last of a negative one.
        objects: those that may be new, by digest.
        ttl: seconds that the thread lives on; None for ever.
        operation_id: repeated with the same id it takes effect once.
        stage: into parts of this name, which nobody sees yet.
    """

    key: ThreadKey
    place: str
    task: str
    rows: Sequence[WriteRow]
    objects: Mapping[str, bytes]
    ttl: float | None
    operation_id: str
    stage: str = ""

    async def on_server(self, server: RedisCheckpoints) -> Sequence[str]:
        """One round trip."""
        keys = server.keys.thread(self.key, self.stage)
        rows: list[Argument] = [each for row in self.rows for each in (row.number, row.rest)]
        given = [each for pair in self.objects.items() for each in pair]
        _, *missing = await server.script(
            _PUT_WRITES,
            keys,
            *("" if self.stage else self.key.thread, self.operation_id, in_ms(self.ttl)),
            *(self.place, escape(self.task), len(self.rows), *rows, *given),
            operation_id=self.operation_id,
            large=sum(map(len, self.objects.values())) > LARGE,
        )
        return [each.decode() for each in missing]

    async def in_memory(self, memory: InMemoryCheckpoints) -> Sequence[str]:
        """As `Operation`."""
        operation = ("write", self.key, self.operation_id)
        if operation in memory.done:
            return []
        found = memory.alive(self.key, stage=self.stage)
        there = found.writes.get(self.place, {}) if found is not None else {}
        rows = [row for row in self.rows if row.number < 0 or (self.task, row.number) not in there]
        digests = [digest for row in rows for digest in row.digests]
        here = {} if found is None else found.objects
        missing = missing_of(digests, here, self.objects)
        if missing:
            return missing
        found = memory.touched(self.key, self.ttl, stage=self.stage)
        writes = found.writes.setdefault(self.place, {})
        for row in rows:
            if row.number < 0 or (self.task, row.number) not in writes:
                writes[self.task, row.number] = row
        found.objects = {**found.objects, **self.objects}
        found.objects = found.reachable(found.used())
        memory.remember(operation)
        return []

    async def encoded(self, coded: CodedStore) -> Self:
        """As `Operation`."""
        coder = await content.encoder(coded, self.key)
        return replace(
            self,
            rows=[
                content.encoded_write(coder, self.key, self.place, self.task, row)
                for row in self.rows
            ],
            objects=content.encoded_objects(coder, self.key, self.objects),
        )
