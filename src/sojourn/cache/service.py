"""Public API of the cache: results of expensive steps, computed once and shared."""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from sojourn.cache.fingerprint import arguments_of, fingerprint, name_of, unbound
from sojourn.cache.operations.leases import FulfilLease, RenewLease
from sojourn.cache.operations.reads import FetchCached
from sojourn.cache.operations.writes import DeleteCached, InvalidateTag, PutCached
from sojourn.cache.store import (
    LONGEST,
    CacheEntry,
    CacheLifetime,
    EntryKey,
    Fetched,
    whose,
)
from sojourn.calls.coded import CodedStore
from sojourn.caps import CAPS, check
from sojourn.codecs import decode, encode, is_number, shown
from sojourn.errors import (
    Closed,
    CorruptRecord,
    Erased,
    InvalidInput,
    SojournError,
    TooLarge,
    Unavailable,
    Undecodable,
)
from sojourn.ids import operation_id_of, parse_entry, parse_tag, parse_tenant
from sojourn.process_bound import stays_here
from sojourn.resilience.backoff import backoff

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("sojourn.cache")

HOUR = 3600.0
_FINGERPRINTS = b"cache fingerprint"
_TICK = 0.001
_POLLS = (0.01, 0.5)
"""Seconds between two looks at what another computes: at first, and at most."""


class CacheStats(NamedTuple):
    """Figures of a cache in this process.

    Attributes:
        hits: fresh values given.
        stale: values given that were past their TTL, while another is computed.
        misses: times that there was none.
        waits: times that another's computation was waited for; then a hit, as a rule.
        computed: values that this process computed.
        unavailable: times that no server answered, and the value was computed for this call alone.
    """

    hits: int
    stale: int
    misses: int
    waits: int
    computed: int
    unavailable: int

    @property
    def hit_rate(self) -> float:
        """Part of the answers that were there, stale ones included; 0 when nobody asked."""
        asked = self.hits + self.stale + self.misses
        return (self.hits + self.stale) / asked if asked else 0.0


