"""The entries of the memory on a server."""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, cast

from sojourn.calls.call import Argument, Call, Command, Script, only
from sojourn.codecs.growth import check_format, refusal
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found, unlink
from sojourn.errors import CorruptRecord, NewerFormat, Unavailable
from sojourn.ids import AppName
from sojourn.memory.keys import MemoryKeys, MemoryRoomKeys
from sojourn.memory.model import Kind, ScopeKey
from sojourn.memory.rows import MOST, Found, missing_or, of_others, parse_row, stale
from sojourn.memory.store import (
    WITNESSES,
    ChangeMark,
    Changes,
    EntryPage,
    Item,
    MemoryRow,
    MemoryWrite,
    ScopeNames,
    Witness,
)
from sojourn.resilience.deadline import Deadline, from_now, half_of_remaining

log = logging.getLogger("sojourn.memory")

_LUA = files("sojourn.memory") / "lua"
_PUT, _ADD, _DELETE, _CLEAR, _ENROLL, _FORGET, _MEND = (
    Script.load(_LUA, name)
    for name in ("put", "add", "delete", "clear", "enroll", "forget", "mend")
)
_STEP = 500
"""Entries that one call reads or clears."""
_ROLL = 10_000
"""Scopes whose enrolment a process remembers."""
_DAY = 86_400.0
_AGAIN = 1.0
"""Seconds after which a scope that is put to is entered again: the index may have been evicted."""


