"""Jobs as a room of a store: their keys, and the format that a deployment writes."""

from __future__ import annotations

from importlib import import_module

from sojourn.calls.room import OpenRoom, Room, RoomContext
from sojourn.jobs.format import DeploymentFormat
from sojourn.jobs.keys import JobRoomKeys


def _open(at: RoomContext) -> OpenRoom:
    return OpenRoom(service=DeploymentFormat(at.engine, JobRoomKeys(at.options.namespace)))


ROOM = Room(
    name="jobs",
    keys=JobRoomKeys,
    open=_open,
    public=False,
    commands=lambda: import_module("sojourn.surfaces.cli.jobs"),
)
