"""Checks of latency and clock skew."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from sojourn.doctor.model import Level, Verdict
from sojourn.doctor.reading import Reading, known

APART = 1.0
"""Seconds between two clocks."""
FAR, TOO_FAR = 0.005, 0.050
"""Seconds that the median PING takes: worth a word, worth a warning."""
SLOW = 0.500
"""Seconds that the worst PING takes."""
_SHORT = 0.010
_SEVERAL = 2


def clock(reading: Reading) -> Verdict:
    """The server and this machine agree on the time."""
    skew = known(reading.skew)
    if abs(skew) <= APART:
        return Verdict(Level.OK, f"The clocks differ by {abs(skew) * 1000:,.0f} ms.")
    which = "ahead of" if skew > 0 else "behind"
    return Verdict(
        Level.WARNING,
        f"The server's clock is {abs(skew):,.1f} s {which} this machine's: events carry this "
        "machine's time, lifetimes follow the server's.",
        "Synchronise both by NTP: timedatectl set-ntp true",
    )


def clocks(skews: Mapping[str, float]) -> Verdict | None:
    """The nodes of a Cluster agree on the time with each other."""
    if len(skews) < _SEVERAL:
        return None
    first, last = min(skews, key=skews.__getitem__), max(skews, key=skews.__getitem__)
    apart = skews[last] - skews[first]
    if apart <= APART:
        return Verdict(Level.OK, f"The nodes' clocks differ by {apart * 1000:,.0f} ms at most.")
    return Verdict(
        Level.WARNING,
        f"The clock of {last} is {apart:,.1f} s ahead of that of {first}: changes of app state "
        "that had to wait may be ordered wrongly within that time, and lifetimes differ by it.",
        "Synchronise all nodes by NTP: timedatectl set-ntp true",
    )


def latency(reading: Reading) -> Verdict:
    """Near enough: every append is a round trip."""
    pings = known(reading.pings)
    middle, worst = median(pings), max(pings)
    what = f"PING takes {_ms(middle)}, {_ms(worst)} at worst (of {len(pings)})"
    near = "Run the application near the server: same region, same zone."
    if middle >= TOO_FAR:
        return Verdict(Level.WARNING, f"{what}; {_ms(TOO_FAR)} are too many.", near)
    if worst >= SLOW:
        return Verdict(
            Level.WARNING,
            f"{what}; at {_ms(SLOW)} calls come near their time-out.",
            "Look for what holds the server up: redis-cli SLOWLOG GET, redis-cli --latency, a fork "
            "or a disk that is busy.",
        )
    if middle >= FAR:
        return Verdict(Level.ADVICE, f"{what}; under {_ms(FAR)} is good.", near)
    return Verdict(Level.OK, f"{what}; under {_ms(FAR)} is good.")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.{2 if seconds < _SHORT else 0}f} ms".replace(".00", "")
