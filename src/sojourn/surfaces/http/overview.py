"""Route of the overview: how the store does now, and did in the last hour."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sojourn.calls.call import Call, only
from sojourn.client import Sojourn
from sojourn.errors import SojournError
from sojourn.stats import NodeHealth, Stats
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import documented, json
from sojourn.telemetry import CallFact, OutageFact

log = logging.getLogger("sojourn.http")

router = APIRouter(tags=["overview"])
ROUTES = [router]

EVERY = 5.0
"""Seconds between two samples."""
_KEPT = 720
"""Samples that are kept: an hour of them."""
_COUNTED_EVERY = 6
"""Samples after which sessions are counted again."""
_OUTAGES = 100
"""Outages that are remembered."""

_OVERVIEW = {
    "now": 1767225660.5,
    "stats": {"kind": "redis", "where": "redis://localhost:6379", "available": True, "outages": 0},
    "health": [{"where": "redis://localhost:6379", "latency": 0.0003, "problem": ""}],
    "series": {
        "t": [1767225655.5, 1767225660.5],
        "sessions": [12, 12],
        "appends": [None, 3.2],
        "writes": [None, 40.8],
        "latency": [0.3, 0.3],
        "hits": [None, 0.9],
    },
    "outages": [{"where": "redis://localhost:6379", "since": 1767222000.0, "until": 1767222010.0}],
    "quarantine": 0,
}


class OverviewSample(NamedTuple):
    """How a store did at one moment; None is not known.

    Attributes:
        t: when, seconds since the epoch.
        sessions: how many there were, by the indexes.
        appends: appends a second of this process, since the sample before.
        writes: scripts a second that the servers ran for all their clients.
        latency: milliseconds that a PING took, of the slowest server.
        hits: part of the reads of both caches of this process that they could answer.
    """

    t: float
    sessions: int | None
    appends: float | None
    writes: float | None
    latency: float | None
    hits: float | None


class _Counts(NamedTuple):
    """Counters that only grow, from which rates are made."""

    at: float
    appends: int
    scripts: int | None
    hits: int
    reads: int


class Sampler:
    """Looks at a store now and then, and remembers an hour of it.

    Args:
        store: the store.
    """

    def __init__(self, store: Sojourn) -> None:
        self.samples: deque[OverviewSample] = deque(maxlen=_KEPT)
        self.outages: deque[dict[str, Any]] = deque(maxlen=_OUTAGES)
        self.health: Sequence[NodeHealth] = ()
        self._store = store
        self._appends = 0
        self._before: _Counts | None = None
        self._sessions: int | None = None
        self._turn = 0
        self._asking = asyncio.Lock()

    async def run(self) -> None:
        """Take samples until it is cancelled."""
        hooks = [self._store.on_call(self._called), self._store.on_outage(self._told)]
        try:
            while True:
                try:
                    await self.sample()
                except SojournError as error:
                    log.debug("No sample was taken: %s", error)
                await asyncio.sleep(EVERY)
        finally:
            for remove in hooks:
                remove()

    async def sample(self) -> None:
        """Take a sample. A few round trips; what a server does not tell is None."""
        async with self._asking:
            now = time.time()
            if self.samples and now - self.samples[-1].t < EVERY / 2:
                return
            health = await self._store.health()
            self.health = health.nodes
            if self._turn % _COUNTED_EVERY == 0 and health.available:
                self._sessions = await self._counted()
            self._turn += 1
            scripts = await self._scripts() if health.available else None
            counts = _counts(self._store.stats(), now, self._appends, scripts)
            latencies = [node.latency for node in health.nodes if node.latency is not None]
            self.samples.append(
                _sample(
                    counts,
                    self._before,
                    self._sessions if health.available else None,
                    max(latencies, default=None) if health.available else None,
                )
            )
            self._before = counts

    async def _counted(self) -> int | None:
        try:
            return (await self._store.admin.metrics(keys=0)).sessions
        except SojournError as error:
            log.debug("Sessions were not counted: %s", error)
            return None

    async def _scripts(self) -> int | None:
        """How many scripts the servers have run; None if one does not tell."""
        nodes = self._store.admin.doctor.nodes
        if nodes is None:
            return None
        call: Call[Any] = Call("overview.info", (), only, commands=[("INFO", "commandstats")])
        try:
            told = await asyncio.gather(*(node.run(call) for node in await nodes()))
        except SojournError as error:
            log.debug("The servers do not say what they ran: %s", error)
            return None
        return sum(map(_scripts_of, told))

    def _called(self, fact: CallFact) -> None:
        if fact.name == "sessions.append" and fact.outcome == "ok":
            self._appends += 1

    def _told(self, fact: OutageFact) -> None:
        now = time.time()
        if fact.down:
            self.outages.append({"where": fact.where, "since": now, "until": None})
            return
        for outage in reversed(self.outages):
            if outage["where"] == fact.where and outage["until"] is None:
                outage["until"] = now
                return


@router.get("/overview", responses=documented(_OVERVIEW, "The overview."))
async def get_overview(who: As, request: Request) -> Response:
    """How the store does now, and did in the last hour. For keys for all users.

    `appends` and `hits` are of this process, `writes` of all clients of the servers. What is not
    known is null.
    """
    who.everyone()
    sampler: Sampler = request.app.state.sampler
    if not sampler.samples or time.time() - sampler.samples[-1].t > 2 * EVERY:
        await sampler.sample()
    stats = who.store.stats()
    columns = zip(*sampler.samples, strict=True)
    return json(
        {
            "now": time.time(),
            "stats": _document(stats),
            "health": [node._asdict() for node in sampler.health],
            "series": dict(zip(OverviewSample._fields, columns, strict=True)),
            "outages": list(sampler.outages),
            "quarantine": stats.corrupt,
        }
    )


def _document(figures: Any) -> Any:
    """Figures as JSON, and those within."""
    if not hasattr(figures, "_asdict"):
        return figures
    return {name: _document(value) for name, value in figures._asdict().items()}


def _counts(stats: Stats, now: float, appends: int, scripts: int | None) -> _Counts:
    near, cache = stats.near_cache, stats.cache
    hits = near.hits + cache.hits + cache.stale
    return _Counts(now, appends, scripts, hits, hits + near.misses + cache.misses)


def _sample(
    now: _Counts, before: _Counts | None, sessions: int | None, latency: float | None
) -> OverviewSample:
    """A sample, with rates since the counts before."""
    shown = None if latency is None else round(latency * 1000, 3)
    if before is None or now.at <= before.at:
        return OverviewSample(now.at, sessions, None, None, shown, None)
    seconds = now.at - before.at
    writes = None
    if now.scripts is not None and before.scripts is not None and now.scripts >= before.scripts:
        writes = round((now.scripts - before.scripts) / seconds, 2)
    appends = round((now.appends - before.appends) / seconds, 2)
    reads = now.reads - before.reads
    hits = round((now.hits - before.hits) / reads, 4) if reads > 0 else None
    return OverviewSample(now.at, sessions, appends, writes, shown, hits)


def _scripts_of(told: bytes | str) -> int:
    """Calls of EVALSHA and EVAL in what INFO says of commands."""
    text = told.decode(errors="replace") if isinstance(told, bytes) else told
    calls = 0
    for line in text.splitlines():
        name, _, figures = line.partition(":calls=")
        if name in ("cmdstat_evalsha", "cmdstat_eval"):
            calls += int(figures.partition(",")[0])
    return calls
