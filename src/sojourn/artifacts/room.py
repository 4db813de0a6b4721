"""Artifacts as a room of a store."""

from __future__ import annotations

import math
from importlib import import_module

from sojourn.artifacts.admin import ArtifactAdmin
from sojourn.artifacts.inmemory import InMemoryArtifacts
from sojourn.artifacts.keys import ArtifactRoomKeys
from sojourn.artifacts.recoding import ArtifactRecoding
from sojourn.artifacts.redis import RedisArtifacts
from sojourn.artifacts.service import Artifacts
from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import RoomStore
from sojourn.calls.room import OpenRoom, Room, RoomContext, at_once, nobodys


def _open(at: RoomContext) -> OpenRoom:
    options, timeout = at.options, math.inf
    inner: RoomStore
    recoding: ArtifactRecoding | None = None
    if at.engine is None:
        inner = files = InMemoryArtifacts(options.artifact_ttl)
        apps_of = at_once(files.apps_of)
    else:
        keys = ArtifactRoomKeys(options.namespace)
        inner = RedisArtifacts(at.engine, keys, options.artifact_ttl)
        recoding = ArtifactRecoding(at.engine, keys)
        apps_of, timeout = nobodys, options.operation_timeout
    store = CodedStore(inner, at.codec)
    artifacts = Artifacts(store, options.max_artifact_bytes, timeout)
    admin = ArtifactAdmin(store)
    return OpenRoom(
        service=artifacts,
        admin=admin,
        store=store,
        forget={"artifacts": lambda owner: admin.forget(*owner)},
        apps_of=apps_of,
        recoding=recoding,
        session_ended=artifacts.clear,
    )


ROOM = Room(
    name="artifacts",
    keys=ArtifactRoomKeys,
    open=_open,
    wraps=(Artifacts, ArtifactAdmin),
    commands=lambda: import_module("sojourn.surfaces.cli.artifacts"),
    handles={"artifacts": None},
    routes=lambda: import_module("sojourn.surfaces.http.artifacts").ROUTES,
)
