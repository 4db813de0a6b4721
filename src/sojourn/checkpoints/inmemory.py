"""In-memory store of threads. It counts no references: what is used nowhere is looked for."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sojourn.calls.operation import Operation
from sojourn.checkpoints import records
from sojourn.checkpoints.model import ThreadKey
from sojourn.checkpoints.objects import children_of, digest_in
from sojourn.checkpoints.records import WriteRow
from sojourn.checkpoints.store import StoredRow
from sojourn.ids import escape
from sojourn.resilience.atomic import atomic

R = TypeVar("R")

_OPERATIONS = 100_000
"""How many operation ids are remembered."""

Writes = dict[tuple[str, int], WriteRow]


@dataclass(slots=True)
class ThreadInMemory:
    """A thread: its checkpoints and writes by place, and its objects by digest."""

    created: float
    updated: float
    expires: float | None
    title: bytes = b""
    checkpoints: dict[str, bytes] = field(default_factory=dict[str, bytes])
    writes: dict[str, Writes] = field(default_factory=dict[str, Writes])
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def row(self, place: str) -> StoredRow | None:
        """A checkpoint as it stands on a server."""
        stored = self.checkpoints.get(place)
        if stored is None:
            return None
        rows = [(task, row) for (task, _), row in self.writes.get(place, {}).items()]
        return StoredRow(place, stored, records.join_writes(rows))

    def reachable(self, digests: Sequence[str]) -> dict[str, bytes]:
        """Objects, and those below them."""
        found: dict[str, bytes] = {}
        todo = list(digests)
        while todo:
            digest = todo.pop()
            if digest in found or digest not in self.objects:
                continue
            found[digest] = self.objects[digest]
            todo += map(digest_in, children_of(found[digest]))
        return found

    def used(self) -> list[str]:
        """The digests of all values of checkpoints and writes."""
        digests = [
            digest
            for stored in self.checkpoints.values()
            for digest in records.split_checkpoint(stored)[0].digests
        ]
        return digests + [
            digest
            for rows in self.writes.values()
            for row in rows.values()
            for digest in row.digests
        ]

    def places(self, namespace: str | None = None) -> list[str]:
        """The places of a namespace (escaped), or of all, the newest first."""
        return sorted(
            (
                place
                for place in self.checkpoints
                if namespace is None or place.partition(":")[0] == namespace
            ),
            reverse=True,
        )

    def remove(self, places: Sequence[str]) -> int:
        """Delete checkpoints, and what only they use; how many there were."""
        found = [place for place in places if self.checkpoints.pop(place, None) is not None]
        for place in found:
            self.writes.pop(place, None)
        if found:
            self.objects = self.reachable(self.used())
        return len(found)

    def prune(self, namespace: str, keep: int) -> int:
        """Delete what is not kept of a namespace (escaped); how many."""
        places = self.places(namespace)
        leads = {
            place.partition(":")[2]: records.split_checkpoint(self.checkpoints[place])[0]
            for place in places
        }
        parents = {escape(lead.parent) for lead in leads.values()}
        kept: set[str] = set()
        for number, place in enumerate(places):
            name = place.partition(":")[2]
            waits = any(row.waits for row in self.writes.get(place, {}).values())
            if number >= keep and (not waits or name in parents):
                continue
            kept.add(name)
            wanted = set(leads[name].delta)
            at = escape(leads[name].parent)
            while wanted and at in leads:
                kept.add(at)
                wanted &= set(leads[at].delta)
                at = escape(leads[at].parent)
        return self.remove([place for place in places if place.partition(":")[2] not in kept])


@atomic
class InMemoryCheckpoints:
    """Threads in this process. Its attributes are for operations.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        self.threads: dict[ThreadKey, ThreadInMemory] = {}
        self.staged: dict[tuple[ThreadKey, str], ThreadInMemory] = {}
        self.done: OrderedDict[tuple[str, ThreadKey, str], int] = OrderedDict()
        self.registered: dict[tuple[str, str], set[tuple[str, ...]]] = {}

    async def run(self, operation: Operation[R]) -> R:
        """As `RoomStore`."""
        return await operation.in_memory(self)

    def apps_of(self, user: str) -> set[str]:
        """The apps in which something is stored of a user."""
        keys = [*self.threads, *(key for _, key, _ in self.done)]
        return {key.app for key in keys if key.user == user}

    def alive(self, key: ThreadKey, *, stage: str = "") -> ThreadInMemory | None:
        """A thread that has not expired; None when there is none."""
        found = self.staged.get((key, stage)) if stage else self.threads.get(key)
        if found is not None and found.expires is not None and found.expires <= self.now():
            if stage:
                del self.staged[key, stage]
            else:
                del self.threads[key]
            return None
        return found

    def touched(self, key: ThreadKey, ttl: float | None, *, stage: str = "") -> ThreadInMemory:
        """A thread that is written now: made if there is none, and living for `ttl` at least."""
        now, found = self.now(), self.alive(key, stage=stage)
        expires = None if ttl is None else now + ttl
        if found is None:
            found = ThreadInMemory(now, now, expires)
            if stage:
                self.staged[key, stage] = found
            else:
                self.threads[key] = found
        elif found.expires is not None and (expires is None or expires > found.expires):
            found.expires = expires
        found.updated = now
        return found

    def remember(self, operation: tuple[str, ThreadKey, str], result: int = 0) -> int:
        """Remember what an operation has done; returns it."""
        self.done[operation] = result
        if len(self.done) > _OPERATIONS:
            self.done.popitem(last=False)
        return result
