"""Show a thread that was staged, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from sojourn.calls.call import Script
from sojourn.calls.operation import Operation
from sojourn.checkpoints.model import ThreadKey

if TYPE_CHECKING:
    from sojourn.checkpoints.inmemory import InMemoryCheckpoints
    from sojourn.checkpoints.redis import RedisCheckpoints

_PUBLISH = Script.beside(__name__)

Published: TypeAlias = Literal["ok", "exists", "incomplete", "expired"]
"""What became of a staged thread; but for the first, nothing was written."""

STAGED = 3600.0
"""Seconds that a staged thread waits for its next part."""


class PublishThread(Operation[Published], frozen=True):
    """Show the staged parts of a thread.

    Attributes:
        key: which thread.
        stage: the name of its parts.
        expires: when it expires, seconds since the epoch; None for never.
        created: seconds since the epoch; None for when it was staged.
        updated: the same; None for now.
        operation_id: repeated with the same id it takes effect once.
    """

    key: ThreadKey
    stage: str
    expires: float | None
    created: float | None
    updated: float | None
    operation_id: str

    async def on_server(self, server: RedisCheckpoints) -> Published:
        """One round trip."""
        (status,) = await server.script(
            _PUBLISH,
            server.keys.thread(self.key),
            *(self.key.thread, self.operation_id),
            "" if self.expires is None else round(self.expires * 1000),
            *("" if each is None else f"{each:.6f}" for each in (self.created, self.updated)),
            more=server.keys.thread(self.key, self.stage)[:6],
            operation_id=self.operation_id,
        )
        return _STATUS[status]

    async def in_memory(self, memory: InMemoryCheckpoints) -> Published:
        """As `Operation`."""
        operation = ("write", self.key, self.operation_id)
        if operation in memory.done:
            return "ok"
        if self.expires is not None and self.expires <= memory.now():
            return "expired"
        if memory.alive(self.key) is not None:
            return "exists"
        found = memory.staged.pop((self.key, self.stage), None)
        if found is None:
            return "incomplete"
        found.expires = self.expires
        found.created = found.created if self.created is None else self.created
        found.updated = memory.now() if self.updated is None else self.updated
        memory.threads[self.key] = found
        memory.remember(operation)
        return "ok"


_STATUS: dict[bytes, Published] = {
    b"ok": "ok",
    b"exists": "exists",
    b"incomplete": "incomplete",
    b"expired": "expired",
}