@stays_here("its URL, and open the store there")
class Cache:
    """The cache of a store. Made by `sojourn.open`, as `store.cache`.

    Values are JSON: text, numbers, booleans, None, lists and dicts; tuples come back as lists. Each
    tenant has entries of its own; no call names more than one.

    Every method may raise `Unavailable` or a subclass when no server answers in time. A function
    decorated by `cached` does not raise it: it computes.

    Args:
        store: where entries are kept.
        max_value_bytes: the largest value, as JSON.
    """

    def __init__(self, store: CodedStore, max_value_bytes: int) -> None:
        self._store = store
        self._cap = max_value_bytes
        self._counts = Counter[str]()
        self._refreshing: set[asyncio.Task[Any]] = set()

    async def get(
        self, name: str, default: Any = None, *, tenant: str = "", stale: bool = False
    ) -> Any:
        """The value of an entry. One round trip.

        Args:
            name: of the entry.
            default: what is returned when there is no entry.
            tenant: whose entry.
            stale: whether a value past its TTL will do, as long as it is kept.

        Raises:
            CorruptRecord: the entry is not JSON, or was damaged; `Tampered` if it was changed or
                moved. Deleting it removes it.
            Undecodable: this process cannot decode it: a newer version of Sojourn wrote it, or it
                is sealed with a key that this process does not have.
            Erased: the key of its user was destroyed.
        """
        key = _key(tenant, name)
        found = await self._store.run(FetchCached(key))
        if found.status == "miss" or (found.status == "stale" and not stale):
            self._counts["misses"] += 1
            return default
        self._counts["hits" if found.status == "hit" else "stale"] += 1
        return _decoded(key, found)

    async def put(
        self,
        name: str,
        value: Any,
        *,
        ttl: float = HOUR,
        stale: float = 0.0,
        tags: Sequence[str] = (),
        tenant: str = "",
        operation_id: str | None = None,
    ) -> None:
        """Store a value. One round trip.

        A value that is being computed for the entry now will not be stored.

        Args:
            name: of the entry.
            value: JSON.
            ttl: seconds that it is fresh; 30 days with `stale` at most.
            stale: seconds that it is kept after that.
            tags: names by which it can be invalidated together with others.
            tenant: whose entry.
            operation_id: repeat a put with the same id and it takes effect once.

        Raises:
            InvalidInput: a name, lifetime or tag; or a value that JSON cannot hold.
            TooLarge: the value is over its cap.
            NewerFormat: a newer version of Sojourn wrote the entry, in a way that this one cannot
                read. It stays; deleting it removes it.
            KeyMissing: the entry is sealed, and this process would write plain text. It stays.
            CorruptRecord: it was such an entry, and was damaged.
            Erased: the key of its user was destroyed.
        """
        entry = CacheEntry(self._encoded(value), _life(ttl, stale), _tags(tags))
        key = _key(tenant, name)
        await self._store.run(PutCached(key, entry, operation_id_of(operation_id)))

    async def delete(self, name: str, *, tenant: str = "", operation_id: str | None = None) -> bool:
        """Delete an entry; whether there was one. One round trip.

        A value that is being computed for it now will not be stored.
        """
        key = _key(tenant, name)
        return await self._store.run(DeleteCached(key, operation_id_of(operation_id)))

    async def invalidate(self, tag: str, *, tenant: str = "") -> None:
        """Let all entries of a tag that were stored until now count as missing. One round trip.

        So do values that are being computed now: their inputs may have changed.
        """
        await self._store.run(InvalidateTag(parse_tenant(tenant), parse_tag(tag)))

    async def fetch(
        self,
        name: str,
        compute: Callable[[], Awaitable[Any]],
        *,
        ttl: float = HOUR,
        stale: float = 0.0,
        none_ttl: float | None = None,
        tags: Sequence[str] = (),
        tenant: str = "",
        lease: float = 10.0,
    ) -> Any:
        """The value of an entry; if there is none, one caller of all processes computes it.

        One round trip for a hit, two for a computation and one more for each third of `lease` that
        it takes. Other callers wait for the one that computes; if that one dies, another takes
        over within `lease`. If it fails, only it gets the error, and the next computes. Every
        caller, also the one that computes, gets the value as JSON has it: a tuple becomes a list.

        Without a server the value is computed for this call alone. The same happens if this process
        cannot decode the entry, which stays: a newer version of Sojourn wrote it, or it is sealed
        with a key that this process does not have.

        Args:
            name: of the entry.
            compute: makes the value.
            ttl: seconds that it is fresh.
            stale: seconds after that in which the old value is given at once, while one caller
                computes the new one behind the scenes.
            none_ttl: seconds that a result of None is kept; if not given, None is not kept.
            tags: names by which it can be invalidated together with others.
            tenant: whose entry.
            lease: seconds after which a computation whose process died is taken over.

        Raises:
            InvalidInput: an argument; or JSON cannot hold the value.
            TooLarge: the value is over its cap.
            CorruptRecord: the entry is not JSON, or was damaged; `Tampered` if it was changed or
                moved. Deleting it removes it.
            Erased: the key of its user was destroyed.
        """
        work = _Work(
            _key(tenant, name),
            compute,
            _life(ttl, stale),
            None if none_ttl is None else _life(none_ttl, 0.0),
            _tags(tags),
            _seconds(lease, "lease"),
        )
        waited = 0
        while True:
            token = secrets.token_hex(16)
            try:
                found = await self._store.run(FetchCached(work.key, token, work.lease))
            except (Unavailable, Closed, Undecodable) as error:
                if isinstance(error, Undecodable):
                    await self._give_back(work, token)
                return await self._computed(compute, error)
            except (CorruptRecord, Erased):
                await self._give_back(work, token)
                raise
            if found.status == "hit" or (found.status == "stale" and not found.leased):
                self._counts["hits" if found.status == "hit" else "stale"] += 1
                return _decoded(work.key, found)
            if found.status == "stale":
                self._counts["stale"] += 1
                task = asyncio.create_task(self._refresh(work, token, found))
                self._refreshing.add(task)
                task.add_done_callback(self._refreshing.discard)
                return _decoded(work.key, found)
            if found.leased:
                self._counts["misses"] += 1
                return await self._compute(work, token, found)
            if not waited:
                self._counts["waits"] += 1
            await asyncio.sleep(backoff(waited, *_POLLS))
            waited += 1

    def cached(
        self,
        *,
        ttl: float = HOUR,
        key: Callable[..., str] | None = None,
        tenant: str | Callable[..., str] = "",
        tags: Sequence[str] | Callable[..., Sequence[str]] = (),
        stale: float = 0.0,
        none_ttl: float | None = None,
        lease: float = 10.0,
    ) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, T]]]:
        """Decorate an async function: its results are kept, as by `fetch`.

        Args:
            ttl: seconds that a result is fresh.
            key: makes the entry's name of the arguments; if not given, it is the fingerprint of the
                function's name and all arguments, in which types count and order of keys does not.
                Variables that a nested function takes from its enclosing one are not arguments and
                not part of it: give a `tenant` or a `key` that distinguishes such functions.
            tenant: whose entries; or makes it of the arguments.
            tags: names by which results can be invalidated together; or makes them of arguments.
            stale: seconds that an old result is given while a new one is computed.
            none_ttl: seconds that a result of None is kept; if not given, None is not kept.
            lease: seconds after which a computation whose process died is taken over.

        Raises:
            InvalidInput: the function is not async; or, when it is called, an argument of which no
                fingerprint can be made.
        """

        def decorate(
            function: Callable[P, Awaitable[T]],
        ) -> Callable[P, Coroutine[Any, Any, T]]:
            if not inspect.iscoroutinefunction(function):
                raise InvalidInput(f"{function!r} is not async: decorate async functions.")
            bound = unbound(function)
            signature, called = inspect.signature(bound.func), name_of(bound.func)

            @wraps(function)
            async def cached(*args: P.args, **kwargs: P.kwargs) -> T:
                def compute() -> Coroutine[Any, Any, T]:
                    return function(*args, **kwargs)

                of = tenant(*args, **kwargs) if callable(tenant) else tenant
                if key is not None:
                    name = f"{called}:{key(*args, **kwargs)}"
                else:
                    given, named = (*bound.args, *args), {**bound.keywords, **kwargs}
                    arguments = arguments_of(signature, given, named)
                    try:
                        name = await self.fingerprint(called, arguments, tenant=of)
                    except (Unavailable, Closed, Undecodable) as error:
                        return cast("T", await self._computed(compute, error))
                value = await self.fetch(
                    name,
                    compute,
                    ttl=ttl,
                    stale=stale,
                    none_ttl=none_ttl,
                    tags=tags(*args, **kwargs) if callable(tags) else tags,
                    tenant=of,
                    lease=lease,
                )
                return cast("T", value)

            return cached

        return decorate

    async def fingerprint(
        self, call: str, arguments: Mapping[str, Any], *, tenant: str = ""
    ) -> str:
        """A name for an entry: the same for the same call and arguments, in every process.

        With `keys` it is made with a key of the tenant's user, or of its app, so that who reads the
        server cannot try which arguments have it. A round trip when the key is not cached; else
        none.

        Args:
            call: its name.
            arguments: by name; types count, and the order of keys does not.
            tenant: whose entry.

        Raises:
            InvalidInput: an argument of which no fingerprint can be made.
            Undecodable: this process does not have the key.
            Erased: the key of its user was destroyed.
        """
        key: bytes | None = None
        if self._store.codec.keys is not None:
            coder = await self._store.codec.coder(*whose(parse_tenant(tenant)), create=True)
            key = coder.subkey(_FINGERPRINTS)
        return fingerprint(call, arguments, key)

    def stats(self) -> CacheStats:
        """The figures now."""
        return CacheStats(*(self._counts[name] for name in CacheStats._fields))

    async def close(self) -> None:
        """Cancel computations in the background."""
        ours: list[asyncio.Task[Any]] = []
        for task in list(self._refreshing):
            loop = task.get_loop()
            if loop is asyncio.get_running_loop():
                task.cancel()
                ours.append(task)
            else:
                with suppress(RuntimeError):  # it is closed
                    loop.call_soon_threadsafe(task.cancel)
        await asyncio.gather(*ours, return_exceptions=True)

    # ── computing ──────────────────────────────────────────────────────────────────────────────

    async def _computed(self, compute: Callable[[], Awaitable[Any]], error: SojournError) -> Any:
        """A value for one caller alone, as the cache cannot be asked."""
        undecodable = isinstance(error, Undecodable)
        self._counts["misses" if undecodable else "unavailable"] += 1
        log.warning("The cache cannot be asked: a value is computed and not stored: %s", error)
        value = await compute()
        self._counts["computed"] += undecodable
        return decode(self._encoded(value))

    async def _refresh(self, work: _Work, token: str, found: Fetched) -> None:
        try:
            await self._compute(work, token, found)
        except Exception as error:  # noqa: BLE001 - nobody waits: the old value goes on
            log.warning("A stale entry could not be computed again: %s", type(error).__name__)

    async def _compute(self, work: _Work, token: str, found: Fetched) -> Any:
        beat = asyncio.create_task(self._hold(work, token))
        entry: CacheEntry | None = None
        try:
            value = await work.compute()
            self._counts["computed"] += 1
            life = work.none_life if value is None else work.life
            if life is None:
                return value
            entry = CacheEntry(self._encoded(value), life, work.tags)
            return decode(entry.value)
        finally:
            beat.cancel()  # not awaited: this task's own cancellation could be taken for the beat's
            with suppress(SojournError):  # the value is there; without a server it is not kept
                given = FulfilLease(work.key, entry, token, found.since)
                await asyncio.shield(self._store.run(given))

    async def _give_back(self, work: _Work, token: str) -> None:
        """Give back a lease that may have been taken: others may be able to decode the entry."""
        with suppress(SojournError):
            await self._store.run(FulfilLease(work.key, None, token, 0))

    async def _hold(self, work: _Work, token: str) -> None:
        """Renew the lease while its value is computed; if it was lost, that is seen at the end."""
        while True:
            await asyncio.sleep(work.lease / 3)
            with suppress(SojournError):
                if not await self._store.run(RenewLease(work.key, token, work.lease)):
                    return

    def _encoded(self, value: Any) -> bytes:
        text = encode(value, "The value")
        if len(text) > self._cap:
            raise TooLarge("The value", len(text), self._cap, "max_event_bytes")
        return text