class RedisMemory:
    """A `MemoryStore` over an engine.

    Args:
        engine: where calls go.
        keys: builds the keys.
    """

    def __init__(self, engine: Engine, keys: MemoryRoomKeys) -> None:
        self._engine = engine
        self._keys = keys
        self._roll: OrderedDict[ScopeKey, tuple[float, float | None, float]] = OrderedDict()
        self._losses = 0
        self._owed: OrderedDict[ScopeKey, float | None] = OrderedDict()

    # ── writing ────────────────────────────────────────────────────────────────────────────────

    async def put(
        self, scope: ScopeKey, items: Sequence[Item], ttl: float | None, write: MemoryWrite
    ) -> int:
        """One round trip; one more for the first in a scope by this process, and once a day."""
        due = await self._enroll(scope, ttl)
        args: list[Argument] = [_optional(write.expected), _life(ttl), _rule(write.tenant)]
        for item in items:
            fields = _fields(item)
            args += [item.key, len(fields), *fields]
        status, said = await self._write(
            _PUT, scope, [item.key for item in items], write.operation, args
        )
        if self._losses != self._engine.tally.broken:  # the server may know nothing
            await self._enroll(scope, ttl)
        elif not due and status == b"ok" and int(said) <= len(items):
            self._enroll_again(scope, ttl)
        if status == b"stale":
            raise stale(items[0].key, write.expected, int(said))
        return int(said)

    async def add(
        self,
        scope: ScopeKey,
        items: Sequence[Item],
        ttl: float | None,
        write: MemoryWrite,
        *,
        replace: bool,
    ) -> None:
        """As many round trips as `put`."""
        due = await self._enroll(scope, ttl)
        args: list[Argument] = ["replace" if replace else "", _life(ttl), _rule(write.tenant)]
        for item in items:
            fields = _fields(item)
            args += [item.key, item.unless, len(fields), *fields]
        keys = [key for item in items for key in (item.key, item.unless or item.key)]
        _, said = await self._write(_ADD, scope, keys, write.operation, args)
        if self._losses != self._engine.tally.broken:
            await self._enroll(scope, ttl)
        elif not due and int(said) <= len(items):
            self._enroll_again(scope, ttl)

    async def delete(self, scope: ScopeKey, key: str, write: MemoryWrite) -> bool:
        """One round trip."""
        args = [_optional(write.expected), _rule(write.tenant), key]
        status, said = await self._write(_DELETE, scope, [key], write.operation, args)
        if status == b"stale":
            raise stale(key, write.expected, int(said))
        return bool(said == 1)

    async def clear(self, scope: ScopeKey, write: MemoryWrite) -> None:
        """One round trip, and two for each 500 entries."""
        ours = self._keys.memory(*scope)
        call: Call[bytes | None] = Call(
            "memory.clear", (ours.head,), only, commands=[("HGET", ours.head, "seq")]
        )
        seq = await self._engine.run(call)
        most = int(seq) if seq and seq.isdigit() else MOST  # evicted, or a newer version's
        after: str | None = None
        while True:
            keys, more = await self._names_in(ours.names, "", after, _STEP)
            if keys:
                args: list[Argument] = [most, _rule(write.tenant), *keys]
                await self._write(_CLEAR, scope, keys, write.operation, args)
            if not more:
                return
            after = keys[-1]

    async def forget(self, app: AppName, name: str, kinds: Sequence[Kind]) -> int:
        """A round trip for each 1,000 keys of the server, two for each 500 entries, and some."""
        count = 0
        heads: set[str] = set()
        for kind in kinds:
            scope = ScopeKey(app, kind, name)
            ours = self._keys.memory(*scope)
            heads.add(ours.head)
            left = True
            while left:
                listed = await self._indexed(ours)
                last, many = await self._engine.run(self._forget_call(ours, listed))
                left, count = not last, count + many
            self._roll.pop(scope, None)
            self._owed.pop(scope, None)
            await self._engine.run_all(
                [
                    Call(
                        "memory.strike",
                        (index,),
                        only,
                        commands=[("ZREM", index, name)],
                        allow_wrong_type=True,  # what is not an index names nobody
                    )
                    for index in self._keys.memories_of(*scope)
                ]
            )
        lost = await found(self._engine, self._keys.memory_by(app, name))
        lost = [key for key in lost if key[: key.index("}") + 1] in heads]
        await unlink(self._engine, [key for key in lost if self._keys.kind_of(key)])
        return count + sum(":entry:" in key for key in lost)

    async def _indexed(self, ours: MemoryKeys) -> list[bytes]:
        """Some keys in the indexes of a scope."""
        names: dict[bytes, None] = {}
        for index in (ours.names, ours.expiry, ours.changes):
            call: Call[Any] = Call(
                "memory.index",
                (index,),
                only,
                commands=[("ZRANGE", index, 0, 149)],
                allow_wrong_type=True,
            )
            listed = await self._engine.run(call)
            if isinstance(listed, list):
                names |= dict.fromkeys(cast("list[bytes]", listed))
        return list(names)

    def _forget_call(self, ours: MemoryKeys, names: Sequence[bytes]) -> Call[list[int]]:
        texts = [name.decode(errors="replace") for name in names]
        return Call(
            name="memory.forget",
            keys=(*ours, *(self._keys.remembered(ours, each) for each in texts)),
            read=only,
            script=_FORGET,
            args=names,
        )

    async def _write(
        self,
        script: Script,
        scope: ScopeKey,
        entries: Sequence[str],
        operation: str,
        args: Sequence[Argument],
    ) -> tuple[bytes, Any]:
        ours = self._keys.memory(*scope)
        _, _, operation_id = operation.partition(" ")
        call: Call[list[Any]] = Call(
            name=f"memory.{script.name}",
            keys=(*ours, *(self._keys.remembered(ours, each) for each in entries)),
            read=only,
            script=script,
            args=(operation, secrets.token_urlsafe(12), *args),
            operation_id=operation_id,
        )
        status, said, *found = await self._engine.run(call)
        if status == b"newer":
            raise refusal("The memory entry", said.decode(), *found)
        if status == b"tenant":
            names = dict(zip(call.keys[len(ours) :], entries, strict=True))
            raise of_others(names[said.decode()])
        if status == b"corrupt":
            raise CorruptRecord(
                f"{said.decode()} holds what Sojourn has not written. Nothing was changed; an "
                "entry can be deleted.",
                key=said.decode(),
                raw=b"",
            )
        return status, said

    async def _enroll(self, scope: ScopeKey, ttl: float | None) -> bool:
        """Enter a scope into the index, unless this process did so lately and for long enough.

        The node of a Cluster that has the index may be lost while that of the entries is well. Then
        the next put or read of this process tries again, or the next put of another; half of the
        time is left for what comes next.

        Returns:
            whether it did so now.
        """
        if self._losses != self._engine.tally.broken:  # the server may be another since
            self._losses = self._engine.tally.broken
            self._roll.clear()
        now = time.monotonic()
        due, lasting, again = self._roll.get(scope, (0.0, 0.0, 0.0))
        if due > now and (lasting is None or (ttl is not None and ttl + _DAY <= lasting)):
            if again < now:
                self._roll[scope] = (due, lasting, now + _AGAIN)
                self._enroll_again(scope, ttl)
            return False
        until = None if ttl is None else 2 * (ttl + _DAY)
        enrolment = self._enrolment(scope, until)
        if not self._engine.is_spread:
            await self._engine.run(enrolment)
        else:
            try:
                with Deadline(min(half_of_remaining(), from_now(self._engine.timeout / 2))):
                    await self._engine.run(enrolment)
            except Unavailable as error:
                log.warning("A memory scope is not in its index until its next put: %s", error)
                self._owe(scope, until)
                return False
        self._owed.pop(scope, None)
        self._roll[scope] = (now + _DAY, until, now + _AGAIN)
        self._roll.move_to_end(scope)
        if len(self._roll) > _ROLL:
            self._roll.popitem(last=False)
        return True

    def _owe(self, scope: ScopeKey, until: float | None) -> None:
        self._owed[scope] = until
        if len(self._owed) > _ROLL:
            self._owed.popitem(last=False)

    def _pay(self, scope: ScopeKey) -> None:
        """Enter a scope that could not be entered; nobody waits for it."""
        if scope in self._owed:
            until = self._owed.pop(scope)
            self._engine.send_nowait(
                self._enrolment(scope, until), lost=lambda: self._owe(scope, until)
            )

    def _enroll_again(self, scope: ScopeKey, ttl: float | None) -> None:
        """Enter a scope that had no entry: others may have forgotten its name since."""
        until = None if ttl is None else 2 * (ttl + _DAY)
        self._engine.send_nowait(self._enrolment(scope, until))

    def _enrolment(self, scope: ScopeKey, until: float | None) -> Call[Any]:
        return Call(
            "memory.enroll",
            self._keys.memories_of(*scope),
            only,
            script=_ENROLL,
            args=(scope.name, _life(until)),
        )

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    async def get(
        self, scope: ScopeKey, keys: Sequence[str], tenant: str | None = None
    ) -> list[MemoryRow | None]:
        """One round trip."""
        self._pay(scope)
        replies = await self._read(self._keys.memory(*scope), keys, tenant)
        return [missing_or(found) for found in replies]

    async def page(
        self,
        scope: ScopeKey,
        prefix: str,
        after: str | None,
        limit: int,
        tenant: str | None = None,
    ) -> EntryPage:
        """Two round trips."""
        self._pay(scope)
        ours = self._keys.memory(*scope)
        for again in (True, False):
            keys, more = await self._names_in(ours.names, prefix, after, limit)
            listed, lost = await self._listed(ours, keys, keys[-1] if more else None, tenant)
            if not (again and lost and await self._mend(ours, lost)):
                break
        return listed

    async def latest(
        self,
        scope: ScopeKey,
        limit: int,
        tenant: str | None = None,
        *,
        before: int | None = None,
    ) -> EntryPage:
        """Two round trips."""
        self._pay(scope)
        ours = self._keys.memory(*scope)
        top = "+inf" if before is None else f"({before}"
        command: Command = ("ZREVRANGEBYSCORE", ours.changes, top, "-inf", "WITHSCORES")
        call: Call[list[bytes]] = Call(
            "memory.index", (ours.changes,), only, commands=[(*command, "LIMIT", 0, limit + 1)]
        )
        for again in (True, False):
            flat = await self._engine.run(call)
            keys = _texts(ours.changes, flat[: 2 * limit : 2])
            last = flat[2 * limit - 1].decode() if len(flat) > 2 * limit else None
            listed, lost = await self._listed(ours, keys, last, tenant)
            if not (again and lost and await self._mend(ours, lost)):
                break
        return listed

    async def _listed(
        self, ours: MemoryKeys, keys: Sequence[str], last: str | None, tenant: str | None
    ) -> tuple[EntryPage, list[str]]:
        """What of these names is to be seen, and which of them prove that an index is wrong."""
        found, lost = await self._read_listed(ours, keys, tenant) if keys else ([], [])
        pairs = list(zip(keys, found, strict=True))
        listed = EntryPage(
            [row for row in found if isinstance(row, MemoryRow)],
            last,
            [key for key, row in pairs if isinstance(row, CorruptRecord)],
            [key for key, row in pairs if isinstance(row, NewerFormat)],
        )
        return listed, lost

    async def names(
        self, app: str, kind: Kind, shard: int, after: str | None, limit: int
    ) -> ScopeNames:
        """Two round trips: whose entries have all gone is still in the index for a while."""
        index, _ = self._keys.memories(app, kind, shard)
        names, more = await self._names_in(index, "", after, limit)
        calls = [
            Call(
                "memory.last",
                (expiry,),
                _lives,
                commands=[("ZREVRANGE", expiry, 0, 0, "WITHSCORES"), ("TIME",)],
            )
            for expiry in (self._keys.memory(app, kind, name).expiry for name in names)
        ]
        alive = await self._engine.run_all(calls)
        there = [name for name, lives in zip(names, alive, strict=True) if lives]
        return ScopeNames(there, names[-1] if more else None)

    async def changes(
        self, scope: ScopeKey, since: ChangeMark | None, latest: Sequence[Witness] = ()
    ) -> Changes:
        """One round trip when nothing has changed; one more for what has, two for lost indexes."""
        self._pay(scope)
        ours = self._keys.memory(*scope)
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
        names = [self._keys.remembered(ours, each.key) for each in latest]
        if since:
            low = latest[-1].version if len(latest) == WITNESSES else "-inf"
            known: Command = ("ZREVRANGEBYSCORE", ours.changes, since.seq, low, "WITHSCORES")
            commands += [(*known, "LIMIT", 0, 2 * WITNESSES)]
            commands += [("HMGET", name, "version", "updated") for name in names]
        call: Call[Any] = Call(
            "memory.changes", (*ours[:5], *names), list, commands=commands, separate_connection=True
        )
        reply = await self._engine.run(call)
        if reply[5] != reply[6] and await self._mend(ours):  # one was evicted
            reply = await self._engine.run(call)
        before, changed, deleted, after, clock, _, _, *seen = reply
        now = int(clock[0]) + int(clock[1]) / 1_000_000
        try:
            check_format(before[2], f"The memory scope {ours.head}")
            life = (before[0] or b"").decode()
            seq, floor = int(before[1] or 0), int(after[1] or 0)
            stored = [(key.decode(), int(at)) for key, at in _pairs(changed)]
            gone = [(key.decode(), int(at)) for key, at in _pairs(deleted)]
        except ValueError as error:
            raise CorruptRecord(
                f"{ours.head} or an index of it holds what Sojourn has not written.",
                key=ours.head,
                raw=repr(before).encode(),
            ) from error
        if before[0] != after[0] or (since and (life != since.id or 0 < since.seq < floor)):
            return Changes(None, [], [], more=True, now=now)
        if since and (
            seq < since.seq or not await self._goes_on(ours, since, latest, seen, gone, now)
        ):
            return Changes(None, [], [], more=True, now=now)
        more = len(stored) > _STEP
        stored = stored[:_STEP]
        found, lost = await self._read_listed(ours, [key for key, _ in stored])
        if lost and await self._mend(ours, lost):
            return Changes(None, [], [], more=True, now=now)
        rows = [row for row in found if isinstance(row, MemoryRow)]
        here = {row.item.key for row in rows}
        gone += [each for each in stored if each[0] not in here]
        reached = stored[-1][1] if more else max([seq, *(at for _, at in stored[-1:])])
        newer = sum(isinstance(row, NewerFormat) for row in found)
        return Changes(ChangeMark(life, reached), rows, gone, more, now, newer)

    async def _mend(self, ours: MemoryKeys, lost: Sequence[str] = ()) -> bool:
        """Make the indexes of a scope again, of which one was evicted; whether that was done.

        One that was put back to an earlier moment may have as many names as the others; names that
        not all have show it: `lost`.
        """
        args = (secrets.token_urlsafe(12), *lost)
        call: Call[int] = Call("memory.mend", ours, only, script=_MEND, args=args)
        made = await self._engine.run(call)
        return bool(made)

    async def _goes_on(  # noqa: PLR0917
        self,
        ours: MemoryKeys,
        since: ChangeMark,
        latest: Sequence[Witness],
        seen: list[Any],
        gone: Sequence[tuple[str, int]],
        now: float,
    ) -> bool:
        """Whether a scope has what was known of it, and nothing else of that time.

        A restored backup has the life that the scope had, and in time its numbers, but not their
        entries; of these the latest are compared. One that stands in the index and cannot be read
        (it has expired, was evicted, or is of a newer version) is not known, and is no proof.
        """
        listed, *found = seen
        deleted = {key for key, _ in gone}
        for each, (version, updated) in zip(latest, found, strict=True):
            if version is None:
                if each.key not in deleted and (each.expires is None or each.expires > now):
                    return False
            elif _number(version) <= since.seq and (
                _number(version) != each.version or _number(updated) != each.updated
            ):
                return False
        known = {(each.key, each.version) for each in latest}
        others = [
            key.decode() for key, at in _pairs(listed) if (key.decode(), int(at)) not in known
        ]
        return not others or not any(
            isinstance(row, MemoryRow) for row in await self._read(ours, others)
        )

    async def _read_listed(
        self, ours: MemoryKeys, keys: Sequence[str], tenant: str | None = None
    ) -> tuple[list[Found], list[str]]:
        """Entries whose names an index gave, and those names that the index of expiry lacks."""
        if not keys:
            return [], []
        names = [self._keys.remembered(ours, key) for key in keys]
        call: Call[list[Any]] = Call(
            name="memory.get",
            keys=(ours.expiry, *names),
            read=list,
            commands=[("ZMSCORE", ours.expiry, *keys), *(("HGETALL", name) for name in names)],
            separate_connection=True,
            allow_wrong_type=True,
        )
        first, *replies = await self._engine.run(call)
        scores: list[float | None] | Exception = first
        lost: list[str] = []
        if not isinstance(scores, Exception):  # else the key is of another type: writes tell
            lost = [key for key, score in zip(keys, scores, strict=True) if score is None]
        return _rows(keys, names, replies, tenant), lost

    async def _read(
        self, ours: MemoryKeys, keys: Sequence[str], tenant: str | None = None
    ) -> list[Found]:
        names = [self._keys.remembered(ours, key) for key in keys]
        call: Call[list[Any]] = Call(
            name="memory.get",
            keys=names,
            read=list,
            commands=[("HGETALL", name) for name in names],
            separate_connection=True,
            allow_wrong_type=True,
        )
        replies = await self._engine.run(call)
        return _rows(keys, names, replies, tenant)

    async def _names_in(
        self, index: str, prefix: str, after: str | None, limit: int
    ) -> tuple[list[str], bool]:
        """Names in an index that begin with a prefix, behind a name; whether more follow."""
        low = b"[" + prefix.encode() if after is None else b"(" + after.encode()
        high = b"(" + prefix.encode() + b"\xff" if prefix else b"+"  # UTF-8 has no such byte
        command: Command = ("ZRANGEBYLEX", index, low, high, "LIMIT", 0, limit + 1)
        call: Call[list[bytes]] = Call("memory.index", (index,), only, commands=[command])
        names = _texts(index, await self._engine.run(call))
        return names[:limit], len(names) > limit


