"""Random faults for minutes, and how long it takes until writes succeed again.

    make soak MINUTES=5 SEED=1 BINARY=valkey-9

Runs a load against one server with AOF always, against a primary under Sentinel and against a
Cluster, both with durability="replicas" and all replicas confirming, one after the other; hurts
them by the dice; lets the checker compare what stands there with what clients were told. Prints
what came of it and writes it as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, ClassVar

import redis

import sojourn
from cluster import ClusterSet
from faults.client import Ways
from faults.inject import ALWAYS, freeze, kill_and_restart
from faults.load import Load
from sentinel import SentinelSet
from servers import Server, any_binary

ROOT = Path(__file__).parents[2]
WAYS = Ways(timeout=2.0, pause=0.02)
TAG = "{shop:ada}"
Fault = Callable[[Random], Awaitable[None]]


class Standalone:
    """One server whose every acknowledged write is on disk."""

    name = "one server, AOF always"
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder, any_binary(), ALWAYS).start()
        self.url = self.server.url
        self.faults: dict[str, Fault] = {"kill -9 and restart": self._kill, "freeze": self._freeze}

    def clients(self) -> list[redis.Redis]:
        return [self.server.client()]

    async def _kill(self, dice: Random) -> None:
        await kill_and_restart(self.server, dice)

    async def _freeze(self, dice: Random) -> None:
        await freeze(self.server, dice.random() * 3)

    async def fail(self) -> None:
        """What recovery is measured from."""
        await asyncio.to_thread(self.server.stop, 9)
        asyncio.get_running_loop().run_in_executor(None, self.server.start)

    async def mend(self) -> None:
        return

    def close(self) -> None:
        self.server.close()


class Sentinels:
    """A primary, two replicas and three Sentinels."""

    name = "Sentinel, two replicas"
    options: ClassVar[dict[str, Any]] = {"durability": "replicas", "replicas": 2}

    def __init__(self, folder: Path) -> None:
        self.set = SentinelSet(folder, any_binary()).start()
        self.url = self.set.url
        self.faults: dict[str, Fault] = {
            "kill -9 of the primary": self._kill,
            "freeze of the primary": self._freeze,
            "SENTINEL FAILOVER": self._failover,
        }

    def clients(self) -> list[redis.Redis]:
        return [self.set.client()]

    async def _kill(self, _: Random) -> None:
        old = self.set.primary
        await self.fail()
        await asyncio.to_thread(self.set.await_new_primary, old)
        await asyncio.to_thread(self.set.restart, old)

    async def _freeze(self, _: Random) -> None:
        old = self.set.primary
        old.pause()
        await asyncio.to_thread(self.set.await_new_primary, old)
        old.resume()

    async def _failover(self, _: Random) -> None:
        old = self.set.primary
        await asyncio.to_thread(self.set.failover)
        await asyncio.to_thread(self.set.await_new_primary, old)

    async def fail(self) -> None:
        self.killed = self.set.primary
        await asyncio.to_thread(self.set.kill_primary)

    async def mend(self) -> None:
        if getattr(self, "killed", None) is not None and not self.killed.running:
            await asyncio.to_thread(self.set.restart, self.killed)
        await asyncio.to_thread(self.set.settle)

    def close(self) -> None:
        self.set.close()


class Cluster:
    """Three primaries with a replica each."""

    name = "Cluster, a replica each"
    options: ClassVar[dict[str, Any]] = {"durability": "replicas", "replicas": 1}

    def __init__(self, folder: Path) -> None:
        self.set = ClusterSet(folder, any_binary()).start()
        self.url = self.set.url
        self.faults: dict[str, Fault] = {
            "kill -9 of a primary": self._kill,
            "freeze of a primary": self._freeze,
            "CLUSTER FAILOVER": self._failover,
        }

    def clients(self) -> list[redis.Redis]:
        return [node.client() for node in self.set.nodes if node.ask("ROLE")[0] == "master"]

    async def _promoted(self, old: Server) -> None:
        await asyncio.to_thread(self.set.await_promoted, old, self.set.slot_of(TAG))

    async def _kill(self, _: Random) -> None:
        old = self.set.owner_of(TAG)
        await asyncio.to_thread(self.set.kill, old)
        await self._promoted(old)
        await asyncio.to_thread(self.set.restart, old)

    async def _freeze(self, _: Random) -> None:
        old = self.set.owner_of(TAG)
        old.pause()
        try:
            await self._promoted(old)
        finally:
            old.resume()

    async def _failover(self, _: Random) -> None:
        old = self.set.owner_of(TAG)
        await asyncio.to_thread(self.set.failover, self.set.replica_of(old))
        await self._promoted(old)

    async def fail(self) -> None:
        self.killed = self.set.owner_of(TAG)
        await asyncio.to_thread(self.set.kill, self.killed)

    async def mend(self) -> None:
        if getattr(self, "killed", None) is not None and not self.killed.running:
            await asyncio.to_thread(self.set.restart, self.killed)
        await asyncio.to_thread(self.set.settle)

    def close(self) -> None:
        self.set.close()


async def soak(target: Any, seconds: float, seed: int) -> dict[str, Any]:
    """Hurt it for so long; what the checker says then."""
    dice, injected = Random(seed), Counter[str]()
    url = target.url
    started = time.monotonic()
    async with Load(url, url, seed=seed, ways=WAYS, **target.options) as load:
        while time.monotonic() - started < seconds:
            await load.written(100, within=60)
            fault = dice.choice(sorted(target.faults))
            try:
                await target.faults[fault](dice)
            except TimeoutError:  # of a Cluster's own: docs/reliability.md, "Redis 6.2 and 7.0"
                fault += ", and no election"
            await target.mend()
            injected[fault] += 1
        await load.written(100, within=60)
    report = load.report(target.clients())
    return {
        "target": target.name,
        "seconds": round(time.monotonic() - started),
        "faults": dict(sorted(injected.items())),
        "operations": report.operations,
        "acknowledged": report.acknowledged,
        "unknown for a while": report.unknown,
        "resolved": report.resolved,
        "lost": len(report.lost),
        "doubled": len(report.doubled),
        "other findings": sorted({finding.kind for finding in report.problems()}),
        "longest call, s": round(report.longest, 2),
    }


async def recovery(target: Any, rounds: int) -> dict[str, Any]:
    """From the kill until the first write is acknowledged again, for a client that keeps trying."""
    took = []
    async with sojourn.open(target.url, operation_timeout=2) as store:
        made = await store.sessions.create("shop", "ada")
        for n in range(rounds):
            await store.sessions.append(made.key, sojourn.Event(author="a", payload=n))
            await target.fail()
            start = time.monotonic()
            operation = f"after {n}"
            while True:
                try:
                    event = sojourn.Event(author="a", payload=n, id=operation)
                    await store.sessions.append(made.key, event, operation_id=operation)
                    break
                except sojourn.Unavailable:
                    await asyncio.sleep(0.01)
            took.append(time.monotonic() - start)
            await target.mend()
            await asyncio.sleep(2)  # an election needs some distance from the one before
    return {
        "target": target.name,
        "rounds": rounds,
        "median, s": round(median(took), 2),
        "worst, s": round(max(took), 2),
    }


def server_version(binary: str) -> str:
    """What a server program calls itself."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    return " ".join(said.stdout.split()[:3])


def show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(  # noqa: T201
            ", ".join(f"{name}: {value}" for name, value in row.items()),
            flush=True,
        )


async def main() -> int:
    logging.disable(logging.WARNING)  # what is out of reach is what this is about
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=5)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--rounds", type=int, default=5)
    name = os.environ.get("BINARY", "redis-7")
    results = ROOT / f"bench/results/reliability-{name}.json"
    options.add_argument("--json", type=Path, default=results)
    chosen = options.parse_args()
    kinds = (Standalone, Sentinels, Cluster)
    version = server_version(any_binary())
    print(version, flush=True)  # noqa: T201
    soaks: list[dict[str, Any]] = []
    recoveries: list[dict[str, Any]] = []
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            target = await asyncio.to_thread(kind, Path(folder))
            try:
                soaks.append(await soak(target, chosen.minutes * 60 / len(kinds), chosen.seed))
                show(soaks[-1:])
                recoveries.append(await recovery(target, chosen.rounds))
                show(recoveries[-1:])
            finally:
                target.close()
    result = {"server": version, "seed": chosen.seed, "soak": soaks, "recovery": recoveries}
    chosen.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    bad = [row for row in soaks if row["lost"] or row["doubled"] or row["other findings"]]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
