"""Count the users and sessions of apps, as their indexes know them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sojourn.calls.call import Call
from sojourn.calls.operation import Operation
from sojourn.ids import AppName, SessionKey, UserKey
from sojourn.sessions.keys import SHARDS

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions


class AppCounts(NamedTuple):
    """What an app has.

    Attributes:
        users: those that have a session or state, or had one lately.
        sessions: those that have not expired; of the last minute some may be missing, and some
            that were deleted in it may be counted.
    """

    users: int
    sessions: int


class CountApps(Operation[Sequence[AppCounts]], frozen=True):
    """How many users and sessions each of some apps has, in their order.

    Attributes:
        apps: which apps.
    """

    apps: Sequence[AppName]

    async def on_server(self, server: RedisSessions) -> Sequence[AppCounts]:
        """One round trip."""
        now = f"({time.time() * 1000:.0f}"
        calls: list[Call[int]] = []
        for app in self.apps:
            for shard in range(SHARDS):
                users, recent = server.keys.users(app, shard), server.keys.recent(app, shard)
                calls += [_count(index, now) for index in (users, recent.by_expiry)]
        counts: list[int] = await server.engine.run_all(calls)
        each = 2 * SHARDS
        parts = [counts[start : start + each] for start in range(0, len(counts), each)]
        return [AppCounts(sum(part[::2]), sum(part[1::2])) for part in parts]

    async def in_memory(self, memory: InMemorySessions) -> Sequence[AppCounts]:
        """As `Operation`."""
        alive: list[SessionKey | UserKey] = [
            key for key in list(memory.sessions) if memory.alive(key) is not None
        ]
        sessions = Counter(key.app for key in alive)
        shared = [of for of in list(memory.shared_state) if memory.values(of)]
        alive += [of for of in shared if isinstance(of, UserKey)]
        users = Counter(app for app, _ in {(key.app, key.user) for key in alive})
        return [AppCounts(users[app], sessions[app]) for app in self.apps]


def _count(index: str, now: str) -> Call[int]:
    """A call that counts what has not expired; a key of another type has none."""

    def read(replies: list[Any]) -> int:
        return 0 if isinstance(replies[0], Exception) else int(replies[0])

    return Call(
        *("sessions.count_app", (index,), read, [("ZCOUNT", index, now, "+inf")]),
        allow_wrong_type=True,
    )
