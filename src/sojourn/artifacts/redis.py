"""Artifact store on a server. Versions are uploaded in chunks; one script makes them visible."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from sojourn.artifacts import refusals
from sojourn.artifacts.keys import ArtifactRoomKeys
from sojourn.artifacts.model import Owner
from sojourn.artifacts.records import data_keys
from sojourn.calls.call import Argument, Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found, scan, unlink
from sojourn.errors import Unavailable
from sojourn.ids import SessionKey, UserKey

R = TypeVar("R")

_TRIES = 8
"""How often a write is adapted to what others do to the same artifact meanwhile."""


class RedisArtifacts:
    """The artifacts of one deployment, over an engine. Its attributes are for operations.

    Args:
        engine: where calls go.
        keys: builds the keys.
        ttl: seconds that an artifact lives after its last touch; None for ever.
    """

    def __init__(self, engine: Engine, keys: ArtifactRoomKeys, ttl: float | None) -> None:
        self.engine = engine
        self.keys = keys
        self.ttl = "" if ttl is None else str(math.ceil(ttl * 1000))

    def run(self, operation: Operation[R]) -> Coroutine[Any, Any, R]:
        """As `RoomStore`."""
        return operation.on_server(self)

    async def script(
        self,
        script: Script,
        keys: Sequence[str],
        *args: Argument,
        of_versions: Sequence[str] = (),
        **options: Any,
    ) -> list[bytes]:
        """Run a script of one artifact. One round trip, and one more as often as it asks for keys.

        Args:
            script: which one.
            keys: the first is the artifact's.
            args: the first is the artifact's name.
            of_versions: starts of the keys that a script asks for: the names of data follow.
            options: of the call.

        Returns:
            its reply, which is none of those that are errors.

        Raises:
            CorruptRecord: the artifact cannot be read, or was lost.
            NewerFormat: a newer version of Sojourn wrote it.
            Unavailable: others saved it all the time.
        """
        call: Call[list[bytes]] = Call(
            f"artifacts.{script.name}", keys, only, script=script, args=args, **options
        )
        for _ in range(_TRIES):
            reply = await self.engine.run(call)
            status = reply[0]
            if status in refusals.UNUSABLE:
                raise refusals.unusable(keys[0], *reply)
            if status != b"keys":
                return reply
            given = (*keys, *data_keys(of_versions, reply[1:]))
            call = msgspec.structs.replace(call, keys=given)
        raise Unavailable(
            f"Others save the artifact {args[0]!r} all the time, so {script.name} did nothing: "
            "stop them, or try again."
        )

    async def keys_of(self, user: UserKey) -> list[tuple[str, str]]:
        """All keys of a user's artifacts, each with its kind."""
        keys = await found(self.engine, self.keys.artifacts_by(user))
        return [(key, kind.name) for key in keys if (kind := self.keys.kind_of(key))]

    async def unlink(self, keys: Sequence[str]) -> None:
        """Delete keys."""
        await unlink(self.engine, keys)

    async def every_owner(self) -> AsyncIterator[Owner]:
        """All owners that have an index."""
        async for key in scan(self.engine, self.keys.pattern("artifacts")):
            try:
                app, user, *session = self.keys.named(key)
                yield SessionKey.of(app, user, *session) if session else UserKey.of(app, user)
            except ValueError:  # a key of another program
                continue
