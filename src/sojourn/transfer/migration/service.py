"""The migration: everything that a source holds is put here, then compared on both sides."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from sojourn.client import Sojourn
from sojourn.errors import ConfigurationError
from sojourn.sessions import KEEP, Keep
from sojourn.transfer.migration.keeping import Keeper, SharedStates
from sojourn.transfer.migration.layout import Source
from sojourn.transfer.migration.lifetimes import SourceLifetimes
from sojourn.transfer.migration.model import (
    CachedResult,
    MigrationReport,
    Outcome,
    Record,
    Remembered,
    SourceSession,
    SourceState,
    SourceThread,
    UnreadableRecord,
)
from sojourn.transfer.migration.placing import Placed, Placer
from sojourn.transfer.migration.process import MemorySource
from sojourn.transfer.migration.tallying import Census, Results

_TOGETHER = 16
"""Records under way at once."""
_PASSES = 4
"""How often a source is read at most; two are enough when nobody writes to it."""

Progress = Callable[[int, int], None]
"""Told which pass it is, from 1, and how many records of it are done."""


async def migrate(
    source: Source | Sojourn,
    store: Sojourn,
    *,
    dry_run: bool = False,
    ttl: float | Keep | None = KEEP,
    progress: Progress | None = None,
) -> MigrationReport:
    """Bring along what another program keeps. The source is only read.

    What is here already is compared and not written again, so it may be stopped and run again at
    any time; what has gone on here is left alone. Afterwards the source is read once more and
    compared with what is here; what was written there meanwhile is added, and read again.

    What cannot be read, or kept here, is named in the report and does not stop the rest. Sessions
    and memory keep what is left of their lifetimes; what has no end at the source has none here.

    Args:
        source: where from: `source_at(url)`, a store that is open as `memory://`, or an object of
            its kind, as `sojourn.integrations.adk.migration.InMemorySource` and
            `sojourn.integrations.langgraph.migration.ThreadSource`.
        store: where to.
        dry_run: only look: what would be done with each record.
        ttl: seconds that sessions live here after each change; None for ever. Without it they live
            for as long as is left of them at the source, and from their next change on as others
            here, by `session_ttl`; where that is None, again for what was left.
        progress: told how far it is.

    Raises:
        ConfigurationError: the source has nothing that could be migrated, or is this store; or the
            store buffers outages.
        Unavailable: and its kin: the source or the store does not answer. Run it again.
    """
    if isinstance(source, Sojourn):
        if source is store:
            raise ConfigurationError("The source and the store are the same.")
        source = MemorySource(source)
    if store.stores.options.on_outage == "buffer":
        raise ConfigurationError(
            "A store that buffers outages may hold what its server has not: open another one, "
            "without on_outage='buffer', to migrate to."
        )
    run = _Run(store, ttl, progress, dry_run=dry_run)
    first = await run.read(source)
    totals, late, last, passes = Counter(first.outcomes), first, first, 1
    while not dry_run and passes < _PASSES:
        last = late = await run.read(source)
        passes += 1
        for outcome in (Outcome.WRITTEN, Outcome.CAUGHT_UP):
            totals[outcome] += late.outcomes[outcome]
        if not late.changed:
            break
    for outcome in (Outcome.DIFFERS, Outcome.REFUSED):
        totals[outcome] = last.outcomes[outcome]
    verified = 0 if dry_run else last.outcomes[Outcome.SAME]
    return MigrationReport(
        source=source.where,
        layout=source.layout,
        target=store.where,
        dry_run=dry_run,
        apps=run.census.counts(),
        outcomes={outcome: totals[outcome] for outcome in Outcome if totals[outcome]},
        refused=dict(last.refused),
        notable=last.notable,
        unsettled=() if dry_run else tuple(late.changed),
        verified=verified,
        passes=passes,
        endless=run.census.endless if ttl == KEEP else 0,
    )


class _Run:
    """A migration under way: what it knows from one pass to the next."""

    def __init__(
        self,
        store: Sojourn,
        ttl: float | Keep | None,
        progress: Progress | None,
        *,
        dry_run: bool,
    ) -> None:
        self._progress = progress
        self._passes = 0
        self._store = store.stores.sessions
        self._to, self._dry_run = store, dry_run
        self._lifetimes = SourceLifetimes(ttl, store.stores.options.session_ttl)
        self._placer = Placer(store, self._lifetimes, dry_run=dry_run)
        self._keeper = Keeper(store, self._lifetimes, dry_run=dry_run)
        self._shared = SharedStates(store, dry_run=dry_run)
        self.census = Census()

    async def read(self, source: Source) -> Results:
        """One pass over the source."""
        results, self.census = Results(), Census()
        self._passes += 1
        await self._lifetimes.learn(self._store)
        done = 0
        batch: list[Record] = []
        async for record in source.records():
            batch.append(record)
            if len(batch) == _TOGETHER:
                done += await self._place(batch, results)
                batch = []
                self._tell(done)
        done += await self._place(batch, results)
        for where, placed in await self._shared.place(self.census.owners, self._placer.moved):
            results.add(where, placed)
            done += 1
        self._tell(done)
        return results

    async def _place(self, batch: list[Record], results: Results) -> int:
        """Place some records at once; how many of them count by themselves."""
        for record in batch:
            self.census.count(record)
            if isinstance(record, SourceState):
                self._shared.add(record)
        alone = [record for record in batch if not isinstance(record, SourceState)]
        ended = await asyncio.gather(*map(self._one, alone), return_exceptions=True)
        for record, placed in zip(alone, ended, strict=True):
            if isinstance(placed, BaseException):
                raise placed
            results.add(record.where, placed)
        return len(alone)

    async def _one(
        self, record: SourceSession | Remembered | CachedResult | SourceThread | UnreadableRecord
    ) -> Placed:
        match record:
            case SourceSession():
                return await self._placer.place(record)
            case Remembered():
                return await self._keeper.remember(record)
            case CachedResult():
                return await self._keeper.cache(record)
            case SourceThread():
                return Placed(*await record.bring(self._to, self._dry_run))
            case UnreadableRecord():
                return Placed(Outcome.REFUSED, record.why)

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(self._passes, done)
