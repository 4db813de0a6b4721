"""Give an artifact to another owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.artifacts import refusals
from sojourn.artifacts.model import ArtifactPlace, Owner
from sojourn.calls.call import Script
from sojourn.calls.operation import Operation
from sojourn.resilience.deadline import within

if TYPE_CHECKING:
    from sojourn.artifacts.inmemory import InMemoryArtifacts
    from sojourn.artifacts.redis import RedisArtifacts

SCRIPT = Script.beside(__name__)


class MoveArtifact(Operation[bool], frozen=True):
    """Give an artifact to another owner of the same user; whether there was one.

    Raises Conflict when the new owner has one of this name, and NewerFormat.

    Attributes:
        place: which artifact.
        to: the new owner.
    """

    place: ArtifactPlace
    to: Owner

    async def on_server(self, server: RedisArtifacts) -> bool:
        """Two round trips, one if there is none; more while others save it."""
        name = self.place.name
        ours, theirs = server.keys.artifact(*self.place), server.keys.artifact(self.to, name)
        with within(server.engine.timeout):
            (status,) = await server.script(
                SCRIPT,
                (ours.head, ours.names, theirs.head, theirs.names),
                name,
                of_versions=(ours.data, theirs.data, theirs.saved),
            )
        if status == b"exists":
            raise refusals.exists(name)
        return status == b"ok"

    async def in_memory(self, memory: InMemoryArtifacts) -> bool:
        """As `Operation`."""
        new, found = ArtifactPlace(self.to, self.place.name), memory.alive(self.place)
        if found is None:
            return False
        if memory.alive(new) is not None:
            raise refusals.exists(self.place.name)
        memory.artifacts[new] = memory.artifacts.pop(self.place)
        for number, version in enumerate(found.versions):
            memory.remember(("save", new, version.operation_id), number)
        return True
