"""Data keys of users and apps: made once, unwrapped, and cached for a while."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from os import urandom
from time import monotonic
from typing import NamedTuple
from weakref import WeakKeyDictionary

from sojourn.calls.operation import RoomStore
from sojourn.codecs.codec import DataKeys
from sojourn.codecs.encryption import KEY_BYTES, DataKey, key_id
from sojourn.errors import (
    Erased,
    InvalidInput,
    OutcomeUnknown,
    SojournError,
    Tampered,
    Unavailable,
    Undecodable,
)
from sojourn.keys.model import KeyOwner, StoredKey, StoredKeys, value_of
from sojourn.keys.operations.reads import ReadDataKeys
from sojourn.keys.operations.writes import AddDataKey, RestoreDataKey
from sojourn.keys.ring import KeyRing
from sojourn.process_bound import stays_here, tell_after_fork
from sojourn.resilience.deadline import end_of_operation, until

log = logging.getLogger("sojourn.keys")

_OWNERS = 10_000
"""How many owners' keys are cached; those read first go first."""
LONGEST_CACHE = 86_400.0
"""Seconds for which no process uses a key without asking: a sweep counts on it."""


class _Cached(NamedTuple):
    """Keys that were unwrapped, and what is known of them.

    Attributes:
        asked: when their store was asked.
        keys: the keys.
        active: the one that seals, as it is stored; None if there is none.
        seals: whether one would be made by who wants to write.
    """

    asked: float
    keys: DataKeys
    active: StoredKey | None = None
    seals: bool = True


@stays_here("its URL, and open the store there", holds="keys")
class DataKeySource:
    """The data keys of a store, as a `KeySource`.

    Args:
        store: where wrapped keys are.
        ring: gives the master keys.
        seconds: for which an unwrapped key is used; then the store is asked again.

    Raises:
        InvalidInput: keys would be cached for longer than a day.
    """

    def __init__(
        self, store: RoomStore, ring: Callable[[], Awaitable[KeyRing]], seconds: float
    ) -> None:
        if seconds > LONGEST_CACHE:
            raise InvalidInput(
                f"key_cache_seconds is {LONGEST_CACHE:,.0f} at most, not {seconds:,}: an erasure "
                "reaches every process within that time."
            )
        self._store = store
        self._ring = ring
        self._seconds = seconds
        self._cached: OrderedDict[KeyOwner, _Cached] = OrderedDict()
        self._locks: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[KeyOwner, tuple[asyncio.Lock, list[None]]]
        ] = WeakKeyDictionary()
        tell_after_fork(self)

    def after_fork(self) -> None:
        """Forget locks that tasks of the parent hold."""
        self._locks = WeakKeyDictionary()

    async def keys_of(
        self, app: str, user: str | None, wanted: Collection[str] = (), *, create: bool = False
    ) -> DataKeys:
        """The keys of a user, or of an app for records of no user.

        No round trip while they are cached; else one, or two when the first key is made. Those who
        ask at the same time share it. With a ring that has no active master key, who wants to write
        asks each time, as another process may have made the first key.

        Args:
            app: whose app.
            user: whose; None for the app's own.
            wanted: ids of keys that are needed to open something. Those that cannot be had are in
                `errors`.
            create: whether to make one where there is none, if the ring has an active master key.

        Raises:
            Unavailable: they are not cached, and their store or the master keys cannot be reached.
            Erased: with `create`: they were destroyed.
            KeyMissing: with `create`: the active one is wrapped by a master key that this process
                does not have.
            Tampered: with `create`: the active one was changed.
        """
        owner, asked = KeyOwner(app, user), monotonic()
        if (keys := self._known(owner, asked, wanted, create=create)) is not None:
            return keys
        async with self._turn(owner):
            if (keys := self._known(owner, asked, wanted, create=create)) is not None:
                return keys
            cached = self._cached.get(owner)  # read since this was asked, it says what there is
            wants_first = create and cached is not None and cached.seals and not cached.keys.active
            if cached is None or cached.asked < asked or wants_first:
                try:
                    cached = await self._fetch(owner, create=create)
                except Unavailable:  # there was no key, and in an outage nobody makes one
                    cached = self._cached.get(owner)
                    if cached is None or cached.seals or wanted:
                        raise
        return _with_errors(cached.keys, wanted, owner)

    def _known(
        self, owner: KeyOwner, now: float, wanted: Collection[str], *, create: bool
    ) -> DataKeys | None:
        """The keys that are cached, if they are what is asked for."""
        cached = self._cached.get(owner)
        if cached is None or now - cached.asked >= self._seconds:
            return None
        keys = cached.keys
        if (create and keys.active is None) or not keys.by_id.keys() >= set(wanted):
            return None
        return keys

    def forget(self, owner: KeyOwner) -> None:
        """Use no cached key of an owner any more."""
        self._cached.pop(owner, None)

    async def _fetch(self, owner: KeyOwner, *, create: bool) -> _Cached:
        asked, ring = monotonic(), await self._ring()
        try:
            stored = await self._store.run(ReadDataKeys(owner, use=True))
            if (lost := self._lost(owner, stored, asked)) is not None:
                stored = await self._store.run(lost)
            if create and ring.active and not stored.active and not stored.erased:
                stored = await self.add(owner, ring, follows="")
        except SojournError:
            if asked - (self._cached.get(owner) or _NEVER).asked >= self._seconds:
                self._cached.pop(owner, None)
            raise
        if stored.erased:
            self._cached.pop(owner, None)
            if create:
                raise _erased(owner)
            return _Cached(asked, DataKeys(None, {}, {}, ring.migrating))
        found = _unwrapped(stored, owner, ring, create=create)
        active = stored.keys.get(stored.active)
        cached = _Cached(asked, found, active, bool(ring.active))
        self._cached[owner] = cached
        self._cached.move_to_end(owner)
        self._discard(asked)
        return cached

    def _discard(self, now: float) -> None:
        """Discard what is too old also for `_lost`, and what is too much."""
        while self._cached:
            owner, oldest = next(iter(self._cached.items()))
            if now - oldest.asked < 2 * self._seconds and len(self._cached) <= _OWNERS:
                break
            self._cached.pop(owner, None)

    def _lost(self, owner: KeyOwner, stored: StoredKeys, now: float) -> RestoreDataKey | None:
        """What restores the key that has sealed lately, if its store has lost it.

        A failover or a crash takes the last moments of a server with it. What was sealed may be
        elsewhere, and must not be lost with its key. A key that was destroyed leaves a mark, and
        none is dropped or swept while somebody may have used it for so short a time.
        """
        cached = self._cached.get(owner)
        if cached is None or cached.active is None or cached.keys.active is None or stored.erased:
            return None
        name = cached.keys.active.id
        if name in stored.keys or now - cached.asked >= 2 * self._seconds:
            return None
        log.warning("A data key was lost by its store, and is stored there again: %s", name)
        return RestoreDataKey(owner, name, cached.active.value)

    async def add(self, owner: KeyOwner, ring: KeyRing, *, follows: str) -> StoredKeys:
        """Make another data key the active one; what is stored then, by whomever.

        One round trip.

        Args:
            owner: whose.
            ring: its active key wraps it.
            follows: the id of the active one until now; empty for none. Another process may have
                been faster: then its key is used.

        Raises:
            Unavailable: it is not known whether it was stored.
        """
        secret = urandom(KEY_BYTES)
        name = key_id(secret)
        value = value_of(ring.wrap(secret, owner.bound(name)))
        try:
            return await self._store.run(AddDataKey(owner, name, value, follows))
        except OutcomeUnknown as error:  # of the key, not of what the caller wants to write
            raise Unavailable(
                "The data key could not be stored in time; nothing was written with it. Retry."
            ) from error

    @asynccontextmanager
    async def _turn(self, owner: KeyOwner) -> AsyncGenerator[None]:
        """Let one task after the other ask for the keys of an owner, each within its own time."""
        locks = self._locks.setdefault(asyncio.get_running_loop(), {})
        lock, users = locks.setdefault(owner, (asyncio.Lock(), []))
        users.append(None)
        try:
            try:
                async with until(end_of_operation() if lock.locked() else float("inf")):
                    await lock.acquire()
            except TimeoutError:
                raise Unavailable("The data keys could not be read in time. Retry.") from None
            try:
                yield
            finally:
                lock.release()
        finally:
            users.pop()
            if not users:
                locks.pop(owner, None)


