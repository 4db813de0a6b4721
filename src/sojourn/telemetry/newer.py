"""Records that a newer version of a framework wrote: counted, and logged once a day.

The figures are those of the process: a framework's objects are often made for one request.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable

log = logging.getLogger("sojourn")

_DAY = 86_400.0
_MOST_NAMES = 100
"""Names of members that are logged in one day; whoever writes records could invent more."""
_LONGEST = 80
_now = time.monotonic


class NewerRecords:
    """Counts records, by what they are, and remembers which members were logged today."""

    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._logged = dict[tuple[str, str], float]()
        self._lock = threading.Lock()

    def counts(self) -> dict[str, int]:
        """How often a record was read without what is not known here, by what it is."""
        with self._lock:
            return dict(self._counts)

    def total(self) -> int:
        """The sum of `counts()`."""
        return sum(self.counts().values())

    def add(self, what: str, members: Iterable[str]) -> None:
        """Count one record.

        Args:
            what: the kind of record, for the log.
            members: the names of what was left out; never content.
        """
        now = _now()
        with self._lock:
            self._counts[what] += 1
            self._logged = {key: at for key, at in self._logged.items() if now - at < _DAY}
            new: list[str] = []
            for name in sorted({member[:_LONGEST] for member in members}):
                if (what, name) not in self._logged and len(self._logged) < _MOST_NAMES:
                    self._logged[what, name] = now
                    new.append(name)
        if new:
            log.warning(
                "%s has members or values that the installed version of its framework cannot read; "
                "a newer one wrote them. It is served without them, and what is stored stays: %s",
                what,
                ", ".join(map(repr, new)),
            )


NEWER = NewerRecords()
"""Those of this process."""
