"""Checks of Sojourn's keys: their expiry, and keyspace notifications."""

from __future__ import annotations

from sojourn.doctor.model import Level, Verdict
from sojourn.doctor.reading import Reading, known

_SHOWN = 2
"""Keys that a finding names."""


def lifetimes(reading: Reading) -> Verdict | None:
    """No key lives for ever by accident; silent when no key was to be looked at."""
    if reading.lifetimes is None:
        return None
    found = known(reading.lifetimes)
    seen = f"all {found.looked:,}" if found.whole else f"{found.looked:,}"
    looked = f"(looked at {seen} keys)"
    of = f"of Sojourn's {found.ours:,} keys"
    if found.strays:
        named = ", ".join([*found.strays[:_SHOWN], *(["…"] if found.strays[_SHOWN:] else [])])
        return Verdict(
            Level.WARNING,
            f"{len(found.strays):,} {of} never expire though nobody chose that: {named} {looked}.",
            "Find out who took their TTL (PERSIST, RESTORE, a migration), then redis-cli EXPIRE "
            "KEY 86400; is state meant to stay, say so: ?state_ttl=none in the URL.",
        )
    if found.chosen:
        return Verdict(Level.OK, f"{found.chosen:,} {of} never expire, by choice {looked}.")
    if found.ours:
        return Verdict(Level.OK, f"All {of} have a TTL {looked}.")
    return Verdict(Level.OK, f"There is no key of Sojourn's {looked}.")


def notifications(reading: Reading) -> Verdict | None:
    """The server tells of keys that expire; silent when nobody wants to hear of it."""
    if not reading.wanted.notifications:
        return None
    told = reading.config["notify-keyspace-events"]
    if set("KE") & set(told) and set("xA") & set(told):
        return Verdict(Level.OK, f"notify-keyspace-events is {told}: who listens hears of expiry.")
    return Verdict(
        Level.WARNING,
        f"notify-keyspace-events is {told or 'off'}: nobody hears of keys that expire.",
        f"notify-keyspace-events {_with_expiry(told)}",
    )


def _with_expiry(told: str) -> str:
    """The value that it has, and what is missing."""
    return told + ("" if set("KE") & set(told) else "E") + "x"
