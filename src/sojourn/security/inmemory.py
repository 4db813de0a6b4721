"""The in-memory store of the guard."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from sojourn.ids import AppName, SessionId, SessionKey, UserKey
from sojourn.security.store import OWNERS, Totals, owner_digest, session_digest

_NOBODY = frozenset[bytes]()
_MOST = 100_000
"""Of owners, and of flagged sessions of an app: what is older falls out."""


class InMemorySecurity:
    """A `SecurityStore` for `memory://`.

    Args:
        ttl: seconds that an owner is remembered; None for ever.
        clock: seconds.
    """

    def __init__(self, ttl: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = float("inf") if ttl is None else ttl
        self._clock = clock
        self._owners: OrderedDict[tuple[str, str], tuple[frozenset[bytes], float]] = OrderedDict()
        self._counts: dict[str, Counter[str]] = {}
        self._flagged: dict[str, OrderedDict[str, None]] = {}

    async def claim(self, key: SessionKey) -> None:
        """Remember whose session this is."""
        place = key.app, key.session
        owners, digest = await self.owners_of(*place), owner_digest(key)
        if digest in owners or len(owners) == OWNERS:
            return
        self._owners.pop(place, None)
        self._owners[place] = owners | {digest}, self._clock() + self._ttl
        while len(self._owners) > _MOST:
            self._owners.popitem(last=False)

    async def owners_of(self, app: AppName, session: SessionId) -> frozenset[bytes]:
        """The digests of whose session it is or was."""
        owners, until = self._owners.get((app, session), (_NOBODY, 0.0))
        return owners if self._clock() < until else _NOBODY

    async def count(self, app: AppName, what: str, flagged: SessionId | None) -> None:
        """Count a decision."""
        self._counts.setdefault(app, Counter())[what] += 1
        if flagged is None:
            return
        sessions = self._flagged.setdefault(app, OrderedDict())
        sessions[session_digest(app, flagged)] = None
        while len(sessions) > _MOST:
            sessions.popitem(last=False)

    async def forget(self, owner: UserKey) -> int:
        """Forget which ids are a user's."""
        forgotten = 0
        for (app, session), (owners, until) in list(self._owners.items()):
            digest = owner_digest(SessionKey(*owner, SessionId(session)))
            if app == owner.app and digest in owners:
                forgotten += 1
                self._owners[app, session] = owners - {digest}, until
                if len(owners) == 1:
                    del self._owners[app, session]
        return forgotten

    async def totals(self, app: AppName) -> Totals:
        """What was counted."""
        return Totals(dict(self._counts.get(app, {})), len(self._flagged.get(app, ())))
