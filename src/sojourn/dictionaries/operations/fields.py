"""Read and change the fields of an app's dictionaries. Each change may be repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from sojourn.calls.call import Call, Command, only
from sojourn.calls.operation import Operation
from sojourn.ids import new_operation_id

if TYPE_CHECKING:
    from sojourn.dictionaries.inmemory import InMemoryDictionaries
    from sojourn.dictionaries.redis import RedisDictionaries


class ReadDictionaryFields(Operation[dict[str, bytes]], frozen=True):
    """Fields of an app's dictionaries; those that are not there are left out.

    Attributes:
        app: whose.
        names: of the fields; None for all.
    """

    app: str
    names: Sequence[str] | None = None

    async def on_server(self, server: RedisDictionaries) -> dict[str, bytes]:
        """One round trip."""
        key, names = server.keys.dictionary(self.app), self.names
        command: Command = ("HGETALL", key) if names is None else ("HMGET", key, *names)
        call: Call[Any] = Call("dictionaries.read", (key,), only, commands=[command])
        reply: list[bytes | None] = await server.engine.run(call)
        if names is None:
            fields = cast("list[bytes]", reply)
            pairs = zip(fields[::2], fields[1::2], strict=True)
            return {name.decode(errors="replace"): value for name, value in pairs}
        found = zip(names, reply, strict=True)
        return {name: value for name, value in found if value is not None}

    async def in_memory(self, memory: InMemoryDictionaries) -> dict[str, bytes]:
        """As `Operation`."""
        fields = memory.records.get(self.app, {})
        names = fields if self.names is None else self.names
        return {name: fields[name] for name in names if name in fields}


class SetDictionaryFields(Operation[None], frozen=True):
    """Set fields of an app's dictionaries.

    Attributes:
        app: whose.
        fields: what to set.
    """

    app: str
    fields: Mapping[str, bytes]

    async def on_server(self, server: RedisDictionaries) -> None:
        """One round trip."""
        key = server.keys.dictionary(self.app)
        command: Command = ("HSET", key, *(part for pair in self.fields.items() for part in pair))
        await server.engine.run(_change("dictionaries.set", key, command))

    async def in_memory(self, memory: InMemoryDictionaries) -> None:
        """As `Operation`."""
        memory.records.setdefault(self.app, {}).update(self.fields)


class RemoveDictionaryFields(Operation[None], frozen=True):
    """Remove fields of an app's dictionaries.

    Attributes:
        app: whose.
        names: of the fields.
    """

    app: str
    names: Sequence[str]

    async def on_server(self, server: RedisDictionaries) -> None:
        """One round trip."""
        key = server.keys.dictionary(self.app)
        await server.engine.run(_change("dictionaries.remove", key, ("HDEL", key, *self.names)))

    async def in_memory(self, memory: InMemoryDictionaries) -> None:
        """As `Operation`."""
        fields = memory.records.get(self.app, {})
        for name in self.names:
            fields.pop(name, None)


def _change(name: str, key: str, command: Command) -> Call[Any]:
    return Call(name, (key,), only, commands=[command], operation_id=new_operation_id())
