"""Checks of memory: limit, eviction policy, fragmentation and size."""

from __future__ import annotations

from sojourn.doctor.model import Level, Verdict
from sojourn.doctor.reading import Reading

MiB = 1 << 20

HIGH, FULL = 0.80, 0.95
"""Of maxmemory, or of the machine's memory."""
GAPS, SWAPPED = 1.5, 0.8
"""Resident memory to used memory: above and below that it is not as it should be."""
MATTERS = 100 * MiB
"""Used memory from which on that is worth a word."""


def eviction(reading: Reading) -> Verdict:
    """A full server must refuse writes, and drop nothing."""
    info = reading.info
    policy = info.get("maxmemory_policy") or reading.config["maxmemory-policy"]
    if policy == "noeviction":
        return Verdict(
            Level.OK, "maxmemory-policy is noeviction: a full server refuses writes, drops nothing."
        )
    which = "any of them" if policy.startswith("allkeys") else "them first, as all have a TTL"
    dropped = int(info.get("evicted_keys") or 0)
    happens = dropped or info.get("maxmemory") != "0"
    what = f"maxmemory-policy is {policy}: when memory is full, the server drops sessions ({which})"
    if dropped:
        what += f"; it has dropped {dropped:,} keys since it started"
    return Verdict(
        Level.PROBLEM if happens else Level.WARNING,
        f"{what}." if happens else f"{what}. Only that maxmemory is not set holds it back.",
        "maxmemory-policy noeviction",
    )


def maxmemory(reading: Reading) -> Verdict:
    """A limit, and distance to it."""
    info = reading.info
    used = info.number("used_memory") - int(info.get("mem_not_counted_for_evict") or 0)
    limit = info.number("maxmemory")
    machine = float(info.get("total_system_memory") or 0)
    if not limit:
        return _unlimited(reading, used, machine)
    what = f"{size(used)} of {size(limit)} are used (maxmemory)"
    if used >= HIGH * limit:
        return Verdict(
            Level.PROBLEM if used >= FULL * limit else Level.WARNING,
            f"{what}: when it is full, writes are refused.",
            f"maxmemory {_megabytes(2 * used)}, or shorter lifetimes: ?session_ttl=SECONDS in the "
            "URL",
        )
    if machine and limit > machine:
        return Verdict(
            Level.WARNING,
            f"maxmemory is {size(limit)}, but the machine has {size(machine)}: before the limit is "
            "reached, its kernel kills the server.",
            f"maxmemory {_megabytes(0.75 * machine)}",
        )
    return Verdict(Level.OK, f"{what}.")


def _unlimited(reading: Reading, used: float, machine: float) -> Verdict:
    what = f"maxmemory is not set; {size(used)} are used"
    if machine:
        what += f" of the machine's {size(machine)}"
    if machine and used >= HIGH * machine:
        return Verdict(
            Level.WARNING,
            f"{what}: soon its kernel kills the server.",
            "Free memory or take a larger machine, then set maxmemory.",
        )
    if reading.address.embedded:
        return Verdict(Level.OK, f"{what}.")
    room = _megabytes(0.75 * machine) if machine else "SIZE"
    return Verdict(
        Level.ADVICE,
        f"{what}: a limit refuses a write before the machine's memory is gone.",
        f"maxmemory {room}" + (", if the machine is the server's alone" if machine else ""),
    )


def fragmentation(
    reading: Reading, *, matters: float = MATTERS, gaps: float = GAPS, swapped: float = SWAPPED
) -> Verdict:
    """Memory that is taken and holds nothing, or is swapped out; of a server that is not small."""
    info = reading.info
    used, resident = info.number("used_memory"), info.number("used_memory_rss")
    ratio = resident / used
    what = f"{size(resident)} are resident for {size(used)} of data"
    if used < matters:
        return Verdict(Level.OK, f"{what}: too little to matter.")
    if ratio < swapped:
        return Verdict(
            Level.WARNING,
            f"{what}: the rest is swapped out, and reading it takes as long as the disk does.",
            "Give the machine more memory, or set maxmemory below what it has; swapoff -a",
        )
    if ratio <= gaps:
        return Verdict(Level.OK, f"{what}.")
    return Verdict(Level.ADVICE, *_fragmented(reading, what))


def _fragmented(reading: Reading, what: str) -> tuple[str, str]:
    """What is and what to do, by where the memory is lost: between values, or in whole pages."""
    info = reading.info
    between = float(info.get("allocator_frag_bytes") or 0)
    if between < float(info.get("allocator_rss_bytes") or 0):
        return f"{what}: the server keeps pages that it has freed.", "redis-cli MEMORY PURGE"
    if not info.get("mem_allocator").startswith("jemalloc"):
        todo = "Restart it when that suits; a server that is built with jemalloc can defragment."
        return f"{what}: {size(between)} lie in gaps between values.", todo
    if reading.config.get("activedefrag") == "yes":
        todo = "Wait: activedefrag is at work. Is it too slow, raise active-defrag-cycle-max."
        return f"{what}: {size(between)} lie in gaps between values.", todo
    return f"{what}: {size(between)} lie in gaps between values.", "activedefrag yes"


def size(number: float) -> str:
    """Bytes for people."""
    for unit, name in ((1 << 30, "GiB"), (MiB, "MiB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number / 1024:.0f} KiB"


def _megabytes(number: float) -> str:
    """Bytes as redis.conf has them."""
    return f"{max(1, number // MiB):.0f}mb"
