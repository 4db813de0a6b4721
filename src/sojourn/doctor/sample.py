"""A sample of the keys: which of Sojourn's never expire though nobody chose that.

A lifetime of None is written down: in the session's own hash, as the score `inf` in the user's
index, as an instant a century ahead in the indexes of users and apps. Only for state it is not: a
store that is opened with `state_ttl=None` says that its state is meant to stay.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sojourn.calls.keys import Endless, Keys, Kind
from sojourn.doctor.ask import Run, ask, ask_each
from sojourn.doctor.reading import KeyLifetimes, NotAllowed, NotRead, known, text
from sojourn.errors import CorruptRecord

T = TypeVar("T")

_BATCH = 250
"""Keys of one SCAN and of one call: a fraction of a millisecond of the server's time."""
_FAR = 50 * 365 * 86_400_000
"""Milliseconds. An entry of an index that lasts so long was entered for ever."""


async def sample(
    run: Run, keys: Keys, most: int, *, endless_state: bool
) -> KeyLifetimes | NotAllowed:
    """Look at some keys. Two round trips for each 250, and one for those that have no TTL.

    Args:
        run: sends calls to the server.
        keys: the keys of the deployment.
        most: how many keys to look at, at most; those of others count.
        endless_state: the state of users and apps is meant to stay for ever.
    """
    try:
        names, whole = await names_of_keys(run, most)
        kinds = {name: kind for name in names if (kind := keys.kind_of(name))}
        endless = await _endless(run, list(kinds))
        chosen = await _chosen(
            run, keys, {kinds[name] for name in endless}, endless_state=endless_state
        )
    except NotRead as missing:
        return missing.refused
    strays = sorted(name for name in endless if kinds[name] not in chosen)
    return KeyLifetimes(len(names), whole, len(kinds), len(endless) - len(strays), strays)


async def names_of_keys(run: Run, most: int) -> tuple[set[str], bool]:
    """Names of keys, as SCAN has them, and whether they are all. A thinned-out table ends early."""
    names: set[str] = set()
    cursor = 0
    for _ in range(2 * -(-most // _BATCH)):
        count = min(_BATCH, most - len(names))
        reply: Any = known(await ask(run, "SCAN", cursor, "COUNT", count))
        cursor = int(reply[0])
        names.update(map(text, reply[1]))
        if cursor == 0 or len(names) >= most:
            break
    return set(sorted(names)[:most]), cursor == 0 and len(names) <= most


async def _endless(run: Run, names: list[str]) -> list[str]:
    """Those that have no TTL."""
    found: list[str] = []
    for batch in batches(names):
        left: list[int] = known(await ask_each(run, "PTTL", batch))
        found += [name for name, ttl in zip(batch, left, strict=True) if ttl == -1]
    return found


async def _chosen(run: Run, keys: Keys, kinds: set[Kind], *, endless_state: bool) -> set[Kind]:
    """Those of which it is written that they live for ever."""
    found: set[Kind] = set()
    for batch in batches(list(kinds)):
        verdicts = await asyncio.gather(
            *(_is_chosen(run, keys.endless(kind), kind.source, endless_state) for kind in batch)
        )
        found.update(kind for kind, is_chosen in zip(batch, verdicts, strict=True) if is_chosen)
    return found


async def _is_chosen(run: Run, endless: Endless, source: str, endless_state: bool) -> bool:
    try:
        match endless:
            case Endless.TTL_FIELD | Endless.EXPIRES_FIELD:
                field = "ttl" if endless is Endless.TTL_FIELD else "expires"
                return bool(await _field(run, source, field) == b"")
            case Endless.INFINITE_SCORE:
                return await _last(run, source) == math.inf
            case Endless.FAR_SCORE:
                return await _last(run, source) > time.time() * 1000 + _FAR
            case Endless.STATE_TTL:
                return endless_state
            case Endless.ALWAYS | Endless.NEVER:  # operation ids are forgotten after a day
                return endless is Endless.ALWAYS
    except CorruptRecord:  # a key of another type is none that Sojourn wrote
        return False


async def _field(run: Run, key: str, name: str) -> Any:
    """A field of a hash."""
    return known(await ask(run, "HGET", key, name, keys=(key,)))


async def _last(run: Run, index: str) -> float:
    """The highest score of an index."""
    reply = known(await ask(run, "ZREVRANGE", index, 0, 0, "WITHSCORES", keys=(index,)))
    return float(reply[1]) if reply else 0.0


def batches(names: Sequence[T]) -> Iterator[Sequence[T]]:
    """Parts of a list, each for one call."""
    return (names[i : i + _BATCH] for i in range(0, len(names), _BATCH))
