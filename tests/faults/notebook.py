"""What clients write down: what they are about to do, and what they were told of it.

Nothing here knows Sojourn, so that whoever judges it need not either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

Kind = Literal["create", "append", "update", "delete"]
Outcome = Literal["acknowledged", "unknown", "failed"]
"""Done; may be done or not; not done."""


class Place(NamedTuple):
    """Whose session."""

    app: str
    user: str
    session: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass
class Entry:
    """One write.

    Attributes:
        kind: what it does.
        place: to which session.
        operation_id: under which id; repeats have the same.
        incarnation: of which session of that place; a create's is its operation id.
        events: ids of the events, in order.
        values: what it sets: state keys with their prefix, fields of the session with `@`. No other
            client sets the same.
        outcome: unknown until told.
        doubted: it was unknown for a while.
        error: class of the last error.
        seconds: how long its longest try took.
        told: seconds since the epoch.
    """

    kind: Kind
    place: Place
    operation_id: str
    incarnation: str
    events: list[str] = field(default_factory=list)
    values: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome = "unknown"
    doubted: bool = False
    error: str = ""
    seconds: float = 0.0
    told: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} {self.operation_id} of {self.place}"


class Notebook:
    """What one client did, in order: it begins a write only when it was told of the one before.

    Args:
        client: its name.
        path: also written to this file, line by line, for a client that will be killed.
    """

    def __init__(self, client: str, path: Path | None = None) -> None:
        self.client = client
        self.entries: list[Entry] = []
        self._file = None if path is None else path.open("a", buffering=1)

    def begin(self, entry: Entry) -> Entry:
        """Write down what will be done, before anything of it is sent."""
        self.entries.append(entry)
        self.note(entry)
        return entry

    def note(self, entry: Entry) -> None:
        """Write down what has become of it."""
        if self._file is not None:
            self._file.write(json.dumps(asdict(entry)) + "\n")

    @classmethod
    def read(cls, client: str, path: Path) -> Notebook:
        """The notebook that a client left behind; half a line is none."""
        book = cls(client)
        latest: dict[str, Entry] = {}
        for line in path.read_text().splitlines(keepends=True) if path.exists() else []:
            if line.endswith("\n"):
                entry = Entry(**json.loads(line))
                entry.place = Place(*entry.place)
                latest[entry.operation_id] = entry
        book.entries = list(latest.values())
        return book
