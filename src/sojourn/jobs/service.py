"""Jobs that operators run over all records of a store."""

from __future__ import annotations

from collections.abc import Sequence

from sojourn.calls.keys import Keys
from sojourn.codecs import growth
from sojourn.engine.engine import Engine
from sojourn.errors import ConfigurationError, InvalidInput
from sojourn.jobs import format as formats
from sojourn.jobs.format import DeploymentFormat
from sojourn.jobs.job import LEASE, JobReport, JobRun, Tell, Work
from sojourn.jobs.keys import JobRoomKeys
from sojourn.jobs.lease import Lease
from sojourn.jobs.upgrading import UpgradeWork
from sojourn.process_bound import stays_here


@stays_here("its URL, and open the store there")
class Jobs:
    """Starts jobs, and continues those that were stopped.

    Args:
        engine: where calls go; None in memory.
        rooms: the keys of each room.
        namespace: of the deployment.
        format: what the deployment writes.
    """

    def __init__(
        self,
        engine: Engine | None,
        rooms: Sequence[Keys],
        namespace: str,
        format: DeploymentFormat,  # noqa: A002 - the field's word
    ) -> None:
        self._engine = engine
        self._rooms = rooms
        self._keys = JobRoomKeys(namespace)
        self._format = format

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
        await self._format.write(to)
        timeout = 0.0 if self._engine is None else self._engine.timeout

        async def unsettled() -> float:
            _, since = await self._format.read_since()
            return formats.REFRESH + timeout - since if to > 1 else 0.0

        return await (await self._run(UpgradeWork(to), rate, progress, lease)).run(unsettled)

    async def _run(
        self, work: Work, rate: float | None, progress: Tell | None, lease: float
    ) -> JobRun:
        if self._engine is None:
            raise ConfigurationError(
                "memory:// has no records that outlive this process: there is nothing to rewrite."
            )
        if rate is not None and rate <= 0:
            raise InvalidInput("The rate is a number of records a second, above 0.")
        key = self._keys.job(work.name, work.owner)
        taken = Lease(self._engine, key, work.what, lease)
        return JobRun(self._engine, self._rooms, taken, work, rate=rate, tell=progress)
