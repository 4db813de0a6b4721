"""Registration of users and apps in the indexes that list them."""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from typing import Any

from sojourn.calls.call import Call, only
from sojourn.engine.engine import Engine
from sojourn.errors import Unavailable
from sojourn.ids import AppName, UserId, UserKey
from sojourn.resilience.deadline import from_now, half_of_remaining
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.policy import Policy
from sojourn.sessions.replies import ms
from sojourn.sessions.scripts import load

log = logging.getLogger("sojourn.sessions")

REGISTER, REFRESH = (load(name) for name in ("register", "refresh"))

_AGAIN = 60.0
"""Seconds after which an active user is registered again: others may have evicted the index."""
_REMEMBERED = 10_000
"""Users whose registration a process remembers."""
_MONTH = 30 * 86_400


class IndexRegistry:
    """Registers users and apps of one deployment, over an engine."""

    def __init__(self, engine: Engine, keys: SessionRoomKeys, policy: Policy) -> None:
        self._engine = engine
        self._keys = keys
        self._policy = policy
        lives = (policy.session_ttl, policy.state_ttl)
        self._shared_life = None if None in lives else max(life for life in lives if life)
        self._known: OrderedDict[tuple[AppName, UserId], tuple[float, float, float]] = OrderedDict()
        self._losses = 0

    async def register(self, owner: UserKey, ttl: float | None) -> bool:
        """Register a user in its app's index, unless this process did so lately. One round trip.

        The node of a Cluster that has the index may be lost while the user's own is well. Then the
        user may be missing in lists until somebody touches one of its sessions (`keep_alive`), and
        half of the time is left for what comes next.

        Returns:
            whether it did so now.
        """
        due = self.registration(owner, ttl)
        if not due:
            return False
        replies = await self._engine.gather_calls(due, aside=len(due), by=self.register_by())
        failed = [reply for reply in replies if isinstance(reply, BaseException)]
        for error in failed:
            self.check_lost(error)
        if failed:
            return False
        self.registered(owner, ttl)
        return True

    def registration(self, owner: UserKey, ttl: float | None) -> list[Call[Any]]:
        """The calls that register a user; nothing if this process did so lately."""
        return self._registration(owner, ttl) if self._is_due(owner, ttl, time.monotonic()) else []

    def registered(self, owner: UserKey, ttl: float | None) -> None:
        """A user is in its app's index now."""
        self._remember(owner, ttl)
        self._refresh(owner)

    def register_by(self) -> float:
        """When that must have been done: in a Cluster, half of the time is for what comes next."""
        if not self._engine.is_spread:
            return math.inf
        return min(half_of_remaining(), from_now(self._engine.timeout / 2))

    def check_lost(self, error: BaseException) -> None:
        """Raise why a user was not registered, unless the node of the index alone is lost."""
        if not (self._engine.is_spread and isinstance(error, Unavailable)):
            raise error
        log.warning("A user is not in the index of its app until its next touch: %s", error)

    def register_again(self, owner: UserKey, ttl: float | None) -> None:
        """Register a user with a new session: others may have forgotten or evicted it since.

        Nobody waits for it.
        """
        due, lasting, _ = self._known.get(owner, (0.0, 0.0, 0.0))
        self._known[owner] = (due, lasting, time.monotonic() + _AGAIN)
        for call in self._registration(owner, ttl):
            self._engine.send_nowait(call, lost=lambda: self._known.pop(owner, None))

    async def unregister(self, owner: UserKey) -> None:
        """Remove a user from its app's index. One round trip."""
        self._known.pop(owner, None)
        index = self._keys.users_of(owner)
        await self._engine.run(
            Call(
                "sessions.unregister",
                (index,),
                only,
                commands=[("ZREM", index, owner.user)],
                allow_wrong_type=True,  # what is not an index names nobody
            )
        )

    async def register_only(self, owner: UserKey, ttl: float | None) -> None:
        """As `register`, but what the user shares with others does not live for longer."""
        if self._is_due(owner, ttl, time.monotonic()):
            await self._engine.run_all(self._registration(owner, ttl))
            self._remember(owner, ttl)

    def keep_alive(self, owner: UserKey, ttl: float | None) -> None:
        """Once in a while, lengthen what the user shares with others; nobody waits for it.

        Once a minute its entries in the indexes are written again, should these have been evicted.

        Args:
            owner: the user.
            ttl: seconds that the session at hand lives; None for ever.
        """
        now = time.monotonic()
        due = self._is_due(owner, ttl, now)
        if not due and self._known[owner][2] >= now:
            return
        if not due:
            self.register_again(owner, ttl)
            return
        self._remember(owner, ttl)
        for call in self._registration(owner, ttl):
            self._engine.send_nowait(call, lost=lambda: self._known.pop(owner, None))
        self._refresh(owner)

    def _refresh(self, owner: UserKey) -> None:
        lifetime = ms(self._policy.state_ttl)
        for key in (self._keys.user(owner).state, self._keys.app_state(owner.app)):
            self._engine.send_nowait(
                Call("sessions.refresh", (key,), only, script=REFRESH, args=(lifetime,))
            )

    def _is_due(self, owner: tuple[AppName, UserId], ttl: float | None, now: float) -> bool:
        """Not registered lately, not for long enough, or the server may have lost it since."""
        if self._losses != self._engine.tally.broken:
            self._losses = self._engine.tally.broken
            self._known.clear()
        due, lasting, _ = self._known.get(owner, (0.0, 0.0, 0.0))
        return due < now or (lasting < math.inf and lasting < self._lasting(ttl))

    def _remember(self, owner: UserKey, ttl: float | None) -> None:
        """Remember it for a thirtieth of the shared lifetime, a day by default."""
        now = time.monotonic()
        due = now + (self._policy.state_ttl or _MONTH) / 30
        self._known[owner] = (due, self._lasting(ttl), now + _AGAIN)
        self._known.move_to_end(owner)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _lasting(self, ttl: float | None) -> float:
        """Seconds that outlive a session, however its life is lengthened until the next time."""
        if ttl is None or self._shared_life is None:
            return math.inf
        return 2 * max(ttl, self._shared_life)

    def _registration(self, owner: UserKey, ttl: float | None) -> list[Call[Any]]:
        lasting = self._lasting(ttl)
        until = "" if lasting == math.inf else ms(lasting)
        return [
            Call("sessions.register", (index,), only, script=REGISTER, args=(until, name))
            for index, name in (
                (self._keys.apps(), owner.app),
                (self._keys.users_of(owner), owner.user),
            )
        ]
