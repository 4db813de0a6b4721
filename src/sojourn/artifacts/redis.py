"""Artifact store on a server. Versions are uploaded in chunks; one script makes them visible."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from sojourn.artifacts import refusals
from sojourn.artifacts.keys import ArtifactRoomKeys
from sojourn.artifacts.model import Owner
from sojourn.artifacts.records import data_keys
from sojourn.calls.call import Argument, Call, Script, only
from sojourn.engine.engine import Engine
from sojourn.engine.store import RedisStore
from sojourn.errors import Unavailable
from sojourn.ids import SessionKey, UserKey

_TRIES = 8
"""How often a write is adapted to what others do to the same artifact meanwhile."""


class RedisArtifacts(RedisStore[ArtifactRoomKeys]):
    """The artifacts of one deployment, over an engine. Its attributes are for operations.

    Args:
        engine: where calls go.
        keys: builds the keys.
        ttl: seconds that an artifact lives after its last touch; None for ever.
    """

    def __init__(self, engine: Engine, keys: ArtifactRoomKeys, ttl: float | None) -> None:
        super().__init__(engine, keys)
        self.ttl = "" if ttl is None else str(math.ceil(ttl * 1000))

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

    async def every_owner(self) -> AsyncIterator[Owner]:
        """All owners that have an index."""
        async for key, _ in self.scan(self.keys.pattern("artifacts")):
            try:
                app, user, *session = self.keys.named(key)
                yield SessionKey.of(app, user, *session) if session else UserKey.of(app, user)
            except ValueError:  # a key of another program
                continue
