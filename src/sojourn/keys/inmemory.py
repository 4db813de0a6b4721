"""Store of data keys in this process: the same contract and answers as on a server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import sha1

from sojourn.calls.operation import Operation, R
from sojourn.keys.keys import name_of
from sojourn.keys.model import KeyOwner, StoredKeys, stored_keys
from sojourn.resilience.atomic import atomic

REMEMBERED = 30 * 86_400.0
"""Seconds for which it is known that keys were destroyed, and that keys without records stay."""


def mark_of(owner: KeyOwner) -> str:
    """A mark that names nobody: a salt of its own, and a hash that only who asks can make."""
    salt = secrets.token_hex(16)
    return f"{salt}:{_hash(salt, owner)}"


def is_mark_of(mark: str, owner: KeyOwner) -> bool:
    """Whether a mark is an owner's."""
    salt, _, digest = mark.partition(":")
    return digest == _hash(salt, owner)


def _hash(salt: str, owner: KeyOwner) -> str:
    text = f"{salt}:{name_of(owner)}".encode()
    return sha1(text, usedforsecurity=False).hexdigest()  # as scripts can


@atomic
class InMemoryDataKeys:
    """Data keys in this process, gone with it. Public attributes are for operations.

    Args:
        clock: seconds since the epoch.

    Attributes:
        records: the fields that a hash on a server would have, by owner.
        destroyed: marks, and when they were made, in milliseconds; negative when the owner was
            readmitted since.
        changed: whether an operation has changed something.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.records: dict[KeyOwner, dict[bytes, bytes]] = {}
        self.destroyed: dict[str, int] = {}
        self.changed = False

    async def run(self, operation: Operation[R]) -> R:
        """As `RoomStore`."""
        return await operation.in_memory(self)

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(self._clock() * 1000)

    def apps_of(self, user: str) -> set[str]:
        """The apps in which a user has data keys."""
        return {owner.app for owner in self.records if owner.user == user}

    def erased(self, owner: KeyOwner) -> int:
        """When keys were destroyed, in milliseconds; 0 if they were not."""
        since = self.now() - REMEMBERED * 1000
        times = (self.destroyed[mark] for mark in self.marks_of(owner))
        return max((at for at in times if at > max(0, since)), default=0)

    def marks_of(self, owner: KeyOwner) -> list[str]:
        """The marks of an owner."""
        return [mark for mark in self.destroyed if is_mark_of(mark, owner)]

    def read(self, owner: KeyOwner) -> StoredKeys:
        """The keys of an owner."""
        fields = self.records.get(owner, {})
        return stored_keys(f"keys:{{{name_of(owner)}}}", self.erased(owner), fields)
