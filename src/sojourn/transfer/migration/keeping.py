"""Puts memory, results and the state of users and apps where they belong here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sojourn.cache.store import LONGEST
from sojourn.client import Sojourn
from sojourn.errors import Conflict, CorruptRecord, InvalidInput
from sojourn.ids import UserKey, user_key
from sojourn.memory import MemoryScope
from sojourn.sessions.scope import APP, USER, split
from sojourn.transfer.migration.comparing import canonical
from sojourn.transfer.migration.lifetimes import SourceLifetimes, is_over, remaining
from sojourn.transfer.migration.model import CachedResult, Outcome, Remembered, SourceState
from sojourn.transfer.migration.parsing import moment
from sojourn.transfer.migration.placing import Placed

_CARRIER = 60.0
"""Seconds that a session lives whose only purpose is to bring state along."""
_NOTHING = object()


class Keeper:
    """Puts memory and results into a store.

    Args:
        store: where to.
        lifetimes: the server's clock.
        dry_run: only look.
    """

    def __init__(self, store: Sojourn, lifetimes: SourceLifetimes, *, dry_run: bool) -> None:
        self._store = store
        self._lifetimes = lifetimes
        self._dry_run = dry_run

    async def remember(self, found: Remembered) -> Placed:
        """Put an entry of a memory here. Two round trips, or one if it is here."""
        if is_over(found.expires):
            return Placed(Outcome.EXPIRED)
        try:
            return await self._remember(found)
        except (InvalidInput, Conflict, CorruptRecord) as error:
            return Placed(Outcome.REFUSED, str(error))

    async def _remember(self, found: Remembered) -> Placed:
        scope: MemoryScope = getattr(self._store.memory, found.kind)(found.name, app=found.app)
        here = await scope.entry(found.key)
        version, outcome = 0, Outcome.WRITTEN
        if here is not None:
            there = (canonical(found.value), canonical(found.metadata), found.text)
            if there == (here.value, here.metadata, here.text):
                return Placed(Outcome.SAME)
            old, new = (moment(each.get("timestamp")) for each in (here.metadata, found.metadata))
            if old is None or new is None or new <= old:
                return Placed(Outcome.AHEAD)
            version, outcome = here.version, Outcome.CAUGHT_UP
        if not self._dry_run:
            await scope.put(
                found.key,
                found.value,
                text=found.text,
                metadata=found.metadata,
                ttl=remaining(found.expires),
                expected_version=version,
            )
        return Placed(outcome)

    async def cache(self, found: CachedResult) -> Placed:
        """Put a result into the cache. Two round trips, or one if there is one.

        It lives for 30 days at most.
        """
        if is_over(found.expires):
            return Placed(Outcome.EXPIRED)
        try:
            here = await self._store.cache.get(found.name, _NOTHING, stale=True)
            if here is not _NOTHING:
                same = canonical(found.value) == here
                return Placed(Outcome.SAME if same else Outcome.AHEAD)
            if not self._dry_run:
                left = remaining(found.expires)
                ttl = LONGEST if left is None else min(left, LONGEST)
                await self._store.cache.put(found.name, found.value, ttl=ttl)
        except (InvalidInput, Conflict, CorruptRecord) as error:
            return Placed(Outcome.REFUSED, str(error))
        return Placed(Outcome.WRITTEN)


class _Value(NamedTuple):
    value: Any
    at: float


class SharedStates:
    """The state of users and apps: gathered while a source is read, and put here at the end.

    What is here already stays, unless it can only come from this source: none of the user's
    sessions here has gone on or is another's.

    Args:
        store: where to.
        dry_run: only look.
    """

    def __init__(self, store: Sojourn, *, dry_run: bool) -> None:
        self._sessions = store.sessions
        self._admin = store.admin
        self._dry_run = dry_run
        self._values: dict[tuple[str, str | None], dict[str, _Value]] = {}

    def add(self, found: SourceState) -> None:
        """Take note; of two values for one key the newer one counts."""
        values = self._values.setdefault((found.app, found.user), {})
        for name, value in found.values.items():
            if name not in values or values[name].at <= found.at:
                values[name] = _Value(value, found.at)

    @property
    def count(self) -> Mapping[tuple[str, str | None], int]:
        """How many keys each user and each app has."""
        return {whose: len(values) for whose, values in self._values.items()}

    async def place(
        self, theirs: Mapping[UserKey, int], moved: Iterable[UserKey]
    ) -> list[tuple[str, Placed]]:
        """Put it all here; afterwards there is none left to put.

        One round trip for a user, four for one whose state is not here.

        Args:
            theirs: how many sessions each user has at the source.
            moved: users whose sessions here have gone on.

        Returns:
            for each user and each app, its name and what became of it.
        """
        gone_on = set(moved)
        done: list[tuple[str, Placed]] = []
        for (app, user), values in self._values.items():
            where = f"state of app {app}" if user is None else f"state of user {user} of app {app}"
            wanted = {name: each.value for name, each in values.items()}
            try:
                placed = await self._place(app, user, wanted, theirs, gone_on)
            except (InvalidInput, Conflict, CorruptRecord) as error:
                placed = Placed(Outcome.REFUSED, str(error))
            done.append((where, placed))
        self._values.clear()
        return done

    async def _place(
        self,
        app: str,
        user: str | None,
        wanted: Mapping[str, Any],
        theirs: Mapping[UserKey, int],
        moved: set[UserKey],
    ) -> Placed:
        here = await self._state(app, user)
        missing = {name: value for name, value in wanted.items() if name not in here}
        other = {
            name: value
            for name, value in wanted.items()
            if name in here and canonical(value) != here[name]
        }
        if not missing and not other:
            return Placed(Outcome.SAME)
        if other and await self._is_theirs(app, user, theirs, moved):
            missing.update(other)
        if not missing:
            return Placed(Outcome.AHEAD)
        if not self._dry_run:
            await self._carry(app, user, missing, theirs)
        return Placed(Outcome.CAUGHT_UP if here else Outcome.WRITTEN)

    async def _state(self, app: str, user: str | None) -> Mapping[str, Any]:
        """What is here; an app's by way of one of its sessions."""
        if user is not None:
            return await self._sessions.user_state(app, user)
        page = await self._sessions.list(app, limit=1)
        return split(page.sessions[0].state).app if page.sessions else {}

    async def _is_theirs(
        self, app: str, user: str | None, theirs: Mapping[UserKey, int], moved: set[UserKey]
    ) -> bool:
        """Whether nobody but this source can have written what is here."""
        if user is not None:
            owner = user_key(app, user)
            known = await self._sessions.count(app, user) <= theirs.get(owner, 0)
            return owner not in moved and known
        if any(owner.app == app for owner in moved):
            return False
        cursor: str | None = None
        while True:
            page = await self._admin.users(app, cursor=cursor)
            for name in page.names:
                if await self._sessions.count(app, name) > theirs.get(user_key(app, name), 0):
                    return False
            cursor = page.cursor
            if cursor is None:
                return True

    async def _carry(
        self,
        app: str,
        user: str | None,
        values: Mapping[str, Any],
        theirs: Mapping[UserKey, int],
    ) -> None:
        """Only a session can set what sessions share: one that is deleted at once."""
        prefix = APP if user is None else USER
        if user is None:
            user = next((owner.user for owner in theirs if owner.app == app), "")
        carrier = await self._sessions.create(
            app,
            user,
            state={prefix + name: value for name, value in values.items()},
            ttl=_CARRIER,
        )
        await self._sessions.delete(carrier.key, incarnation=carrier.incarnation)
