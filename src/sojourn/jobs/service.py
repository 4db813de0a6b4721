"""Jobs that operators run over all records of a store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast

from sojourn.calls.keys import Keys
from sojourn.calls.room import OpenRoom
from sojourn.codecs import growth
from sojourn.codecs.codec import Codec
from sojourn.codecs.compression import SHIPPED
from sojourn.codecs.recoding import LogRecoding, Recoding, RoomRecoding
from sojourn.engine.engine import Engine
from sojourn.errors import ConfigurationError, Conflict, DictionaryMissing, InvalidInput
from sojourn.ids import UserKey, owner_of
from sojourn.jobs import format as formats
from sojourn.jobs.format import DeploymentFormat
from sojourn.jobs.job import LEASE, NAMED, JobReport, JobRun, Tell, Work
from sojourn.jobs.keys import JobRoomKeys
from sojourn.jobs.lease import Lease
from sojourn.jobs.resealing import ResealWork
from sojourn.jobs.searching import named_in
from sojourn.jobs.upgrading import UpgradeWork
from sojourn.options import Options
from sojourn.process_bound import stays_here

_SETTLED = 2
"""Times `key_cache_seconds`, until no process seals with the key before: `KeyAdmin` asks for it."""
_MOVING = 60.0
"""Seconds within which what belongs to a session has followed it to another id."""


@stays_here("its URL, and open the store there")
class Jobs:
    """Starts jobs, and continues those that were stopped.

    Args:
        engine: where calls go; None in memory.
        keys: of each room, by its name.
        rooms: those that are open, by name.
        codec: how content is written.
        options: of the store.
    """

    def __init__(
        self,
        engine: Engine | None,
        keys: Mapping[str, Keys],
        rooms: Mapping[str, OpenRoom],
        codec: Codec,
        options: Options,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._rooms = rooms
        self._codec = codec
        self._options = options
        self._format: DeploymentFormat = rooms["jobs"].service

    async def upgrade(
        self,
        to: int,
        *,
        rate: float | None = None,
        progress: Tell | None = None,
        lease: float = LEASE,
    ) -> JobReport:
        """As `store.admin.upgrade`."""
        if to > growth.FORMAT:
            raise ConfigurationError(
                f"This version of Sojourn knows the storage formats up to {growth.FORMAT}: upgrade "
                "it first, in all processes."
            )
        if to < 1 or to < await self._format.read():
            raise InvalidInput("A storage format is a number from 1, and never goes back.")
        run = self._run(UpgradeWork(to), rate, progress, lease)
        await self._format.write(to)

        async def unsettled() -> float:
            _, since = await self._format.read_since()
            return formats.REFRESH + self._timeout - since if to > 1 else 0.0

        return await run.run(unsettled)

    async def reseal(
        self,
        owner: UserKey | None = None,
        *,
        plain: bool = False,
        rate: float | None = None,
        progress: Tell | None = None,
        lease: float = LEASE,
    ) -> JobReport:
        """As `store.admin.reseal`."""
        writes = Codec() if plain else self._codec
        if plain and self._codec.keys is not None:
            await self._check_migrating()
        changes_key = owner is not None and writes.keys is not None
        what, made = _word_of(writes), 0.0
        if owner is not None and changes_key:
            active, made = await self._new_data_key(owner)
            what = f"{what}+{active}"
        work = self._resealing(what, Recoding(self._codec, writes), owner)
        run = self._run(work, rate, progress, lease)

        async def unsettled() -> float:
            """Others may seal with the key before for as long as they have it cached."""
            if not changes_key:
                return 0.0
            return made + _SETTLED * self._options.key_cache_seconds + self._timeout - time.time()

        async def moved(seconds: float) -> float:
            asked = [room.moved_within for room in self._rooms.values() if room.moved_within]
            if owner is None or not any([await each(owner, seconds + _MOVING) for each in asked]):
                return 0.0
            return _MOVING + 0.1

        report = await run.run(unsettled, moved if changes_key else None)
        if owner is not None and changes_key and report.complete:
            dropped, kept = await self._drop_old_keys(owner)
            why = "others may still seal with it: run it again"
            names = [f"the data key {name}: {why}" for name in kept]
            report = report._replace(dropped=dropped, left=len(kept), names=names)
        return report

    async def _check_migrating(self) -> None:
        """Refuse to write what all processes with this ring would refuse to read."""
        if not (await self._rooms["keys"].admin.usage(limit=1)).migrating:
            raise ConfigurationError(
                "The ring of master keys says that plain text is refused: run sojourn keys "
                "migrating FILE on, give the file to all processes, and then this again. Nothing "
                "was changed."
            )

    async def retire_dictionary(
        self,
        app: str,
        name: str,
        *,
        rate: float | None = None,
        progress: Tell | None = None,
        lease: float = LEASE,
    ) -> JobReport:
        """As `store.admin.retire_dictionary`."""
        if not self._codec.compressing:
            raise ConfigurationError(
                "Records are written anew with the settings of this process: open the store as the "
                "application does, with compression='zstd' (SOJOURN_COMPRESSION=zstd)."
            )
        admin = self._rooms["dictionaries"].admin
        there = {each.id: each for each in await admin.ls(app) if each.made}
        if name not in there:
            raise DictionaryMissing(
                f"{app} has no dictionary {name!r} of its own: `sojourn codec ls` lists them.",
                dictionary=name,
            )
        what = f"{_word_of(self._codec)}-{name}"
        recoding = Recoding(self._codec, self._codec)
        run = self._run(self._resealing(what, recoding, None), rate, progress, lease)
        if there[name].active:
            await admin.activate(app, SHIPPED)

        async def unsettled() -> float:
            left = await admin.unused_in(app, name)
            return left + self._timeout if left else 0.0

        report = await run.run(unsettled)
        if self._engine is None:
            return report
        # What was left may be others' records, so a look at all decides.
        ours = JobRoomKeys(self._options.namespace)

        def of_app(key: str) -> bool:
            first, *_ = ours.tag_of(key)  # the tenants of a cache may be users
            owner = owner_of(first)
            return first == app or (owner is not None and owner.app == app)

        pattern = f"{ours.start}*"
        names = await named_in(self._engine, pattern, f"zstd:{name}", of_app)
        if not names:
            await admin.remove(app, name)
        why = "it needs the dictionary, and could not be written anew"
        return report._replace(left=len(names), names=[f"{key}: {why}" for key in names[:NAMED]])

    def _resealing(self, what: str, recoding: Recoding, owner: UserKey | None) -> ResealWork:
        """The work of encoding all content anew, or that of a user."""
        rooms: dict[str, RoomRecoding] = {
            kind.name: room.recoding
            for name, room in self._rooms.items()
            if room.recoding is not None
            for kind in self._keys[name].kinds
            if kind.record
        }
        return ResealWork(what, recoding, rooms, self._logs(), owner)

    async def _new_data_key(self, owner: UserKey) -> tuple[str, float]:
        """The key that a user's content is to be sealed with, and when it was made.

        A run that was stopped has made it already.
        """
        admin = self._rooms["keys"].admin
        infos = await admin.of(*owner)
        if len(infos) < 2:  # noqa: PLR2004 - the one before, and its successor
            await admin.new_data_key(*owner)
            infos = await admin.of(*owner)
        active = next(info for info in infos if info.active)
        return active.id, active.made

    async def _drop_old_keys(self, owner: UserKey) -> tuple[list[str], list[str]]:
        """Remove the data keys that have sealed nothing any more: those that were, and were not."""
        admin = self._rooms["keys"].admin
        dropped: list[str] = []
        kept: list[str] = []
        for info in await admin.of(*owner):
            if not info.active:
                try:
                    if await admin.drop_data_key(*owner, info.id):
                        dropped.append(info.id)
                except Conflict:  # made a moment ago, by the clock of its server
                    kept.append(info.id)
        return dropped, kept

    def _logs(self) -> LogRecoding:
        return cast("LogRecoding", self._rooms["sessions"].recoding)

    @property
    def _timeout(self) -> float:
        return 0.0 if self._engine is None else self._engine.timeout

    def _run(self, work: Work, rate: float | None, progress: Tell | None, lease: float) -> JobRun:
        if self._engine is None:
            raise ConfigurationError(
                "memory:// has no records that outlive this process: there is nothing to rewrite."
            )
        if rate is not None and rate <= 0:
            raise InvalidInput("The rate is a number of records a second, above 0.")
        key = JobRoomKeys(self._options.namespace).job(work.name, work.owner)
        taken = Lease(self._engine, key, work.what, lease)
        rooms = [*self._keys.values()]
        return JobRun(self._engine, rooms, taken, work, rate=rate, tell=progress)


def _word_of(codec: Codec) -> str:
    """How a codec writes, in a word."""
    parts = [
        "json" if codec.serializer is None else codec.serializer.name,
        *(["zstd"] if codec.compressing else []),
        *(["sealed"] if codec.keys is not None else []),
    ]
    return "+".join(parts)
