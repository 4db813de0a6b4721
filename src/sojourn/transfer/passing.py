"""Unknown parts of an archive, skipped by this version and counted by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

NAMES, LENGTH = 50, 80
"""How many names are told of each sort, and characters of one: an archive may have any."""
OTHERS = "others"
"""Stands for the names beyond those."""

Sort = Literal["lines", "members", "fields"]


class PassedOver(msgspec.Struct, frozen=True, kw_only=True):
    """What of an archive this version of Sojourn does not know, and how often it was there.

    At most 50 names of each sort are told, the rest together as `others`.

    Attributes:
        lines: whole lines, by their kind.
        members: members of lines that it knows, by kind and name: `session.colour`.
        fields: fields of records that the version which exported did not know either.
    """

    lines: Mapping[str, int] = {}
    members: Mapping[str, int] = {}
    fields: Mapping[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self.lines or self.members or self.fields)


class Passing:
    """Counts what is passed over."""

    def __init__(self) -> None:
        self._counts: dict[Sort, dict[str, int]] = {"lines": {}, "members": {}, "fields": {}}

    def add(self, sort: Sort, name: str) -> None:
        """Count something of this name."""
        counts, name = self._counts[sort], name[:LENGTH]
        if name not in counts and len(counts) >= NAMES:
            name = OTHERS
        counts[name] = counts.get(name, 0) + 1

    @property
    def total(self) -> PassedOver:
        """What there was until now."""
        counts = self._counts
        return PassedOver(
            lines={**counts["lines"]}, members={**counts["members"]}, fields={**counts["fields"]}
        )
