"""List the versions of an artifact, the artifacts of an owner, and the owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from sojourn.artifacts.model import ArtifactPlace, Owner
from sojourn.artifacts.operations.find import FoundVersion
from sojourn.calls.call import Call, Script, only
from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import Operation
from sojourn.codecs import in_pieces
from sojourn.errors import CorruptRecord
from sojourn.ids import SessionId, SessionKey, UserKey, unescape

if TYPE_CHECKING:
    from sojourn.artifacts.inmemory import InMemoryArtifacts
    from sojourn.artifacts.redis import RedisArtifacts

_VERSIONS, _NAMES = (Script.beside(__name__, name) for name in ("versions", "names"))


class ListVersions(Operation[list[FoundVersion]], frozen=True):
    """All versions, oldest first. Raises CorruptRecord, and NewerFormat of the whole artifact.

    Attributes:
        place: of which artifact.
    """

    place: ArtifactPlace

    async def on_server(self, server: RedisArtifacts) -> list[FoundVersion]:
        """One round trip."""
        ours = server.keys.artifact(*self.place)
        status, *found = await server.script(
            _VERSIONS, (ours.head, ours.names), self.place.name, separate_connection=True
        )
        if status == b"missing":
            return []
        pairs = zip(found[::2], found[1::2], strict=True)
        return [
            FoundVersion(number, record, created, ours.head, "")
            for number, (record, created) in enumerate(pairs)
        ]

    async def in_memory(self, memory: InMemoryArtifacts) -> list[FoundVersion]:
        """As `Operation`."""
        found = memory.alive(self.place)
        return [
            FoundVersion(number, *each.whole(), self.place.name, "")
            for number, each in enumerate([] if found is None else found.versions)
        ]

    async def decoded(self, result: list[FoundVersion], coded: CodedStore) -> list[FoundVersion]:
        """As `Operation`. A record that cannot be decoded here stays as it is stored."""
        owner = self.place.owner
        coder = await coded.codec.coder(owner.app, owner.user, [each.record for each in result])
        return await in_pieces(lambda each: each.marked(coder, self.place, coded.codec), result)


class ListArtifacts(Operation[list[str]], frozen=True):
    """The names of the artifacts of an owner, in order. Raises CorruptRecord.

    Attributes:
        owner: whose.
    """

    owner: Owner

    async def on_server(self, server: RedisArtifacts) -> list[str]:
        """One round trip."""
        key, name = server.keys.artifacts(self.owner), b""
        call: Call[list[bytes]] = Call(
            "artifacts.names", (key,), only, script=_NAMES, separate_connection=True
        )
        try:
            return sorted([(name := each).decode() for each in await server.engine.run(call)])
        except UnicodeDecodeError as error:
            message = f"{key} names an artifact that can have none of that name: ZREM it."
            raise CorruptRecord(message, key=key, raw=name) from error

    async def in_memory(self, memory: InMemoryArtifacts) -> list[str]:
        """As `Operation`."""
        places = [place for place in memory.artifacts if place.owner == self.owner]
        return sorted(place.name for place in places if memory.alive(place))


class ListOwners(Operation[list[Owner]], frozen=True):
    """The user, and those of the user's sessions, that have artifacts.

    Attributes:
        user: which user.
    """

    user: UserKey

    async def on_server(self, server: RedisArtifacts) -> list[Owner]:
        """A round trip for each 1,000 keys of the server."""
        sessions = [
            unescape(key[key.index("}") + 2 :])
            for key, kind in (await server.find(server.keys.artifacts_by(self.user))).items()
            if kind == "artifacts"
        ]
        return [SessionKey(*self.user, SessionId(each)) if each else self.user for each in sessions]

    async def in_memory(self, memory: InMemoryArtifacts) -> list[Owner]:
        """As `Operation`."""
        owners = {place.owner for place in memory.places() if place.owner[:2] == self.user}
        return sorted(owners, key=lambda owner: owner[2:])


class EveryOwner(Operation[AsyncIterator[Owner]], frozen=True):
    """The owners of all artifacts, some perhaps twice."""

    async def on_server(self, server: RedisArtifacts) -> AsyncIterator[Owner]:
        """A round trip for each 1,000 keys of the server, as they are wanted."""
        return server.every_owner()

    async def in_memory(self, memory: InMemoryArtifacts) -> AsyncIterator[Owner]:
        """As `Operation`."""
        return _each([place.owner for place in memory.places()])


async def _each(owners: list[Owner]) -> AsyncIterator[Owner]:
    for owner in owners:
        yield owner