class _Work(NamedTuple):
    key: EntryKey
    compute: Callable[[], Awaitable[Any]]
    life: CacheLifetime
    none_life: CacheLifetime | None
    tags: tuple[str, ...]
    lease: float


def _key(tenant: str, name: str) -> EntryKey:
    return EntryKey(parse_tenant(tenant), parse_entry(name))


def _decoded(key: EntryKey, found: Fetched) -> Any:
    try:
        return decode(found.value)
    except ValueError as error:
        raise CorruptRecord(
            "A cached value is not JSON: another program wrote it, or it was damaged. Delete the "
            "entry.",
            key=key.name,
            raw=found.value,
        ) from error


def _seconds(value: object, what: str) -> float:
    if is_number(value) and _TICK <= value <= LONGEST:
        return float(value)
    raise InvalidInput(f"{what} is a number of seconds up to 30 days, not {shown(value)}.")


def _life(ttl: float, stale: float) -> CacheLifetime:
    fresh = _seconds(ttl, "ttl")
    if stale != 0:
        _seconds(fresh + _seconds(stale, "stale"), "ttl with stale")
    return CacheLifetime(fresh, float(stale))


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    if isinstance(tags, str) or not isinstance(tags, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(f"tags is a list of tags, not {type(tags).__name__}.")
    given = tuple(parse_tag(tag) for tag in tags)
    check("A list", len(given), CAPS.tags, "tags")
    return given
