"""Counts of imported records, by outcome."""

from __future__ import annotations

from collections import Counter

from sojourn.errors import Conflict
from sojourn.sessions.archive import Outcome
from sojourn.transfer.lines import Counts, NewerLine, UnreadableLine
from sojourn.transfer.model import Existing, Told


class ImportStats:
    """Counts, and decides what is done with what is there and is something else.

    Args:
        existing: that.
        told: gets a line for each.

    Attributes:
        written: how much was written, by the names of `Counts`.
        identical: how much was there already.
        conflicts: how much was there and was something else.
        newer: how much of that cannot be decoded here.
        expired: of how much the time had come.
    """

    def __init__(self, existing: Existing, told: Told) -> None:
        self._existing = existing
        self.told = told
        self.written: Counter[str] = Counter()
        self.identical = 0
        self.conflicts = 0
        self.newer = 0
        self.expired = 0

    @property
    def counts(self) -> Counts:
        """What was written."""
        return Counts(**self.written)

    @property
    def replaces(self) -> bool:
        """Whether what is there is replaced."""
        return self._existing == "replace"

    def stays(self, what: str) -> bool:
        """Count a conflict and tell it; whether what is there stays.

        Raises:
            Conflict: that is to end the import.
        """
        if self._existing == "fail":
            raise Conflict(f"There is another {what} already. What stands before it was imported.")
        self.conflicts += 1
        stays = self._existing == "skip"
        self.told(f"another one was there and {'stays' if stays else 'is replaced'}: {what}")
        return stays

    def stays_newer(self, what: str) -> None:
        """Count and tell a conflict with what cannot be decoded here: that always stays.

        Raises:
            Conflict: conflicts are to end the import.
        """
        if self._existing == "fail":
            self.stays(what)
        self.conflicts += 1
        self.newer += 1
        self.told(
            "one that only a newer version of Sojourn can read, or only with a key that is not "
            f"here, was there and stays: {what}"
        )

    def erased(self, what: str) -> bool:
        """Count and tell what is not written, as its user was forgotten; always false.

        Raises:
            Conflict: conflicts are to end the import.
        """
        if self._existing == "fail":
            raise Conflict(f"The user of {what} was forgotten. What stands before it was imported.")
        self.conflicts += 1
        self.told(f"its user was forgotten, and it is not imported: {what}")
        return False

    def left_out(self, line: UnreadableLine | NewerLine) -> None:
        """Count what the export has left out."""
        self.written["newer" if isinstance(line, NewerLine) else "unreadable"] += 1

    def settled(self, outcome: Outcome, what: str, count: str) -> bool:
        """Count what became of a write; whether it was done."""
        if outcome == "expired":
            self.expired += 1
        elif outcome == "exists":  # since a moment
            self.stays(what)
        else:
            self.written[count] += 1
        return outcome == "restored"
