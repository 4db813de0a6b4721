"""The doctor: reads, judges, reports, and changes nothing."""

from __future__ import annotations

from sojourn.doctor.ask import Run
from sojourn.doctor.checks import CHECKS
from sojourn.doctor.model import Report
from sojourn.doctor.probe import probe
from sojourn.doctor.reading import Address, Wanted
from sojourn.engine.keys import Keys
from sojourn.errors import ConfigurationError


class Doctor:
    """Examines the server of a store. Made by `sojourn.open`, as `store.doctor`.

    Args:
        run: sends a call to the server; None where there is no server.
        where: its address, without secrets.
        keys: the keys of the deployment.
        endless_state: the state of users and apps is meant to stay for ever.
    """

    def __init__(self, run: Run | None, where: str, keys: Keys, *, endless_state: bool) -> None:
        self._run = run
        self._where = where
        self._keys = keys
        self._endless_state = endless_state

    async def examine(self, *, keys: int = 10_000, notifications: bool = False) -> Report:
        """Check the server: persistence, memory, access, replicas, clock, keys. It only reads.

        28 round trips, two more for each 250 keys, and one for those that have no TTL. What the
        server refuses to tell becomes a finding of level `unknown`.

        Args:
            keys: how many keys to look at, at most, for such as never expire; 0 for none.
            notifications: whether the application listens for keys that expire.

        Raises:
            ConfigurationError: this store is in memory, or the server too old.
            Unavailable: the server does not answer.
            AccessDenied: it refuses the credentials.
        """
        if self._run is None:
            raise ConfigurationError(
                "memory:// has no server that could be examined: open the URL of one."
            )
        reading = await probe(
            self._run,
            Address.of(self._where),
            self._keys,
            Wanted(keys, notifications),
            endless_state=self._endless_state,
        )
        found = (check.run(reading) for check in CHECKS)
        return Report(self._where, [finding for finding in found if finding is not None])
