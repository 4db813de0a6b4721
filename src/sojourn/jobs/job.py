"""Run of a job over the records of a server, under live traffic.

It looks at the keys of each node in the order of SCAN, and writes down after each page how far it
is. Killed at any moment and run again, it goes on from there. A record is replaced only if it is as
it was read; one that was changed meanwhile is read again. It goes over the keys until nothing was
left to do: a session that was given another id meanwhile may have been missed.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from sojourn.calls.call import Call, Command, only
from sojourn.calls.keys import Keys
from sojourn.engine.engine import Engine, Node
from sojourn.errors import CorruptRecord, Erased, SojournError, Undecodable
from sojourn.ids import UserKey
from sojourn.jobs.lease import Lease
from sojourn.jobs.records import (
    Fields,
    LogRows,
    read_fields,
    read_rows,
    swap_fields,
    swap_rows,
)
from sojourn.resilience.backoff import backoff

LEASE = 15.0
"""Seconds after which another run may take over from one that was killed."""
_STEP = 200
"""Keys that a node looks at in one round trip."""
_TOGETHER = 8
"""Records under way at once."""
_ROWS, _BATCH = 16, 1024 * 1024
"""Rows of a log that are read at once at first, and about how many bytes of them later."""
_TRIES = 50
"""How often a record is read that others change all the time, in one pass."""
_PASSES = 10
"""How often all keys are gone over at most."""
NAMED = 20
"""Records that a report names."""


class JobProgress(NamedTuple):
    """How far a run is.

    Attributes:
        passed: which pass over the keys it is, from 1.
        keys: how many were looked at in this pass, about.
        of: how many there are.
        rewritten: how many records were replaced, by all runs of the job.
    """

    passed: int
    keys: int
    of: int
    rewritten: int


class JobReport(NamedTuple):
    """How a job ended.

    Attributes:
        rewritten: records that were replaced, by all runs of the job.
        redone: how often one was read again, because others had changed it meanwhile.
        passes: how often all keys were gone over.
        left: records that are as they were, because they cannot be read or changed all the time.
        names: some of these, and why.
        dropped: ids of data keys that were removed, because they have no record any more.
    """

    rewritten: int
    redone: int
    passes: int
    left: int
    names: Sequence[str]
    dropped: Sequence[str] = ()

    @property
    def complete(self) -> bool:
        """Whether no record was left as it was."""
        return self.left == 0


Tell = Callable[[JobProgress], object]


class Work(Protocol):
    """The change that a job makes to records. Each method may be called for a record again.

    Attributes:
        name: of the job: lower-case letters.
        what: its settings, in one word.
        owner: whose records; None for those of all.
        whole: whether a change of any field of a hash since it was read counts.
        kinds: of keys whose records it changes; None for all.
    """

    name: str
    what: str
    owner: UserKey | None
    whole: bool
    kinds: Collection[str] | None

    @property
    def replaced(self) -> int:
        """Records of several keys that it has replaced by itself."""
        ...

    @property
    def missed(self) -> int:
        """How often others had changed one of those meanwhile."""
        ...

    async def fields(self, kind: str, key: str, fields: Fields) -> Fields:
        """The fields of a hash as they are to be; the same, when nothing is to be done."""
        ...

    async def rows(self, session: str, log: LogRows) -> Sequence[bytes]:
        """The rows of the log of a session, given by its key, as they are to be."""
        ...


class JobRun:
    """One run of a job.

    Args:
        engine: where calls go.
        rooms: the keys of each room; they say which hold records, and whose.
        lease: of the job.
        work: what is done to records.
        rate: records a second, at most; None for as many as go.
        tell: gets the progress.
    """

    def __init__(
        self,
        engine: Engine,
        rooms: Sequence[Keys],
        lease: Lease,
        work: Work,
        *,
        rate: float | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._engine = engine
        self._rooms = [room for room in rooms if any(kind.record for kind in room.kinds)]
        self._kinds = {
            kind.name: kind
            for room in rooms
            for kind in room.kinds
            if kind.record and (work.kinds is None or kind.name in work.kinds)
        }
        self._pattern = f"{rooms[0].start}*"
        self._lease = lease
        self._work = work
        self._rate = rate
        self._tell = tell
        self._passed = 1
        self._seen = self._total = 0
        self._rewritten = self._redone = 0
        self._lost = 0  # records that were gone, or elsewhere, when they were to be replaced
        self._left: dict[str, str] = {}
        self._turn = 0.0

    async def run(
        self,
        unsettled: Callable[[], Awaitable[float]],
        moved: Callable[[float], Awaitable[float]] | None = None,
    ) -> JobReport:
        """Go over the keys until nothing is left to do.

        Args:
            unsettled: for how many seconds others may still write records as they were.
            moved: for how many seconds to wait before another pass, when records may have been
                passed over in one that took so many, as they got other keys; 0 when not.

        Raises:
            Conflict: another run is under way.
            Unavailable: a server does not answer. Run it again: it goes on from there.
        """
        place = await self._lease.take()
        done = False
        try:
            self._passed = int(place.get("pass", 1))
            self._rewritten = int(place.get("rewritten", 0))
            before = self._count
            if "pass" in place:  # a run that was killed has not counted all that it did
                before = -1
            while True:
                wait, self._left, self._lost = await unsettled(), {}, 0
                began, missed = time.monotonic(), self._work.missed
                await self._once(place)
                busy = self._lost or _BUSY in self._left.values() or self._work.missed > missed
                idle = self._count == before and not busy
                if idle and wait <= 0 and moved is not None:
                    wait = await moved(time.monotonic() - began)
                if idle and wait <= 0:
                    break
                if self._passed >= _PASSES:
                    self._left[self._pattern] = _UNSETTLED
                    break
                if idle:
                    await self._pause(wait)
                before, place = self._count, {}
                self._passed += 1
                await self._lease.keep(self._figures())
            done = True
        finally:
            with suppress(SojournError):
                await self._lease.release(done=done)
        return JobReport(
            self._count,
            self._redone + self._work.missed,
            self._passed,
            len(self._left),
            [f"{key}: {why}" for key, why in list(self._left.items())[:NAMED]],
        )

    async def _pause(self, seconds: float) -> None:
        """Wait, and keep the job meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 1))
            await self._lease.keep()

    @property
    def _count(self) -> int:
        return self._rewritten + self._work.replaced

    def _figures(self) -> dict[str, str | int]:
        return {"pass": self._passed, "rewritten": self._count}

    async def _once(self, place: Mapping[str, str]) -> None:
        """One pass over all keys, from where a run before this one was."""
        nodes = await self._engine.nodes()
        sizes = [int(await node.run(_SIZE)) for node in nodes]
        self._seen, self._total = 0, sum(sizes)
        for node, size in zip(nodes, sizes, strict=True):
            before = self._seen
            async for names, step in self._pages(node, place):
                await self._records(names)
                self._seen = min(self._seen + _STEP, before + size)
                await self._lease.keep(self._figures() | step)
                self._told()
            self._seen = before + size
        self._told()

    async def _pages(
        self, node: Node, place: Mapping[str, str]
    ) -> AsyncIterator[tuple[list[str], dict[str, str]]]:
        """The keys of a node in pages, and what to write down behind each."""
        run_id = await _run_id(node)
        field = f"node:{node.where}"
        began, _, cursor = place.get(field, "").partition(" ")
        in_pass, _, began = began.partition("/")
        if (in_pass, began) != (str(self._passed), run_id) or not run_id:
            cursor = ""  # a server that was started again has another order
        if cursor == "end":
            return
        while cursor != "end":
            command: Command = ("SCAN", cursor or "0", "MATCH", self._pattern, "COUNT", _STEP)
            after, found = await node.run(Call("jobs.scan", (), only, commands=[command]))
            cursor = after.decode() if after != b"0" else "end"
            names: list[str] = []
            for name in found:
                with suppress(UnicodeDecodeError):
                    names.append(name.decode())
            yield names, {field: f"{self._passed}/{run_id} {cursor}"}

    async def _records(self, names: Sequence[str]) -> None:
        """Those of a page that hold records, some at once."""
        wanted = [(name, kind) for name in names if (kind := self._wanted(name))]
        for first in range(0, len(wanted), _TOGETHER):
            part = wanted[first : first + _TOGETHER]
            await self._wait(len(part))
            await self._lease.keep()
            ended = await asyncio.gather(
                *(self._record(name, kind) for name, kind in part), return_exceptions=True
            )
            for error in ended:
                if isinstance(error, BaseException):
                    raise error

    def _wanted(self, key: str) -> str:
        """The kind of a key, if it holds a record that the work is about."""
        owner = self._work.owner
        for room in self._rooms:
            if (kind := room.kind_of(key)) is not None:
                whose = owner is None or room.app_of(key, owner.user) == owner.app
                return kind.name if whose and kind.name in self._kinds else ""
        return ""

    async def _wait(self, records: int) -> None:
        """Keep to the rate."""
        if self._rate is not None:
            now = time.monotonic()
            self._turn = max(self._turn, now) + records / self._rate
            if (ahead := self._turn - now - records / self._rate) > 0:
                await asyncio.sleep(ahead)

    async def _record(self, key: str, kind: str) -> None:
        try:
            if self._kinds[kind].record == "log":
                await self._log(key, kind)
            else:
                await self._hash(key, kind)
        except (CorruptRecord, Undecodable, Erased, ValueError) as error:
            self._left[key] = str(error) if isinstance(error, SojournError) else "it is damaged"

    async def _hash(self, key: str, kind: str) -> None:
        for failures in range(_TRIES):
            old = await read_fields(self._engine, key)
            new = await self._work.fields(kind, key, old) if old else old
            if new == old:
                self._lost += not old and failures > 0
                return
            bound = () if self._work.whole else (name for name in _BOUND if name in old)
            if await swap_fields(self._engine, key, old, new, whole=self._work.whole, also=bound):
                self._rewritten += 1
                return
            self._redone += 1
            await asyncio.sleep(backoff(failures, 0.001, 0.1))
        self._left[key] = _BUSY

    async def _log(self, key: str, kind: str) -> None:
        """A log, from its first row to its last; more than one row at once."""
        session = self._kinds[kind].source(key)
        first, most, failures, life = 0, _ROWS, 0, b""
        while failures < _TRIES:
            log = await read_rows(self._engine, session, key, first, most)
            if not log.rows or b"incarnation" not in log.head:
                self._lost += failures > 0
                return
            if life not in (b"", log.head.get(b"epoch", b"")):
                first = 0  # it was rewritten: from the start
            life = log.head.get(b"epoch", b"")
            new = await self._work.rows(session, log)
            if list(new) != list(log.rows):
                if not await swap_rows(self._engine, session, key, log, new):
                    self._redone += 1
                    failures += 1
                    await asyncio.sleep(backoff(failures, 0.001, 0.1))
                    continue
                self._rewritten += 1
            first = log.first + len(log.rows)
            size = sum(map(len, log.rows)) // len(log.rows) + 1
            most = max(1, min(1000, _BATCH // size))
            await self._lease.keep()
        self._left[key] = _BUSY

    def _told(self) -> None:
        if self._tell is not None:
            self._tell(JobProgress(self._passed, self._seen, self._total, self._count))


_BOUND = (b"incarnation", b"log_id")
"""Fields of a hash that say to what its content is bound."""
_UNSETTLED = "others still write in the form of before, or give sessions other ids: run it again"
_BUSY = "others change it all the time"
_SIZE: Call[int] = Call("jobs.size", (), only, commands=[("DBSIZE",)])
_INFO: Call[bytes] = Call("jobs.info", (), only, commands=[("INFO", "server")])
_RUN_ID = re.compile(rb"run_id:(\w+)")


async def _run_id(node: Node) -> str:
    """Which life of a server it is; the cursors of SCAN are good for that long."""
    found = _RUN_ID.search(await node.run(_INFO))
    return found[1].decode() if found else ""
