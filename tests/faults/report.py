"""What was told to clients, and what of it is not true."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from faults.notebook import Entry

LOSSES = frozenset({"lost event", "lost session", "lost state", "lost change", "undeleted"})
"""What a server that loses acknowledged writes leads to. Everything else is never excused."""


class Finding(NamedTuple):
    """Something that is not as it was promised.

    Attributes:
        kind: in a word or two.
        what: where, and what it is.
        entry: the write that was lost.
    """

    kind: str
    what: str
    entry: Entry | None = None


@dataclass
class Report:
    """What was told, and what of it is not true."""

    findings: list[Finding]
    operations: int
    acknowledged: int
    unknown: int
    resolved: int
    failed: int
    longest: float

    @property
    def kinds(self) -> Counter[str]:
        return Counter(finding.kind for finding in self.findings)

    @property
    def lost(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind in LOSSES]

    @property
    def doubled(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind.startswith("doubled")]

    def problems(self, *, lossy: bool = False) -> list[Finding]:
        """What must not be; where a server may lose the latest writes, losses are only counted."""
        return [each for each in self.findings if not (lossy and each.kind in LOSSES)]
