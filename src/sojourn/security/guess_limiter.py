"""Limits on guessing ids: repeated misses are slowed, then refused for a while."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Protocol

from sojourn.codecs import text
from sojourn.errors import InvalidInput, Throttled, Unavailable
from sojourn.ids import parse_app
from sojourn.process_bound import stays_here
from sojourn.security.counters import Bucket, Count, Counters, InMemoryCounters

log = logging.getLogger("sojourn.security")

BUCKETS = 65_536
"""Into how many counters the peers of an app fall: the most that it can have at once."""

_CLEAN_SECONDS = 1.0
"""For how long a peer that had no failures is not looked at again."""
_CLEAN = 4096
"""How many such peers a process keeps in mind."""


class _Stores(Protocol):
    @property
    def counters(self) -> Counters: ...


class CountingStore(Protocol):
    """What of an open store (`sojourn.open`) is used here."""

    @property
    def stores(self) -> _Stores:
        """Has the counters that all processes share."""
        ...


@stays_here("the store's URL and its own arguments, and make it there")
class GuessLimiter:
    """Counts what a peer has named in vain: ids that are unknown or another's, wrong tokens.

    Failures are counted on the store's server, so that all processes see the same. Within `limit`
    nothing happens. Beyond it each `check` waits: `delay` seconds, twice as long with each further
    failure, `longest` at most. From `refused` failures on `check` raises until the window ends.

    Peers fall into 65,536 counters for each app, by a hash of their address; addresses of IPv6
    count by their first 64 bits. Each counter takes less than 200 bytes on the server and goes with
    its window: some 13 MB for an app, whatever is sent. So `app` must be a name that the
    application knows, never a caller's text. Two peers share a counter once in 65,536 times; with a
    `salt` nobody can find out which.

    In an outage the process counts alone: it has counted all the time what it has seen itself. So
    nobody is locked out, and nobody may try more than `refused` times with each process.

    Args:
        store: an open store; it stays open.
        limit: failures in a window that have no effect.
        refused: failures from which on a peer is refused; twice the limit if not given.
        window: seconds, from the first failure on.
        delay: seconds that the first check beyond the limit waits.
        longest: seconds that a check waits at most.
        salt: up to 64 bytes, the same for all processes of a deployment.
        sleep: waits; another one for tests.

    Raises:
        InvalidInput: one of the numbers makes no sense, or the salt is too long.
    """

    def __init__(
        self,
        store: CountingStore,
        *,
        limit: int = 10,
        refused: int | None = None,
        window: int = 600,
        delay: float = 0.1,
        longest: float = 5.0,
        salt: bytes = b"",
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        refused = 2 * limit if refused is None else refused
        if not 1 <= limit <= refused or window < 1 or not 0 <= delay <= longest:
            raise InvalidInput(
                "GuessLimiter needs 1 <= limit <= refused, a window of at least a second, and "
                "0 <= delay <= longest."
            )
        if len(salt) > blake2b.MAX_KEY_SIZE:
            raise InvalidInput(f"The salt has at most {blake2b.MAX_KEY_SIZE} bytes.")
        self._own = InMemoryCounters()
        self._shared = store.stores.counters
        self._limit, self._refused = limit, refused
        self._window = int(window)
        self._delays = delay, longest
        self._salt = bytes(salt)
        self._sleep = sleep
        self._clean: OrderedDict[Bucket, float] = OrderedDict()
        self._alone = False

    async def failed(self, peer: str, app: str) -> None:
        """Count a failure. One round trip; waits for nothing else, and raises nothing in an outage.

        Args:
            peer: the caller's address, not empty.
            app: the application, a name that the caller could not choose.

        Raises:
            InvalidInput: no such peer or app.
            AccessDenied: the server's user may not touch `enumeration:*`.
        """
        bucket = self._bucket(peer, app)
        self._clean.pop(bucket, None)
        await self._own.add(bucket, 1, self._window)
        try:
            await self._shared.add(bucket, 1, self._window)
        except Unavailable as error:
            self._tell(error)
        else:
            self._tell(None)

    async def check(self, peer: str, app: str) -> None:
        """Let a peer pass, at once or after a while. Call it before looking for what it names.

        One round trip; none for a peer that had no failures when this process last asked, less than
        a second ago. Calls made at the same moment see the same count: a peer can have as many
        answers more than allowed as it has requests under way.

        Args:
            peer: the caller's address, not empty.
            app: the application, a name that the caller could not choose.

        Raises:
            Throttled: it has failed too often; `retry_after` says for how long.
            InvalidInput: no such peer or app.
            AccessDenied: the server's user may not touch `enumeration:*`.
        """
        bucket = self._bucket(peer, app)
        now = time.monotonic()
        if self._clean.get(bucket, 0.0) > now:
            return
        failures, left = await self._count(bucket)
        if not failures:
            self._remember(bucket, now + _CLEAN_SECONDS)
        if failures >= self._refused:
            raise Throttled(
                "Too many failures of this peer: it is refused for a while.", retry_after=left
            )
        if failures >= self._limit:
            first, longest = self._delays
            await self._sleep(min(longest, first * 2.0 ** min(failures - self._limit, 64)))

    async def _count(self, bucket: Bucket) -> Count:
        try:
            found = await self._shared.look(bucket)
        except Unavailable as error:
            self._tell(error)
            return await self._own.look(bucket)
        self._tell(None)
        return found

    def _bucket(self, peer: str, app: str) -> Bucket:
        name = _network(text(peer, "peer"))
        if not name:
            raise InvalidInput("The peer is empty: who cannot be told apart cannot be counted.")
        digest = blake2b(name, key=self._salt, digest_size=8, person=b"sojourn-enum").digest()
        return Bucket(parse_app(app), int.from_bytes(digest, "big") % BUCKETS)

    def _remember(self, bucket: Bucket, until: float) -> None:
        self._clean[bucket] = until
        self._clean.move_to_end(bucket)
        if len(self._clean) > _CLEAN:
            self._clean.popitem(last=False)

    def _tell(self, error: Unavailable | None) -> None:
        """Say once that an outage has begun, and that it is over."""
        if error is not None and not self._alone:
            log.warning("Failures of peers are counted by this process alone: %s", error)
        if error is None and self._alone:
            log.info("Failures of peers are counted on the server again.")
        self._alone = error is not None


def _network(peer: str) -> bytes:
    """What counts as one peer: an address of IPv4, a /64 of IPv6, or whatever else was given."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer.encode()
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return address.packed[:8]
        address = address.ipv4_mapped
    return address.packed