def _texts(index: str, names: list[bytes]) -> list[str]:
    try:
        return [name.decode() for name in names]
    except ValueError as error:
        raise CorruptRecord(
            f"{index} holds a name that Sojourn has not written.", key=index, raw=b""
        ) from error


def _rows(
    keys: Sequence[str], names: Sequence[str], replies: Sequence[Any], tenant: str | None
) -> list[Found]:
    """The entries of replies, None for those of another tenant."""
    return [
        parse_row(*each) if tenant is None or _is_of(tenant, each[2]) else None
        for each in zip(keys, names, replies, strict=True)
    ]


def _pairs(flat: Sequence[Any]) -> zip[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _lives(replies: list[Any]) -> bool:
    """Whether the last entry of a scope has not expired, by the server's clock."""
    last, clock = replies
    return bool(last) and float(last[1]) > int(clock[0]) * 1000 + int(clock[1]) / 1000


def _optional(number: int | None) -> Argument:
    return "" if number is None else number


def _life(ttl: float | None) -> Argument:
    """A lifetime in ms; empty for ever."""
    return "" if ttl is None else max(1, round(ttl * 1000))


def _rule(tenant: str | None) -> str:
    """Whose entries a script may write, as scripts take it."""
    return "" if tenant is None else f"={tenant}"


def _is_of(tenant: str, reply: Sequence[bytes] | Exception) -> bool:
    """Whether a hash that a server gave is a tenant's."""
    found = b""
    if not isinstance(reply, Exception):
        found = dict(zip(reply[::2], reply[1::2], strict=True)).get(b"tenant", b"")
    return found == tenant.encode()


def _fields(item: Item) -> list[Argument]:
    """What of an item stands in its hash: field, value, and so on."""
    fields: list[Argument] = ["value", item.value, "metadata", item.metadata]
    if item.text is not None:
        fields += ["text", item.text]
    if item.vector:
        fields += ["vector", item.vector]
    return fields


def _number(field: bytes | None) -> float:
    """A field of an entry; what cannot be read is below all."""
    try:
        return float(field or b"")
    except ValueError:
        return -math.inf
