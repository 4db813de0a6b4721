"""A Cluster of six nodes: real processes, on loopback, joined by the commands of the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from typing import Any, Self

import redis
from redis.cluster import ClusterNode
from redis.crc import key_slot

from servers import Server, credentials, until

SLOTS = 16_384
RANGES = [range(5461), range(5461, 10_923), range(10_923, SLOTS)]

Entry = dict[str, Any]
"""A line of CLUSTER NODES, as redis-py reads it."""


class ClusterSet:
    """Three primaries with a third of the slots and a replica each.

    Args:
        folder: each node has a folder of its own below it.
        binary: the program.
        options: further options of all nodes, as on their command line.
        node_timeout: milliseconds of silence until the others hold a node to be down.
        full_coverage: whether all refuse to serve as long as some slot has no owner.
        password: what clients must say.
        user: the ACL user whose password that is; nobody else is then let in.
        tls: folder of certificates: all then speak TLS only.
    """

    def __init__(
        self,
        folder: Path,
        binary: str,
        options: Sequence[str] = (),
        *,
        node_timeout: int = 1000,
        full_coverage: bool = False,
        password: str = "",
        user: str = "",
        tls: Path | None = None,
    ) -> None:
        settings = {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": node_timeout,
            "cluster-require-full-coverage": "yes" if full_coverage else "no",
            "cluster-replica-validity-factor": 0,  # a replica that was cut off may be promoted
            "cluster-announce-ip": "127.0.0.1",
            "repl-diskless-sync-delay": 0,
            "masterauth": password,
            **({"masteruser": user} if user else {}),
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        words += options
        self.nodes = [
            Server(folder / f"node-{n}", binary, words, password=password, user=user, tls=tls)
            for n in range(1, 7)
        ]
        self._ids: dict[Server, str] = {}
        self._elected = float("-inf")
        self._retry = 4 * max(node_timeout, 1000) / 1000  # seconds; the server's own rule

    def start(self) -> Self:
        """Start and join all, and return when all agree on who serves what and who follows whom."""
        primaries, replicas = self.nodes[:3], self.nodes[3:]
        try:
            for epoch, node in enumerate(self.nodes, 1):
                node.start()
                self._ids[node] = node.ask("CLUSTER", "MYID")
                node.ask("CLUSTER", "SET-CONFIG-EPOCH", epoch)
            for node, slots in zip(primaries, RANGES, strict=True):
                node.ask("CLUSTER", "ADDSLOTS", *slots)
            for node, other in combinations(self.nodes, 2):
                node.ask("CLUSTER", "MEET", "127.0.0.1", other.port)
            until("all nodes have met", lambda: all(map(self._has_met_all, self.nodes)))
            for replica, primary in zip(replicas, primaries, strict=True):
                replica.ask("CLUSTER", "REPLICATE", self._ids[primary])
            self.settle()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.callback(node.close)

    @property
    def url(self) -> str:
        first = self.nodes[0]
        scheme = "rediss+cluster" if first.tls else "redis+cluster"
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"{scheme}://{credentials(first.user, first.password)}{hosts}{first.trust}"

    def client(self) -> redis.RedisCluster:
        """Plain redis-py, for looking behind Sojourn's back."""
        known = [ClusterNode("127.0.0.1", node.port) for node in self.nodes if node.running]
        url = self._running()[0].url
        return redis.RedisCluster.from_url(url, startup_nodes=known, decode_responses=True)

    def slot_of(self, key: str) -> int:
        return key_slot(key.encode())

    def owner_of(self, key: str) -> Server:
        """The node that serves a key's slot now.

        Raises:
            LookupError: no node that runs does.
        """
        owner = self._owner(self.slot_of(key))
        if owner is None:
            raise LookupError(f"no node that runs serves slot {self.slot_of(key)}")
        return owner

    def replica_of(self, primary: Server) -> Server:
        """A replica of a node, be that dead or alive.

        Raises:
            LookupError: none runs.
        """
        for node in self._running():
            if self._view(node)[node]["master_id"] == self._ids[primary]:
                return node
        raise LookupError(f"no replica of {primary} runs")

    def kill(self, node: Server) -> None:
        node.stop(9)

    def restart(self, node: Server) -> None:
        """Start a node that was killed, and wait until it has found its place."""
        node.start()
        self.settle()

    def failover(self, replica: Server) -> None:
        """Have a replica take over from its primary, with both alive.

        First it lets the last election grow old. Redis (6.2 and 7.0, not Valkey) keeps the votes
        of a node that won and was demoted: in its next election, if that comes too soon, it counts
        them again, and takes over with an epoch that all others refuse, for good.
        """
        time.sleep(max(0.0, self._elected + self._retry - time.monotonic()))
        replica.ask("CLUSTER", "FAILOVER")
        self._elected = time.monotonic()

    def await_promoted(self, old_owner: Server, slot: int, seconds: float = 30) -> Server:
        """Wait until another node serves a slot and all that run, but the old owner, know it."""

        def promoted() -> Server | None:
            new = self._owner(slot)
            others = [node for node in self._running() if node is not old_owner]
            agreed = new not in (None, old_owner) and all(
                self._owner_by(node, slot) is new and _is_ok(node) for node in others
            )
            return new if agreed else None

        new = until(f"another owner of slot {slot} than {old_owner}", promoted, seconds)
        self._elected = time.monotonic()
        return new

    def move_slot(
        self,
        slot: int,
        source: Server,
        target: Server,
        *,
        between: Callable[[], None] | None = None,
    ) -> None:
        """Reshard one slot, while both nodes serve it.

        Args:
            slot: the slot.
            source: the primary that has it.
            target: the primary that gets it.
            between: called after each key that has moved, the slot being the source's still: what
                has moved is answered with ASK.
        """
        password, user = target.password, target.user or "default"
        access = ["AUTH2", user, password] if password else []
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self._ids[source])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self._ids[target])
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            for key in keys:
                source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 5000, *access)
                if between is not None:
                    between()
        primaries = [n for n in self._running() if "master" in self._view(n)[n]["flags"]]
        for node in sorted(primaries, key=[target, source, *primaries].index):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", self._ids[target])
        until(
            f"all know that {target} serves slot {slot}",
            lambda: all(self._owner_by(node, slot) is target for node in self._running()),
        )

    def settle(self, seconds: float = 30) -> None:
        """Wait until all that run agree, serve all slots, and replicas have their data."""
        until("all nodes agree", self._settled, seconds)

    def _running(self) -> list[Server]:
        return [node for node in self.nodes if node.running]

    def _view(self, node: Server) -> dict[Server, Entry]:
        """What a node holds of all nodes that it has met."""
        by_address = {f"127.0.0.1:{other.port}": other for other in self.nodes}
        entries: dict[str, Entry] = node.ask("CLUSTER NODES")
        return {by_address[address]: entry for address, entry in entries.items()}

    def _has_met_all(self, node: Server) -> bool:
        view = self._view(node)
        return len(view) == len(self.nodes) and all(map(_is_well, view.values()))

    def _owner(self, slot: int) -> Server | None:
        """Of the running nodes that hold a slot to be theirs, the one with the latest right."""
        claims = {node: self._view(node)[node] for node in self._running()}
        owners = [node for node, entry in claims.items() if _serves(entry, slot)]
        return max(owners, key=lambda node: int(claims[node]["epoch"]), default=None)

    def _owner_by(self, node: Server, slot: int) -> Server | None:
        """Who serves a slot, says a node."""
        entries = self._view(node).items()
        return next((other for other, entry in entries if _serves(entry, slot)), None)

    def _settled(self) -> bool:
        running = self._running()
        views = [self._view(node) for node in running]
        known = [{other: view[other] for other in running} for view in views]
        return (
            all(_is_well(entry) for view in known for entry in view.values())
            and all(_duties(view) == _duties(known[0]) for view in known)
            and all(map(_is_ok, running))
            and all(map(_has_its_data, running))
        )


def _is_well(entry: Entry) -> bool:
    flags = set(entry["flags"].split(",")) - {"myself"}
    return entry["connected"] and flags in ({"master"}, {"slave"})


def _serves(entry: Entry, slot: int) -> bool:
    """Whether a node is a primary with that slot; [3] and [3, 5] are ranges."""
    return any(int(slots[0]) <= slot <= int(slots[-1]) for slots in entry["slots"])


def _duties(view: dict[Server, Entry]) -> dict[Server, tuple[str, list[list[str]]]]:
    return {node: (entry["master_id"], entry["slots"]) for node, entry in view.items()}


def _is_ok(node: Server) -> bool:
    info = node.ask("CLUSTER INFO")
    return info["cluster_state"] == "ok" and int(info["cluster_slots_ok"]) == SLOTS


def _has_its_data(node: Server) -> bool:
    """Whether a replica follows its primary; a primary has what it has."""
    role, *rest = node.ask("ROLE")
    return role == "master" or rest[2] == "connected"
