"""Names that a server gives in no order, perhaps twice: in order, once, and not in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager


class Plan:
    """Names in a file of its own, which is gone with it. Made by `plan`."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base
        base.execute(
            "CREATE TABLE names (a TEXT, b TEXT, c TEXT, PRIMARY KEY (a, b, c)) WITHOUT ROWID"
        )

    def add(self, a: str, b: str, c: str = "") -> None:
        """Add a name of up to three parts."""
        self._base.execute("INSERT OR IGNORE INTO names VALUES (?, ?, ?)", (a, b, c))

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        return self._base.execute("SELECT a, b, c FROM names ORDER BY a, b, c")


@contextmanager
def plan() -> Generator[Plan]:
    """A plan for as long as it is needed."""
    with closing(sqlite3.connect("")) as base:  # the empty name: a file that SQLite deletes
        yield Plan(base)
