"""In-memory artifact store."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from sojourn.artifacts.model import ArtifactPlace
from sojourn.calls.operation import Operation
from sojourn.codecs.growth import MARK
from sojourn.resilience.atomic import atomic

R = TypeVar("R")

_OPERATIONS = 100_000
"""How many operation ids are remembered."""


class VersionInMemory(NamedTuple):
    """A version as it is stored; `operation_id` is of its save."""

    created: float
    record: bytes
    chunks: Sequence[bytes]
    operation_id: str

    def whole(self) -> tuple[bytes, bytes]:
        """Its record and what stands beside it, as a server has them."""
        created = b"%r" % self.created
        if self.record[:1] == MARK:
            return self.record, created
        return b'{"created":%b,%b' % (created, self.record), b""


@dataclass(slots=True)
class ArtifactInMemory:
    """An artifact: its versions."""

    expires: float | None = None
    versions: list[VersionInMemory] = field(default_factory=list[VersionInMemory])


@atomic
class InMemoryArtifacts:
    """Artifacts in this process. Its attributes are for operations.

    Args:
        ttl: seconds that an artifact lives after its last touch; None for ever.
        clock: seconds since the epoch.
    """

    def __init__(self, ttl: float | None, clock: Callable[[], float] = time.time) -> None:
        self._ttl = ttl
        self.now = clock
        self.artifacts: dict[ArtifactPlace, ArtifactInMemory] = {}
        self.done: OrderedDict[tuple[str, ArtifactPlace, str], int] = OrderedDict()
        self.uploads: dict[tuple[ArtifactPlace, str], dict[int, bytes]] = {}

    async def run(self, operation: Operation[R]) -> R:
        """As `RoomStore`."""
        return await operation.in_memory(self)

    def apps_of(self, user: str) -> set[str]:
        """The apps in which something is stored of a user."""
        places = [*self.artifacts, *(place for _, place, _ in self.done)]
        return {place.owner.app for place in places if place.owner.user == user}

    def places(self) -> list[ArtifactPlace]:
        """Those of all artifacts that have not expired."""
        return [place for place in list(self.artifacts) if self.alive(place) is not None]

    def alive(self, place: ArtifactPlace) -> ArtifactInMemory | None:
        """An artifact that has not expired; None when there is none."""
        found = self.artifacts.get(place)
        if found is not None and found.expires is not None and found.expires <= self.now():
            del self.artifacts[place]
            return None
        return found

    def expiry(self) -> float | None:
        """When an artifact expires that is touched now."""
        return None if self._ttl is None else self.now() + self._ttl

    def remember(self, operation: tuple[str, ArtifactPlace, str], result: int) -> int:
        """Remember what an operation has done; returns it."""
        self.done[operation] = result
        if len(self.done) > _OPERATIONS:
            self.done.popitem(last=False)
        return result
