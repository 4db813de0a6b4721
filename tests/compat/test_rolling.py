"""A rolling restart: four processes under load, replaced one by one by the next version."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from compat.conftest import FULL, Pair, Sides
from compat.side import Process, Side, Version

MORE = 15
"""Writes that each process has done before the next is replaced."""


LEAST = 100
"""Errors in that time by which it is plain that it will never end."""


class Load:
    """Workers, and all that they ever said."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._count = 0
        self.working: list[Process] = []
        self.said: list[dict[str, Any]] = []

    def start(self, version: Version, doubt: str = "") -> Process:
        name = f"{version.name}-{self._count}"
        self._count += 1
        url = version.at(self._url)
        worker = Process(version, "worker.py", url, name, doubt, folder=self._folder)
        self.working.append(worker)
        return worker

    def replace(self, worker: Process, version: Version, *, killed: bool) -> None:
        """Put a process of a version in the place of another; it ends what that one began."""
        self.working.remove(worker)
        if killed:
            worker.kill()
        else:
            worker.close()
        said = self._hear(worker.rest())
        if not killed:
            assert said[-1]["to"] == "end", worker.log
        sent = [each for each in said if each["to"] in ("try", "done")]
        open_ = bool(sent) and sent[-1]["to"] == "try"
        self.start(version, json.dumps(sent[-1]) if open_ else "")

    def go_on(self) -> None:
        """Wait until each process has done some more."""
        for worker in self.working:
            done = met = 0
            while done < MORE:
                line = worker.line()
                assert line, f"{worker.version.name} has ended: {worker.log}"
                (said,) = self._hear([line])
                assert said["to"] not in ("failed", "incomplete"), f"{said} {worker.log}"
                done += said["to"] == "done"
                met += said["to"] == "met"
                assert met < LEAST, f"{worker.version.name} does nothing but meet {said}"

    def end(self) -> None:
        for worker in self.working:
            worker.close()
            said = self._hear(worker.rest())
            assert said[-1]["to"] == "end", worker.log

    def _hear(self, lines: Iterable[bytes]) -> list[dict[str, Any]]:
        heard = [json.loads(line) for line in lines if line.endswith(b"\n")]
        self.said += heard
        return heard


ROUNDS = 4 if FULL else 1
"""One goes to the later version, the next back to the earlier one."""


def test_a_rolling_restart_loses_and_doubles_nothing(
    pair: Pair, sides: Sides, tmp_path: Path
) -> None:
    load = Load(pair.server.url, tmp_path)
    try:
        for version in (pair.earlier, pair.earlier, pair.later, pair.later):
            load.start(version)
        load.go_on()
        for turn in range(ROUNDS):
            goal = pair.later if turn % 2 == 0 else pair.earlier
            leaving = [each for each in load.working if each.version != goal]
            for number, worker in enumerate(leaving):
                load.replace(worker, goal, killed=number % 2 == 1)
                load.go_on()
        load.end()
    finally:
        for worker in load.working:
            worker.kill()

    assert not [each for each in load.said if each["to"] in ("failed", "incomplete")]
    for side in (sides.earlier, sides.later):
        check(side, load.said)


def check(side: Side, said: list[dict[str, Any]]) -> None:
    """What was acknowledged is there, once and in its place; of the rest at most what was tried."""
    done: dict[str, dict[str, int | None]] = defaultdict(dict)
    tried: dict[str, set[str]] = defaultdict(set)
    for each in said:
        if each["to"] in ("try", "done"):
            session, event = json.dumps(each["session"]), f"{each['by']}-{each['number']}"
            tried[session].add(event)
            if each["to"] == "done":
                done[session][event] = each["seqs"][0] if each["seqs"] else None
    assert len(done) == 4
    last: dict[str, int] = {}
    for session, acknowledged in done.items():
        found = side.run("await store.sessions.get(SessionKey(*key))", key=json.loads(session))
        events = [event["id"] for event in found["events"]]
        assert found["complete"], f"{side.version.name} finds {session} incomplete"
        assert len(events) == len(set(events)) == found["length"]
        assert acknowledged.keys() <= set(events) <= tried[session]
        places = {event["id"]: event["seq"] for event in found["events"]}
        assert all(seq in (None, places[event]) for event, seq in acknowledged.items())
        of: dict[str, list[int]] = defaultdict(list)
        for event in found["events"]:
            of[event["author"]].append(event["payload"])
        for writer, numbers in of.items():
            assert numbers == sorted(numbers), f"the events of {writer} are out of order"
            assert found["state"][writer] == numbers[-1]
            last[writer] = max(last.get(writer, 0), numbers[-1])
    for user in ("ada", "bob"):
        assert side.run("await store.admin.quarantined('shop', user)", user=user) == []
    state = side.run("(await store.sessions.get(SessionKey('shop', 'ada', 's'), last=0)).state")
    assert {name: state[f"app:{name}"] for name in last} == last
    merged = side.run("await store.memory.user('ada', app='shop').get('shared')")
    for each in said:
        if each["to"] == "merged":
            assert merged[each["by"]] >= each["number"]
    assert side.run("store.stats().corrupt") == 0
