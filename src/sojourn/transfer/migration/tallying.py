"""Counts what a source holds and what became of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sojourn.ids import UserKey
from sojourn.transfer.migration.model import (
    AppCount,
    CachedResult,
    Notable,
    Outcome,
    Record,
    Remembered,
    SourceSession,
    SourceState,
    SourceThread,
)
from sojourn.transfer.migration.placing import Placed

_NOTABLE = 100
_REASONS = 1000
"""How many records, and how many different reasons, a report names at most."""


@dataclass(slots=True)
class _App:
    users: set[str] = field(default_factory=set[str])
    counts: Counter[str] = field(default_factory=Counter[str])


class Census:
    """What a source holds, by app.

    Attributes:
        owners: how many sessions each user has.
        endless: how many sessions never expire.
    """

    def __init__(self) -> None:
        self._apps: defaultdict[str, _App] = defaultdict(_App)
        self._state: dict[tuple[str, str | None], set[str]] = {}
        self.owners: Counter[UserKey] = Counter()
        self.endless = 0

    def count(self, record: Record) -> None:
        """Count a record; what is unreadable is of no app."""
        match record:
            case SourceSession():
                self.owners[record.key.owner] += 1
                self.endless += record.expires is None
                app = self._apps[record.key.app]
                app.users.add(record.key.user)
                app.counts["sessions"] += 1
                app.counts["events"] += len(record.events)
            case SourceState():
                self._state.setdefault((record.app, record.user), set()).update(record.values)
                if record.user is not None:
                    self._apps[record.app].users.add(record.user)
            case Remembered():
                app = self._apps[record.app]
                app.counts["memories"] += 1
                if record.kind not in ("agent", "knowledge"):
                    app.users.add(record.name)
            case SourceThread():
                app = self._apps[record.app]
                app.users.add(record.user)
                app.counts["threads"] += 1
            case CachedResult():
                self._apps[""].counts["results"] += 1
            case _:
                pass

    def counts(self) -> list[AppCount]:
        """By app, in the order of their names."""
        state = Counter[str]()
        for (app, _), names in self._state.items():
            state[app] += len(names)
        return [
            AppCount(
                app=name,
                users=len(self._apps[name].users),
                sessions=self._apps[name].counts["sessions"],
                events=self._apps[name].counts["events"],
                state=state[name],
                memories=self._apps[name].counts["memories"],
                results=self._apps[name].counts["results"],
                threads=self._apps[name].counts["threads"],
            )
            for name in sorted({*self._apps, *state})
        ]


class Results:
    """What became of the records of one pass.

    Attributes:
        outcomes: how many ended how.
        changed: the sessions that something was done for.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.refused: Counter[str] = Counter()
        self.changed: list[str] = []
        self._notable: list[Notable] = []

    def add(self, where: str, placed: Placed) -> None:
        """Take note of one."""
        outcome = placed.outcome
        self.outcomes[outcome] += 1
        if outcome in (Outcome.WRITTEN, Outcome.CAUGHT_UP):
            self.changed.append(where)
        if outcome not in (Outcome.REFUSED, Outcome.DIFFERS):
            return
        is_new = placed.why not in self.refused
        if outcome is Outcome.REFUSED and (not is_new or len(self.refused) < _REASONS):
            self.refused[placed.why] += 1
        if len(self._notable) < _NOTABLE or (is_new and len(self._notable) < 2 * _NOTABLE):
            self._notable.append(Notable(where, outcome, placed.why))

    @property
    def notable(self) -> Sequence[Notable]:
        """Those that somebody should look at."""
        return tuple(self._notable)