_NEVER = _Cached(float("-inf"), DataKeys(None, {}))


def _unwrapped(stored: StoredKeys, owner: KeyOwner, ring: KeyRing, *, create: bool) -> DataKeys:
    keys: dict[str, DataKey] = {}
    errors: dict[str, SojournError] = {}
    for name, key in stored.keys.items():
        try:
            keys[name] = unwrapped(name, key, owner, ring)[1]
        except (Tampered, Undecodable) as error:
            errors[name] = error
    if create and stored.active in errors:
        raise errors[stored.active]
    return DataKeys(keys.get(stored.active), keys, errors, ring.migrating)


def unwrapped(name: str, key: StoredKey, owner: KeyOwner, ring: KeyRing) -> tuple[bytes, DataKey]:
    """A data key and its bytes.

    Raises:
        KeyMissing: the ring has not the master key.
        Tampered: it is not what was wrapped for this owner.
    """
    secret = ring.unwrap(key.wrapped, owner.bound(name))
    if len(secret) != KEY_BYTES or key_id(secret) != name:
        raise Tampered("A data key is not that of its id.", key="", raw=key.wrapped.data)
    return secret, DataKey(secret)


def _with_errors(keys: DataKeys, wanted: Collection[str], owner: KeyOwner) -> DataKeys:
    """The same, with an error for each key that the store does not have."""
    missing = [name for name in wanted if name not in keys.by_id and name not in keys.errors]
    if not missing:
        return keys
    errors: Mapping[str, SojournError] = {name: _erased(owner) for name in missing}
    return keys._replace(errors={**keys.errors, **errors})


def _erased(owner: KeyOwner) -> Erased:
    return Erased(
        f"The data key of {owner} was destroyed, by an erasure or after its records had been "
        "sealed with another one, so nobody can read what it has sealed; or this is not the key "
        "store that has it (key_store=)."
    )
