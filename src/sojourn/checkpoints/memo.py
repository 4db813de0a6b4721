"""Memo of what this process knows to be on the server, so that it is not sent again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import TypeAlias

from sojourn.checkpoints.model import ThreadKey
from sojourn.checkpoints.objects import Fragment

_KNOWN = 200_000
"""Digests that a process remembers to be on the server."""
_CARRIED = 2_000
"""Checkpoints of which a process remembers the references."""

Carried: TypeAlias = Mapping[str, Fragment]
"""What the values of a checkpoint are stored as, by name."""


class ThreadMemo:
    """What this process knows of threads on the server. If it is wrong, the server says so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[ThreadKey, set[str]] = OrderedDict()
        self._number = 0
        self._carried: OrderedDict[tuple[ThreadKey, str], Carried] = OrderedDict()

    def known(self, key: ThreadKey) -> Collection[str]:
        """Digests of objects that were on the server."""
        return self._known.get(key, ())

    def learn(self, key: ThreadKey, digests: Collection[str]) -> None:
        """Remember that objects are on the server."""
        with self._lock:
            there = self._known.pop(key, None)
            self._number -= len(there or ())
            there = {*(there or ()), *digests}  # another set: one may be in use in another thread
            self._known[key] = there
            self._number += len(there)
            while self._number > _KNOWN and len(self._known) > 1:
                _, gone = self._known.popitem(last=False)
                self._number -= len(gone)

    def forget(self, key: ThreadKey) -> None:
        """Forget all of a thread."""
        with self._lock:
            self._number -= len(self._known.pop(key, ()))
            for place in [each for each in self._carried if each[0] == key]:
                del self._carried[place]

    def carried(self, key: ThreadKey, place: str) -> Carried | None:
        """What the values of a checkpoint are stored as."""
        return self._carried.get((key, place))

    def carry(self, key: ThreadKey, place: str, carried: Carried) -> None:
        """Remember it."""
        with self._lock:
            self._carried.pop((key, place), None)
            self._carried[key, place] = carried
            if len(self._carried) > _CARRIED:
                self._carried.popitem(last=False)
