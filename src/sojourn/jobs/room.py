"""Jobs as a room of a store: their keys, and the format that a deployment writes."""

from __future__ import annotations

from importlib import import_module

from sojourn.calls.call import Call, only
from sojourn.calls.room import OpenRoom, Room, RoomContext
from sojourn.ids import UserKey
from sojourn.jobs.format import DeploymentFormat
from sojourn.jobs.keys import JobRoomKeys


def _open(at: RoomContext) -> OpenRoom:
    engine, keys = at.engine, JobRoomKeys(at.options.namespace)

    async def forget(owner: UserKey) -> int:
        """Forget a job about a user that was stopped: its name is theirs."""
        if engine is None:
            return 0
        key = keys.job("reseal", owner)
        call: Call[int] = Call("jobs.forget", (key,), only, commands=[("UNLINK", key)])
        return await engine.run(call)

    return OpenRoom(service=DeploymentFormat(engine, keys), forget={"jobs": forget})


ROOM = Room(
    name="jobs",
    keys=JobRoomKeys,
    open=_open,
    public=False,
    commands=lambda: import_module("sojourn.surfaces.cli.jobs"),
)
