"""Delete all that is kept of a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.ids import AppName
from sojourn.memory.model import Kind, ScopeKey

if TYPE_CHECKING:
    from sojourn.memory.inmemory import InMemoryMemory
    from sojourn.memory.redis import RedisMemory

SCRIPT = Script.beside(__name__)


class ForgetScopes(Operation[int], frozen=True):
    """Delete all that is kept of a name; returns how many entries there were.

    Attributes:
        app: of which application.
        name: a user's, an agent's or a category's.
        kinds: of which kinds.
    """

    app: AppName
    name: str
    kinds: Sequence[Kind]

    async def on_server(self, server: RedisMemory) -> int:
        """A round trip for each 1,000 keys of the server, two for each 500 entries, and some."""
        keys, count = server.keys, 0
        heads: set[str] = set()
        for kind in self.kinds:
            scope = ScopeKey(self.app, kind, self.name)
            ours = keys.memory(*scope)
            heads.add(ours.head)
            done = 0
            while not done:
                indexes = (ours.names, ours.expiry, ours.changes)
                some: Call[list[list[bytes] | Exception]] = Call(
                    name="memory.index",
                    keys=indexes,
                    read=list,
                    commands=[("ZRANGE", index, 0, 149) for index in indexes],
                    allow_wrong_type=True,
                )
                listed = await server.engine.run(some)
                names = list({name for each in listed if isinstance(each, list) for name in each})
                texts = [name.decode(errors="replace") for name in names]
                call: Call[list[int]] = Call(
                    name="memory.forget",
                    keys=(*ours, *(keys.remembered(ours, each) for each in texts)),
                    read=only,
                    script=SCRIPT,
                    args=names,
                )
                done, many = await server.engine.run(call)
                count += many
        await server.engine.settle()
        for kind in self.kinds:
            await server.unregister(ScopeKey(self.app, kind, self.name))
        found = await server.find(keys.memory_by(self.app, self.name))
        lost = [key for key in found if key[: key.index("}") + 1] in heads]
        await server.unlink(lost)
        return count + sum(":entry:" in key for key in lost)

    async def in_memory(self, memory: InMemoryMemory) -> int:
        """As `Operation`."""
        now, count = memory.now(), 0
        for kind in self.kinds:
            ours = memory.scopes.pop(ScopeKey(self.app, kind, self.name), None)
            count += sum(ours.row(key, now) is not None for key in ours.names) if ours else 0
        return count
