"""Numbers of keys and the memory that they take, by kind: of all keys, or estimated by a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sojourn.calls.keys import Keys
from sojourn.doctor.ask import Run, ask, ask_each
from sojourn.doctor.reading import NotAllowed, NotRead, known, text
from sojourn.doctor.sample import batches, names_of_keys

OTHERS = "other"
"""Keys that are not Sojourn's, or not of this deployment."""


class NodeUsage(NamedTuple):
    """What one server has.

    Attributes:
        keys: how many keys there are.
        looked_at: how many of them were looked at.
        exact: whether these were all; otherwise `counts` and `sizes` are estimates.
        counts: how many keys there are of each kind.
        sizes: bytes that they take; None when the server does not tell.
        used: bytes that the server uses for everything; None when it does not tell.
        most: its `maxmemory`; 0 for none, None when it does not tell.
    """

    keys: int
    looked_at: int
    exact: bool
    counts: dict[str, int]
    sizes: dict[str, int] | None
    used: int | None
    most: int | None


async def usage(run: Run, keys: Keys, most: int) -> NodeUsage:
    """Look at some keys of a server. Two round trips, and two for each 250 keys.

    Args:
        run: sends calls to the server.
        keys: the keys of the deployment.
        most: how many keys to look at, at most; 0 for none.

    Raises:
        NotRead: the server does not let this user SCAN.
    """
    total = int(known(await ask(run, "DBSIZE")))
    used, limit = await _memory(run)
    if not most:
        return NodeUsage(total, 0, total == 0, {}, None, used, limit)
    found, whole = await names_of_keys(run, most)
    kinds = {name: kind.name if (kind := keys.kind_of(name)) else OTHERS for name in found}
    sizes = await _sizes(run, list(kinds))
    share = 1.0 if whole or not found else max(1.0, total / len(found))
    return NodeUsage(
        total,
        len(found),
        whole,
        _summed(kinds, [1] * len(kinds), share),
        None if sizes is None else _summed(kinds, sizes, share),
        used,
        limit,
    )


def _summed(kinds: dict[str, str], values: Sequence[int], share: float) -> dict[str, int]:
    sums = Counter[str]()
    for kind, value in zip(kinds.values(), values, strict=True):
        sums[kind] += value
    return {kind: round(value * share) for kind, value in sums.items()}


async def _sizes(run: Run, names: Sequence[str]) -> list[int] | None:
    """Bytes of each key, estimated by the server itself where it has many members."""
    sizes: list[int] = []
    for batch in batches(names):
        reply = await ask_each(run, "MEMORY USAGE", batch)
        if isinstance(reply, NotAllowed):
            return None
        sizes += [int(size or 0) for size in reply]  # a key that has gone meanwhile has none
    return sizes


async def _memory(run: Run) -> tuple[int | None, int | None]:
    try:
        lines = text(known(await ask(run, "INFO", "memory"))).splitlines()
    except NotRead:
        return None, None
    pairs = dict(line.split(":", 1) for line in lines if ":" in line)
    used, limit = (pairs.get(name, "") for name in ("used_memory", "maxmemory"))
    return int(used) if used.isdecimal() else None, int(limit) if limit.isdecimal() else None
