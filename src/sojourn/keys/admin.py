"""Key operations for operators: which there are, rotation, destruction, and a sweep."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TypeVar
from urllib.parse import unquote

from sojourn.calls.operation import RoomStore
from sojourn.errors import (
    ConfigurationError,
    Conflict,
    CorruptRecord,
    Erased,
    InvalidInput,
    Undecodable,
)
from sojourn.ids import parse_app, parse_user
from sojourn.keys.inmemory import REMEMBERED
from sojourn.keys.model import (
    DataKeyInfo,
    KeyOwner,
    KeySweep,
    MasterKeyUsage,
    Rewrapped,
    StoredKeys,
)
from sojourn.keys.operations.reads import ListKeyOwners, ReadDataKeys
from sojourn.keys.operations.writes import (
    DestroyDataKeys,
    DropDataKey,
    ReadmitOwner,
    RewrapDataKeys,
    SweepDataKeys,
)
from sojourn.keys.ring import KeyRing
from sojourn.keys.service import DataKeySource, unwrapped
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import gather_in_time

T = TypeVar("T")

_TOGETHER = 200
"""Owners whose keys are looked at, at the same time."""
_PARTS = re.compile("[:#]")

Progress = Callable[[int, int], object]
"""Told how many are done, and of how many."""
KeyNames = Callable[[], AsyncIterator[str]]
"""Gives the names of all keys of the server that hold records."""


@stays_here("its URL, and open the store there")
class KeyAdmin:
    """The calls of `store.admin.keys`.

    Every method may also raise `Unavailable` and its kin when no server answers in time.

    Args:
        store: where wrapped keys are.
        source: caches them in this process; None for a store without keys.
        ring: gives the master keys.
        settled: seconds after which every process uses a new data key.
        names: gives the names of all keys that hold records.
        longest: seconds that the longest-lived record lives; infinity if one lives for ever.
    """

    def __init__(
        self,
        store: RoomStore,
        source: DataKeySource | None,
        ring: Callable[[], Awaitable[KeyRing]],
        *,
        settled: float,
        names: KeyNames,
        longest: float,
    ) -> None:
        self._store = store
        self._source = source
        self._ring = ring
        self._settled = settled
        self._names = names
        self._longest = longest

    async def usage(self, *, limit: int | None = None) -> MasterKeyUsage:
        """How many data keys each master key wraps.

        A round trip for each 1,000 keys of the server, and for each 200 users and apps that have
        data keys.

        Args:
            limit: look at the keys of so many users and apps at most; None for all.

        Raises:
            ConfigurationError: the store was opened without keys.
        """
        ring = await self._ring()
        counts: Counter[str] = Counter(dict.fromkeys(ring.ids, 0))
        owners = (await self._store.run(ListKeyOwners()))[:limit]
        unreadable = 0
        for batch in _batches(owners):
            for found in await _each(self._read, batch):
                unreadable += found is None
                for key in found.keys.values() if found else ():
                    counts[key.wrapped.master] += 1
        missing = frozenset(name for name in counts if name not in ring)
        return MasterKeyUsage(
            ring.active, dict(counts), missing, len(owners), unreadable, ring.migrating
        )

    async def rotate(self, *, progress: Progress | None = None) -> Rewrapped:
        """Wrap all data keys by the active master key. No record is touched.

        Stopped half-way, or while others write, do it again: what is done stays done. First give
        the ring with the new key to all processes (`keys add`), then make it active everywhere
        (`keys activate`). A round trip for each 1,000 keys of the server, and two for each 200
        users and apps that have data keys.

        Args:
            progress: told how many of them are done, and how many there are.

        Raises:
            ConfigurationError: the store was opened without keys.
        """
        ring = await self._ring()
        owners = await self._store.run(ListKeyOwners())
        done = Rewrapped()
        for batch in _batches(owners):
            for each in await _each(lambda owner: self._rewrap(owner, ring), batch):
                done = done.plus(each)
            if progress is not None:
                progress(done.owners, len(owners))
        return done

    async def of(self, app: str, user: str | None) -> Sequence[DataKeyInfo]:
        """The data keys of a user, oldest first and the active one last. One round trip.

        Args:
            app: the application.
            user: the user; None for the app's own, for records of no user.

        Raises:
            InvalidId: they can name nobody.
            Erased: they were destroyed.
            CorruptRecord: they cannot be read.
        """
        owner = _owner(app, user)
        found = await self._store.run(ReadDataKeys(owner))
        if found.erased:
            raise Erased(f"The data keys of {owner} were destroyed.")
        made = [
            DataKeyInfo(name, key.wrapped.master, key.made / 1000, name == found.active)
            for name, key in found.keys.items()
        ]
        return sorted(made, key=lambda each: (each.active, each.made))

    async def new_data_key(self, app: str, user: str | None) -> str:
        """Make another data key the active one, as when the one before has leaked; its id.

        The one before opens what it has sealed, until that was sealed again (`sojourn reseal
        --user`) and it is dropped. Other processes write with it for `key_cache_seconds` yet. Two
        round trips.

        Args:
            app: the application.
            user: the user; None for the app's own.

        Raises:
            InvalidId: they can name nobody.
            Erased: they were destroyed.
            ConfigurationError: the store was opened without keys.
        """
        owner, source = _owner(app, user), self._sealing()
        ring, found = await self._ring(), await self._store.run(ReadDataKeys(owner, use=True))
        if not found.erased:
            found = await source.add(owner, ring, follows=found.active)
        source.forget(owner)
        if found.erased:
            raise Erased(f"The data keys of {owner} were destroyed: it gets no new one.")
        return found.active

    async def drop_data_key(self, app: str, user: str | None, id: str) -> bool:  # noqa: A002
        """Remove a data key that has no record any more; whether it was there. One round trip.

        What it has sealed is lost. Seal all of it again first.

        Args:
            app: the application.
            user: the user; None for the app's own.
            id: of the key.

        Raises:
            InvalidId: they can name nobody.
            Conflict: it is the active one, or the active one is too new: other processes may
                still write with this one. Wait for `key_cache_seconds`, seal again, then drop it.
        """
        owner = _owner(app, user)
        done = await self._store.run(DropDataKey(owner, id, self._settled))
        if done == "active":
            raise Conflict(f"The data key {id} is the active one of {owner}: make a new one first.")
        if done == "early":
            raise Conflict(
                f"The active data key of {owner} is not older than {self._settled:,.0f} s: other "
                f"processes may still write with {id}. Wait, seal again what they wrote, then drop "
                "it."
            )
        if self._source is not None:
            self._source.forget(owner)
        return done == "dropped"

    async def destroy(self, app: str, user: str | None) -> int:
        """Destroy the data keys of a user: nobody can read what they have sealed. One round trip.

        Other processes may use a cached one for `key_cache_seconds` yet. For 30 days the user gets
        no new ones: writes raise `Erased`. `store.admin.forget` calls this, and deletes the
        records, too.

        Args:
            app: the application.
            user: the user; None for the app's own.

        Returns:
            how many keys there were.

        Raises:
            InvalidId: they can name nobody.
        """
        owner = _owner(app, user)
        count = await self._store.run(DestroyDataKeys(owner))
        if self._source is not None:
            self._source.forget(owner)
        return count

    async def readmit(self, app: str, user: str | None) -> bool:
        """Let a user have data keys again who was forgotten; whether they were. One round trip.

        For a user who returns within 30 days. What was sealed before stays lost.

        Args:
            app: the application.
            user: the user; None for the app's own.

        Raises:
            InvalidId: they can name nobody.
        """
        return await self._store.run(ReadmitOwner(_owner(app, user)))

    async def sweep(self, *, idle: float = REMEMBERED) -> KeySweep:
        """Remove the data keys of users of whom no record is left. It looks at every key.

        A first sweep notes that nothing is left of a user; one that comes `idle` seconds later
        removes the keys, if nobody has used them since and they are older than twice the longest
        lifetime of a record. Where records live for ever it removes nothing. A round trip for each
        1,000 keys of the server, and one for each 200 of those users.

        Args:
            idle: seconds, a day at least: by then no process has them cached.

        Raises:
            InvalidInput: less than a day.
        """
        if idle < 86_400:  # noqa: PLR2004 - a day
            raise InvalidInput("idle is 86,400 seconds at least.")
        return await self._sweep(idle, 2 * self._longest)

    async def _sweep(self, idle: float, age: float) -> KeySweep:
        owners = await self._store.run(ListKeyOwners())
        if age == float("inf"):
            return KeySweep(len(owners), 0, 0)
        left = {part async for name in self._names() for part in _parts(name)}
        gone = [each for each in owners if each.user is not None and each.user not in left]

        async def swept(owner: KeyOwner) -> str:
            return await self._store.run(SweepDataKeys(owner, idle, age))

        found: Counter[str] = Counter()
        for batch in _batches(gone):
            found.update(await _each(swept, batch))
        return KeySweep(len(owners), found["idle"], found["removed"])

    async def _read(self, owner: KeyOwner) -> StoredKeys | None:
        try:
            return await self._store.run(ReadDataKeys(owner))
        except (CorruptRecord, Undecodable):
            return None

    async def _rewrap(self, owner: KeyOwner, ring: KeyRing) -> Rewrapped:
        found = await self._read(owner)
        if found is None:
            return Rewrapped(owners=1, failed=1)
        changed: list[tuple[str, bytes, bytes]] = []
        masters: set[str] = set()
        for name, key in found.keys.items():
            if key.wrapped.master == ring.active:
                continue
            try:
                secret, _ = unwrapped(name, key, owner, ring)
            except (CorruptRecord, Undecodable):
                masters.add(key.wrapped.master)
                continue
            wrapped = ring.wrap(secret, owner.bound(name))
            changed.append((name, key.value, key.rewrapped(wrapped)))
        old = [each for each in found.keys.values() if each.wrapped.master != ring.active]
        done = await self._store.run(RewrapDataKeys(owner, changed)) if changed else 0
        failed, already = len(old) - len(changed), len(found.keys) - len(old)
        # What is not written was replaced meanwhile, by another rotation: it counts as done there.
        return Rewrapped(1, done, already + len(changed) - done, failed, frozenset(masters))

    def _sealing(self) -> DataKeySource:
        if self._source is None:
            raise ConfigurationError("The store was opened without keys=: it seals nothing.")
        return self._source


def _owner(app: str, user: str | None) -> KeyOwner:
    return KeyOwner(parse_app(app), None if user is None else parse_user(user))


def _batches(owners: Sequence[T]) -> Iterator[Sequence[T]]:
    return (owners[at : at + _TOGETHER] for at in range(0, len(owners), _TOGETHER))


K = TypeVar("K")


async def _each(work: Callable[[K], Awaitable[T]], owners: Sequence[K]) -> list[T]:
    return await gather_in_time(*(work(owner) for owner in owners))


def _parts(name: str) -> Iterator[str]:
    """The ids in a key's hash tag, whatever each of them is; those of a tenant, too."""
    tag = name[name.find("{") + 1 : name.find("}")]
    for part in _PARTS.split(tag):
        plain = unquote(part)
        yield plain
        if ":" in plain:
            yield from map(unquote, plain.split(":"))
