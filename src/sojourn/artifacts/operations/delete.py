"""Delete an artifact; delete all that is stored of a user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.artifacts import records
from sojourn.artifacts.model import ArtifactPlace
from sojourn.calls.call import Script
from sojourn.calls.operation import Operation
from sojourn.ids import UserKey, escape
from sojourn.resilience.deadline import within

if TYPE_CHECKING:
    from sojourn.artifacts.inmemory import InMemoryArtifacts
    from sojourn.artifacts.redis import RedisArtifacts

SCRIPT = Script.beside(__name__)


class DeleteArtifact(Operation[bool], frozen=True):
    """Delete all versions of an artifact; whether there were any.

    Attributes:
        place: which artifact.
        operation_id: repeated with the same id it takes effect once.
    """

    place: ArtifactPlace
    operation_id: str

    async def on_server(self, server: RedisArtifacts) -> bool:
        """Two round trips, one if there are none; more while others save it."""
        ours = server.keys.artifact(*self.place)
        deleted = f"{ours.deleted}:{escape(self.operation_id)}"
        with within(server.engine.timeout):
            _, found = await server.script(
                SCRIPT,
                (ours.head, ours.names, deleted),
                self.place.name,
                of_versions=(ours.data,),
                operation_id=self.operation_id,
            )
        return records.number_of(found, deleted) == 1

    async def in_memory(self, memory: InMemoryArtifacts) -> bool:
        """As `Operation`."""
        operation = ("delete", self.place, self.operation_id)
        if operation not in memory.done:
            found = memory.alive(self.place) is not None
            memory.artifacts.pop(self.place, None)
            memory.remember(operation, found)
        return bool(memory.done[operation])


class ForgetArtifacts(Operation[int], frozen=True):
    """Delete all that is stored of a user and the user's sessions; how many artifacts.

    Attributes:
        user: which user.
    """

    user: UserKey

    async def on_server(self, server: RedisArtifacts) -> int:
        """A round trip for each 1,000 keys of the server, and for each 500 that are deleted."""
        keys = await server.find(server.keys.artifacts_by(self.user))
        await server.unlink(keys)
        return list(keys.values()).count("artifact")

    async def in_memory(self, memory: InMemoryArtifacts) -> int:
        """As `Operation`."""
        ours = [place for place in memory.places() if place.owner[:2] == self.user]
        for place in ours:
            del memory.artifacts[place]
        for operation in [each for each in memory.done if each[1].owner[:2] == self.user]:
            del memory.done[operation]
        return len(ours)
