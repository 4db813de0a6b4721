"""Storage format of a deployment: the major version that all its processes write."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sojourn.calls.call import Call, only
from sojourn.codecs import growth
from sojourn.engine.engine import Engine
from sojourn.errors import CorruptRecord
from sojourn.jobs.keys import JobRoomKeys

REFRESH = 10.0
"""Seconds after which a process looks again which format it is to write."""


class DeploymentFormat:
    """The major version that is written, by all processes of whatever version.

    A new version of Sojourn reads its own major and those before, and goes on writing what the
    deployment writes until `store.admin.upgrade` says otherwise. So its predecessor can read all
    that it writes, and may come back.

    Args:
        engine: where calls go; None in memory.
        keys: builds the key.
    """

    def __init__(self, engine: Engine | None, keys: JobRoomKeys) -> None:
        self._engine = engine
        self._key = keys.format()
        self._major = 1
        self._until = 0.0

    async def major(self) -> int:
        """The major version to write now. A round trip every ten seconds; none in memory.

        Raises:
            CorruptRecord: what is stored there is no version.
            NewerFormat: this version of Sojourn cannot write it.
            Unavailable: nobody answers.
        """
        if self._engine is None:
            return growth.FORMAT
        if time.monotonic() >= self._until:
            started = time.monotonic()
            self._major = await self.read()
            growth.check_major(self._major, "This deployment")
            self._until = started + REFRESH
        return self._major

    async def read(self) -> int:
        """The major version as the server has it. One round trip."""
        return (await self.read_since())[0]

    async def read_since(self) -> tuple[int, float]:
        """The same, and for how many seconds it has been that. One round trip."""
        if self._engine is None:
            return growth.FORMAT, REFRESH
        commands = [("HMGET", self._key, "major", "since"), ("TIME",)]
        call: Call[list[Any]] = Call("jobs.format", (self._key,), list, commands=commands)
        (major, since), now = await self._engine.run(call)
        try:
            return growth.major_of(major), _seconds(now) - float(since or 0)
        except ValueError as error:
            raise CorruptRecord(
                f"{self._key} does not say which format is written: others wrote it, or it was "
                "damaged. Delete it, and run `sojourn upgrade` again.",
                key=self._key,
                raw=major or b"",
            ) from error

    async def write(self, major: int) -> None:
        """Let all processes write a major version from soon on. Two round trips.

        It is never lowered: records of the higher one may be there already.
        """
        if self._engine is None:
            return
        if await self.read() >= major:
            return
        call: Call[Any] = Call("jobs.time", (), only, commands=[("TIME",)])
        since = f"{_seconds(await self._engine.run(call)):.6f}"
        command = ("HSET", self._key, "major", major, "since", since)
        await self._engine.run(Call("jobs.format", (self._key,), only, commands=[command]))
        self._until = 0.0


def _seconds(now: Sequence[bytes]) -> float:
    """The reply to TIME."""
    return int(now[0]) + int(now[1]) / 1e6
