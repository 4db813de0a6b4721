"""Lease of a job on the server: one run at a time has it, and writes down there how far it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from sojourn.calls.call import Call, Script, only
from sojourn.codecs.growth import refusal
from sojourn.engine.engine import Engine
from sojourn.errors import Conflict
from sojourn.ids import new_operation_id

_LUA = files("sojourn.jobs") / "lua"
_LEASE = Script.load(_LUA, "lease")
_RELEASE = Script.load(_LUA, "release")
_KEPT = 7 * 86_400_000
"""Milliseconds for which a job that was stopped can be continued."""


class Lease:
    """A job, as one run has it.

    Args:
        engine: where calls go.
        key: of the job.
        what: the job with its settings: with others, it begins anew.
        seconds: how long another run waits after this one was killed.
    """

    def __init__(self, engine: Engine, key: str, what: str, seconds: float) -> None:
        self._engine = engine
        self._key = key
        self._what = what
        self._seconds = seconds
        self._owner = new_operation_id()
        self._renewed = 0.0

    async def take(self) -> dict[str, str]:
        """Take the job, and read how far it is. It waits for the lease of a run that was killed.

        Raises:
            Conflict: another run has it, and is alive.
        """
        found = await self._renew({})
        if not isinstance(found, dict):
            await asyncio.sleep(found)
            found = await self._renew({})
        if not isinstance(found, dict):
            raise Conflict(
                f"Another run of this job, which has {self._key}, is under way: wait for it, or "
                "stop it."
            )
        return found

    async def keep(self, place: Mapping[str, str | int] | None = None) -> None:
        """Keep the job, and write down how far it is. One round trip; none when both can wait.

        Raises:
            Conflict: another run has taken it, because this one was late.
        """
        if place is None and time.monotonic() < self._renewed + self._seconds / 3:
            return
        if isinstance(await self._renew(place or {}), float):
            raise Conflict(
                f"Another run of this job has taken {self._key}, because this one was late: leave "
                "it to that one."
            )

    async def release(self, *, done: bool) -> None:
        """Leave it: for good, or to a later run. One round trip."""
        await self._run(_RELEASE, self._owner, "1" if done else "")

    async def _renew(self, place: Mapping[str, str | int]) -> dict[str, str] | float:
        """The fields of the job; or the seconds for which another run has it."""
        started = time.monotonic()
        milliseconds = max(1, round(self._seconds * 1000))
        pairs = [word for pair in place.items() for word in pair]
        status, *reply = await self._run(
            _LEASE, self._owner, milliseconds, self._what, _KEPT, *pairs
        )
        if status == b"newer":
            raise refusal("The job", self._key, reply[0])
        if status == b"held":
            return float(reply[0]) / 1000 + 0.01
        self._renewed = started
        words = [word.decode(errors="replace") for word in reply[0]]
        return dict(zip(words[::2], words[1::2], strict=True))

    async def _run(self, script: Script, *args: str | int) -> Any:
        name = f"jobs.{script.name}"
        return await self._engine.run(Call(name, (self._key,), only, script=script, args=args))
