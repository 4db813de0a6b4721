"""Keys of memory entries, of the scopes that they share, and of the index of scopes."""

from __future__ import annotations

from typing import NamedTuple

from sojourn.calls.keys import (
    ID,
    Endless,
    KeyKind,
    Keys,
    expiry_of_tag,
    shard_of,
)
from sojourn.ids import escape
from sojourn.memory.model import OF_USERS

SHARDS = 16
"""Over how many slots the names of those who have memory entries are spread."""

_SCOPE = rf"memory:\{{{ID}:{ID}:{ID}\}}"
_BY_EXPIRY = Endless.INFINITE_SCORE, expiry_of_tag

KINDS = (
    KeyKind("memories", rf"memories:\{{{ID}:{ID}#\d+\}}(?::expiry)?", *_BY_EXPIRY),
    KeyKind("memory", _SCOPE, *_BY_EXPIRY, record="hash"),
    KeyKind("memoryindex", rf"{_SCOPE}:(?:names|expiry|changes|deleted)", *_BY_EXPIRY),
    KeyKind("memoryops", rf"{_SCOPE}:ops"),
    KeyKind("remembered", rf"{_SCOPE}:entry:{ID}", Endless.EXPIRES_FIELD, record="hash"),
)


class MemoryKeys(NamedTuple):
    """The keys that the entries of one memory scope share."""

    head: str
    names: str
    expiry: str
    changes: str
    deleted: str
    operations: str


class MemoryRoomKeys(Keys):
    """Builds the keys of this room."""

    kinds = KINDS

    def memory(self, app: str, kind: str, name: str) -> MemoryKeys:
        """The data that the entries of a memory scope share."""
        head = f"{self.start}memory:{{{escape(app)}:{escape(kind)}:{escape(name)}}}"
        parts = ("names", "expiry", "changes", "deleted", "ops")
        return MemoryKeys(head, *(f"{head}:{part}" for part in parts))

    def remembered(self, of: MemoryKeys, key: str) -> str:
        """An entry of a memory scope."""
        return f"{of.head}:entry:{escape(key)}"

    def memories(self, app: str, kind: str, shard: int) -> tuple[str, str]:
        """One shard of those of a kind who have memory entries: by name, and by expiry."""
        names = self.of_shard("memories", f"{escape(app)}:{escape(kind)}", shard)
        return names, f"{names}:expiry"

    def memories_of(self, app: str, kind: str, name: str) -> tuple[str, str]:
        """The shard that lists this one."""
        return self.memories(app, kind, shard_of(name, SHARDS))

    def memories_by(self, name: str) -> str:
        """A glob of the shards of any app and kind that may list a name."""
        return self.of_shard("memories", "*", shard_of(name, SHARDS))

    def app_of(self, key: str, user: str) -> str | None:
        """As in other rooms; of the kinds of memory that are a user's."""
        tag = self.tag_of(key)
        return tag[0] if tag[-1] == user and len(tag) > 2 and tag[1] in OF_USERS else None  # noqa: PLR2004 - app, kind and name

    def memory_by(self, app: str, name: str) -> str:
        """A glob of all keys of the memory of one name; of agents and categories, too."""
        return f"{self.start}memory:{{{escape(app)}:*:{escape(name)}}}*"
