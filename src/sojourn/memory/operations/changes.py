"""Read what has changed in a scope, for a search index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sojourn.calls.call import Call, Command
from sojourn.calls.operation import Operation
from sojourn.codecs.growth import check_format
from sojourn.errors import CorruptRecord, NewerFormat
from sojourn.memory.coded import decoded_rows, is_shut
from sojourn.memory.model import ScopeKey
from sojourn.memory.store import WITNESSES, ChangeMark, Changes, MemoryRow, Witness

if TYPE_CHECKING:
    from sojourn.calls.coded import CodedStore
    from sojourn.memory.inmemory import InMemoryMemory
    from sojourn.memory.keys import MemoryKeys
    from sojourn.memory.redis import RedisMemory

_STEP = 500
"""Entries of one answer."""


class ReadChanges(Operation[Changes], frozen=True):
    """What has changed, a bounded part of it; all that there is when `since` is None.

    Attributes:
        scope: whose entries.
        since: what is known already.
        latest: the latest entries known with `since`, the last first.
    """

    scope: ScopeKey
    since: ChangeMark | None
    latest: Sequence[Witness] = ()

    async def decoded(self, result: Changes, coded: CodedStore) -> Changes:
        """As `Operation`. With keys it asks for them in any case: they may have been destroyed."""
        unexpected = await decoded_rows(coded, self.scope, result.unexpected)
        if any(isinstance(row, MemoryRow) for row in unexpected) or (
            self.latest and await is_shut(coded, self.scope)
        ):
            return Changes.start_over(result.now)
        found = await decoded_rows(coded, self.scope, result.rows)
        if found is result.rows:
            return result
        rows: list[MemoryRow] = []
        removed, newer = [*result.removed], result.newer
        for stored, row in zip(result.rows, found, strict=True):
            if isinstance(row, MemoryRow):
                rows.append(row)
            else:
                removed.append((stored.item.key, stored.version))
                newer += not isinstance(row, CorruptRecord)
        return result._replace(rows=rows, removed=removed, newer=newer)

    async def on_server(self, server: RedisMemory) -> Changes:
        """One round trip when nothing has changed; one more for what has, two for lost indexes."""
        server.register_owed(self.scope)
        since, ours = self.since, server.keys.memory(*self.scope)
        call = self._call(ours, [server.keys.remembered(ours, each.key) for each in self.latest])
        reply = await server.engine.run(call)
        if reply[5] != reply[6] and await server.repair_index(ours):  # one was evicted
            reply = await server.engine.run(call)
        before, changed, deleted, after, clock, _, _, *seen = reply
        now = int(clock[0]) + int(clock[1]) / 1_000_000
        try:
            check_format(before[2], f"The memory scope {ours.head}")
            life = (before[0] or b"").decode()
            seq, floor = int(before[1] or 0), int(after[1] or 0)
            stored = _numbered(changed)
            gone = _numbered(deleted)
        except ValueError as error:
            raise CorruptRecord(
                f"{ours.head} or an index of it holds what Sojourn has not written.",
                key=ours.head,
                raw=repr(before).encode(),
            ) from error
        if before[0] != after[0] or (since and (life != since.id or 0 < since.seq < floor)):
            return Changes.start_over(now)
        unexpected: list[MemoryRow] = []
        if since:
            others = self._others(since, seen, gone, now) if seq >= since.seq else None
            if others is None:
                return Changes.start_over(now)
            known = await server.read(ours, others) if others else []
            unexpected = [row for row in known if isinstance(row, MemoryRow)]
        more = len(stored) > _STEP
        stored = stored[:_STEP]
        found, lost = await server.read_listed(ours, list(dict(stored)))
        if lost and await server.repair_index(ours, lost):
            return Changes.start_over(now)
        rows = [row for row in found if isinstance(row, MemoryRow)]
        here = {row.item.key for row in rows}
        gone += [each for each in stored if each[0] not in here]
        last = stored[-1][1] if stored else 0
        reached = last if more else max(seq, last)
        newer = sum(isinstance(row, NewerFormat) for row in found)
        return Changes(ChangeMark(life, reached), rows, gone, more, now, newer, unexpected)

    def _call(self, ours: MemoryKeys, witnesses: Sequence[str]) -> Call[list[Any]]:
        """What is new; and with `since` what is known of before, to see that it still is."""
        since, latest = self.since, self.latest
        behind = f"({since.seq}" if since else "-inf"
        commands: list[Command] = [
            ("HMGET", ours.head, "id", "seq", "format"),
            ("ZRANGEBYSCORE", ours.changes, behind, "+inf", "WITHSCORES", "LIMIT", 0, _STEP + 1),
            ("ZRANGEBYSCORE", ours.deleted, behind, "+inf", "WITHSCORES"),
            ("HMGET", ours.head, "id", "floor"),  # at the end: what was forgotten meanwhile counts
            ("TIME",),
            ("ZCARD", ours.names),
            ("ZCARD", ours.changes),
        ]
        if since:
            low = latest[-1].version if len(latest) == WITNESSES else "-inf"
            known: Command = ("ZREVRANGEBYSCORE", ours.changes, since.seq, low, "WITHSCORES")
            commands += [(*known, "LIMIT", 0, 2 * WITNESSES)]
            commands += [("HMGET", name, "version", "updated") for name in witnesses]
        keys = (*ours[:5], *witnesses)
        return Call("memory.changes", keys, list, commands=commands, separate_connection=True)

    def _others(
        self, since: ChangeMark, seen: list[Any], gone: Sequence[tuple[str, int]], now: float
    ) -> list[str] | None:
        """Entries of that time that were not known; None when known ones are not what they were.

        A scope that has what was known of it, and nothing else of that time that can be read, has
        only gone on. A restored backup has the life that the scope had, and in time its numbers,
        but not their entries; of these the latest are compared. One that stands in the index and
        cannot be read (it has expired, was evicted, or is of a newer version) is not known, and is
        no proof.
        """
        listed, *found = seen
        deleted = dict(gone)
        for each, (version, updated) in zip(self.latest, found, strict=True):
            if version is None:
                if each.key not in deleted and (each.expires is None or each.expires > now):
                    return None
            elif _number(version) <= since.seq and (
                _number(version) != each.version or _number(updated) != each.updated
            ):
                return None
        known = {(each.key, each.version) for each in self.latest}
        return [key for key, at in _numbered(listed) if (key, at) not in known]

    async def in_memory(self, memory: InMemoryMemory) -> Changes:
        """As `Operation`. No memory goes back: `latest` is not needed."""
        since, ours, now = self.since, memory.scopes.get(self.scope), memory.now()
        if ours is None:
            return Changes(ChangeMark("", 0), [], [], more=False, now=now)
        seq = since.seq if since else 0
        if since and (since.id != ours.id or 0 < seq < ours.floor):
            return Changes.start_over(now)
        found: list[str] = []
        for key, at in reversed(ours.changes.items()):  # in the order of their numbers
            if at <= seq:
                break
            found.append(key)
        found.reverse()
        more = len(found) > _STEP
        found = found[:_STEP]
        removed = [(key, at) for key, at in ours.deleted.items() if at > seq]
        removed += [(key, ours.changes[key]) for key in found if ours.row(key, now) is None]
        rows = [row for key in found if (row := ours.row(key, now)) is not None]
        reached = ours.changes[found[-1]] if more else ours.seq
        return Changes(ChangeMark(ours.id, reached), rows, removed, more, now)


def _numbered(flat: Sequence[bytes]) -> list[tuple[str, int]]:
    """Names in an index, with the numbers of their changes."""
    return [(key.decode(), int(at)) for key, at in zip(flat[::2], flat[1::2], strict=True)]


def _number(field: bytes | None) -> float:
    """A field of an entry; what cannot be read is below all."""
    try:
        return float(field or b"")
    except ValueError:
        return -math.inf
