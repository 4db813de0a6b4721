"""Findings and reports of the doctor: frozen values."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How grave a finding is."""

    OK = "ok"
    ADVICE = "advice"
    """Could be better; nothing is lost and nothing fails."""
    UNKNOWN = "unknown"
    """The server does not let it be checked."""
    WARNING = "warning"
    """Loses data or fails when something happens that does happen: a crash, a full memory."""
    PROBLEM = "problem"
    """Loses data or fails as it stands."""


class Verdict(NamedTuple):
    """What one check says: how grave it is, what is, and what to do, each in a sentence."""

    level: Level
    what: str
    todo: str = ""


class Finding(NamedTuple):
    """A verdict and whose it is.

    Attributes:
        group: what the check is about, for headings.
        check: the name of the check; scripts may rely on it.
        level: how grave it is.
        what: what is, in a sentence.
        todo: what to do; empty when there is nothing.
        node: the server that it is about, where there are several.
    """

    group: str
    check: str
    level: Level
    what: str
    todo: str = ""
    node: str = ""


class Report(NamedTuple):
    """What was found.

    Attributes:
        where: the address of the store, without secrets.
        findings: in the order of the checks, server by server.
    """

    where: str
    findings: list[Finding]

    def count(self, level: Level) -> int:
        """How many findings are of this level."""
        return sum(finding.level is level for finding in self.findings)

    @property
    def healthy(self) -> bool:
        """Whether there is no warning and no problem."""
        return not self.count(Level.WARNING) + self.count(Level.PROBLEM)
