"""The doctor: reads, judges, reports, and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from sojourn.calls.keys import Keys
from sojourn.doctor.checks import CHECKS, of_dictionaries, of_keys, timing
from sojourn.doctor.model import Finding, Report
from sojourn.doctor.probe import probe
from sojourn.doctor.reading import (
    DictionariesReading,
    KeysReading,
    NotAllowed,
    NotRead,
    ProbeRequest,
    ServerAddress,
)
from sojourn.doctor.usage import NodeUsage, usage
from sojourn.engine.engine import Node
from sojourn.errors import AccessDenied, ConfigurationError
from sojourn.process_bound import stays_here

_RECORDS = 1_000
"""Records of which some are asked for the dictionaries that they need."""

Nodes = Callable[[], Awaitable[Sequence[Node]]]


@stays_here("the store's URL, and open the store there")
class Doctor:
    """Examines the servers of a store. Made by `sojourn.open`, as `store.admin.doctor`.

    Args:
        nodes: finds the servers; None where there are none.
        where: the address of the store, without secrets.
        keys: the keys of the deployment.
        endless_state: the state of users and apps is meant to stay for ever.

    Attributes:
        nodes: as given.
        where: as given.
        keys: as given.
        read_keys: reads the keys that seal the store, of so many users at most; None if it seals
            nothing.
        read_dictionaries: looks at so many records for dictionaries that are gone; None if nothing
            here can read any.
    """

    def __init__(self, nodes: Nodes | None, where: str, keys: Keys, *, endless_state: bool) -> None:
        self.nodes = nodes
        self.where = where
        self.keys = keys
        self._endless_state = endless_state
        self.read_keys: Callable[[int], Awaitable[KeysReading]] | None = None
        self.read_dictionaries: Callable[[int], Awaitable[DictionariesReading]] | None = None

    async def examine(self, *, keys: int = 10_000, notifications: bool = False) -> Report:
        """Check persistence, memory, access, replicas, clock and keys. It only reads.

        One server, the primary under Sentinel, or each primary of a Cluster: 28 round trips each,
        two more for each 250 keys, and one for those that have no TTL. What a server refuses to
        tell becomes a finding of level `unknown`. Where content is encrypted, a round trip more for
        each 1,000 keys of the server, and for each 200 users whose data keys are looked at.
        Where it is compressed, some 20 more for the dictionaries that records need.

        Args:
            keys: how many keys of a server to look at, at most, for such as never expire, and of
                how many users the data keys; 0 for none.
            notifications: whether the application listens for keys that expire.

        Raises:
            ConfigurationError: this store is in memory, or the server too old.
            Unavailable: a server does not answer.
            AccessDenied: it refuses the credentials.
        """
        if self.nodes is None:
            raise ConfigurationError(
                "memory:// has no server that could be examined: open the URL of one."
            )
        nodes = await self.nodes()
        wanted = ProbeRequest(keys, notifications, cluster="+cluster:" in self.where)
        findings: list[Finding] = []
        skews: dict[str, float] = {}
        for node in nodes:
            reading = await probe(
                node.run,
                ServerAddress.of(node.where),
                self.keys,
                wanted,
                endless_state=self._endless_state,
            )
            found = (check.run(reading) for check in CHECKS)
            name = node.where if len(nodes) > 1 else ""
            findings += [each._replace(node=name) for each in found if each is not None]
            if not isinstance(reading.skew, NotAllowed):
                skews[node.where] = reading.skew
        if verdict := timing.clocks(skews):
            findings.append(Finding("Time", "clocks", *verdict))
        if self.read_keys is not None and keys:
            findings += of_keys(await self.read_keys(keys))
        if self.read_dictionaries is not None and keys:
            findings += of_dictionaries(await self.read_dictionaries(min(keys, _RECORDS)))
        return Report(self.where, findings)


async def usage_of(doctor: Doctor, *, keys: int) -> list[NodeUsage]:
    """Count keys by kind, and the memory that they take, on each server. It only reads.

    Two round trips each, and two for each 250 keys. In memory there is no server.

    Args:
        doctor: of the store.
        keys: how many keys of a server to look at, at most; where it has more, figures are
            estimates.

    Raises:
        Unavailable: a server does not answer.
        AccessDenied: it refuses the credentials, or SCAN.
    """
    try:
        nodes: Sequence[Node] = [] if doctor.nodes is None else await doctor.nodes()
        return [await usage(node.run, doctor.keys, keys) for node in nodes]
    except NotRead as missing:
        raise AccessDenied(f"{doctor.where} cannot be measured: {missing}.") from missing
