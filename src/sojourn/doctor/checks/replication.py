"""Checks of replication: replicas, and whether writes wait for them."""

from __future__ import annotations

from typing import NamedTuple

from sojourn.doctor.model import Level, Verdict
from sojourn.doctor.reading import Answers, Reading

LATE = 10
"""Seconds since a replica last acknowledged what it has; healthy ones do so every second."""


class _Replica(NamedTuple):
    address: str
    state: str
    lag: int

    def __str__(self) -> str:
        late = f", {self.lag} s late" if self.state == "online" else ""
        return f"{self.address} ({self.state}{late})"


def replicas(reading: Reading, *, late: int = LATE) -> Verdict | None:
    """Replicas are in step; silent on a replica."""
    if not _is_primary(reading):
        return None
    found = _replicas(reading.info)
    if not found:
        what = "No replica: its disk is the only copy, and while it is down calls fail."
        if reading.address.embedded:
            return Verdict(Level.OK, f"{what} An embedded server is made so.")
        return Verdict(Level.ADVICE, what, "replicaof HOST PORT on a second server")
    behind = [each for each in found if each.state != "online" or each.lag > late]
    if behind:
        return Verdict(
            Level.WARNING,
            f"Of {_counted(len(found))}, {len(behind)} are not in step: "
            f"{', '.join(map(str, behind))}. What they lack is lost when one of them takes over.",
            "Look into the replica's log and at the network between them; if it starts over again "
            "and again, raise repl-backlog-size and client-output-buffer-limit replica.",
        )
    slowest = max(each.lag for each in found)
    return Verdict(Level.OK, f"{_counted(len(found))} in step, last heard of {slowest} s ago.")


def min_replicas(reading: Reading) -> Verdict | None:
    """A primary that is cut off stops taking writes; silent where there are no replicas."""
    info = reading.info
    in_step = info.get("min_slaves_good_slaves")  # told when the directive is set
    count = len(_replicas(info))
    if not _is_primary(reading) or not (in_step or count):
        return None
    if not in_step:
        what = (
            "min-replicas-to-write is 0: a primary that is cut off from its replicas goes on "
            "taking writes, and they are lost when a replica takes over"
        )
        if count == 1:
            return Verdict(
                Level.ADVICE,
                f"{what}.",
                "min-replicas-to-write 1, best with a second replica: writes stop while there is "
                "none",
            )
        return Verdict(Level.WARNING, f"{what}.", "min-replicas-to-write 1")
    config, name = reading.config, "min-replicas-to-write"
    if in_step == "0" or int(in_step) < config.number(name):  # it is set, so it is 1 at least
        return Verdict(
            Level.PROBLEM,
            f"{name} is {config.get(name) or 'set'} and {in_step} are in step: the server refuses "
            "all writes.",
            f"Bring the replicas back; min-replicas-to-write {in_step} until then.",
        )
    return Verdict(Level.OK, f"{name} is {config[name]}, and {in_step} are in step.")


def _is_primary(reading: Reading) -> bool:
    return reading.info["role"] == "master"


def _replicas(info: Answers) -> list[_Replica]:
    found: list[_Replica] = []
    for number in range(int(info.get("connected_slaves") or 0)):
        row = dict(part.split("=", 1) for part in info[f"slave{number}"].split(","))
        found.append(_Replica(f"{row['ip']}:{row['port']}", row["state"], int(row["lag"])))
    return found


def _counted(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
