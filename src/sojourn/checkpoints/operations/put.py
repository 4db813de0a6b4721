"""Store a checkpoint with the objects that it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from sojourn.calls.call import Script
from sojourn.calls.operation import Operation
from sojourn.checkpoints import coded as content
from sojourn.checkpoints.model import ThreadKey
from sojourn.checkpoints.objects import missing_of
from sojourn.checkpoints.records import CheckpointLead
from sojourn.checkpoints.store import in_ms

if TYPE_CHECKING:
    from sojourn.calls.coded import CodedStore
    from sojourn.checkpoints.inmemory import InMemoryCheckpoints
    from sojourn.checkpoints.redis import RedisCheckpoints

_PUT = Script.beside(__name__)

LARGE = 64 * 1024
"""Bytes up to which objects need not travel apart from small calls."""


class PutCheckpoint(Operation[Sequence[str]], frozen=True):
    """Store a checkpoint. Gives digests that are neither there nor given: then nothing was written.

    Raises CorruptRecord, NewerFormat.

    Attributes:
        key: of which thread.
        namespace: of the checkpoint, escaped.
        id: of the checkpoint, escaped.
        lead: what stands in clear.
        content: the rest of it.
        objects: those that may be new, by digest.
        ttl: seconds that the thread lives on; None for ever.
        keep: how many checkpoints the namespace keeps; None for all.
        title: of the thread, if it has none.
        operation_id: repeated with the same id it takes effect once.
        stage: into parts of this name, which nobody sees yet.
    """

    key: ThreadKey
    namespace: str
    id: str
    lead: CheckpointLead
    content: bytes
    objects: Mapping[str, bytes]
    ttl: float | None
    keep: int | None
    title: bytes
    operation_id: str
    stage: str = ""

    async def on_server(self, server: RedisCheckpoints) -> Sequence[str]:
        """One round trip."""
        keys = server.keys.thread(self.key, self.stage)
        given = [each for pair in self.objects.items() for each in pair]
        _, *missing = await server.script(
            _PUT,
            keys,
            *("" if self.stage else self.key.thread, self.operation_id, in_ms(self.ttl)),
            "" if self.keep is None else self.keep,
            *(f"{self.namespace}:", self.id, self.lead.encode() + self.content, self.title),
            *given,
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
        here = {} if found is None else found.objects
        missing = missing_of(self.lead.digests, here, self.objects)
        if missing:
            return missing
        found = memory.touched(self.key, self.ttl, stage=self.stage)
        place = f"{self.namespace}:{self.id}"
        again = place in found.checkpoints
        found.checkpoints[place] = self.lead.encode() + self.content
        found.objects.update(self.objects)
        found.title = found.title or self.title
        if again:
            found.objects = found.reachable(found.used())
        if self.keep is not None:
            found.prune(self.namespace, self.keep)
        memory.remember(operation)
        return []

    async def encoded(self, coded: CodedStore) -> Self:
        """As `Operation`."""
        coder, key = await content.encoder(coded, self.key), self.key
        place = f"{self.namespace}:{self.id}"
        return replace(
            self,
            content=content.encoded_checkpoint(coder, key, place, self.lead.encode(), self.content),
            objects=content.encoded_objects(coder, key, self.objects),
            title=content.encoded_title(coder, key, self.title),
        )
