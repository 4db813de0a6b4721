"""Search index of one scope: its entries in an SQLite database in this process's memory."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, Lock
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from sojourn.codecs import decode
from sojourn.errors import ConfigurationError
from sojourn.memory.store import WITNESSES, ChangeMark, Changes, Item, MemoryRow, Witness
from sojourn.memory.vectors import Vectors, fused
from sojourn.memory.words import LONGEST, asked_words, stored_words, texts_in

if TYPE_CHECKING:
    from sqlite3 import Connection

_NO_SEARCH = (
    "This Python cannot search: its SQLite is missing, or has no FTS5. Use a build that has it; "
    "all but search() works without."
)
_SCHEMA = """
PRAGMA temp_store = MEMORY;
CREATE TABLE entry (id INTEGER PRIMARY KEY, key BLOB UNIQUE, version INTEGER, created REAL,
    updated REAL, expires REAL, value BLOB, metadata BLOB, text BLOB, vector BLOB,
    tenant TEXT);
CREATE INDEX latest ON entry (version);
CREATE INDEX expiry ON entry (expires) WHERE expires IS NOT NULL;
CREATE VIRTUAL TABLE word USING fts5 (words, tokenize = "porter ascii");
"""
# No temporary file: entries may be sealed where they are stored, and are plain here.
# `ascii` takes every other character for a part of a word: words come as `stored_words` cut them.

_FIND = """
SELECT word.rowid, -rank FROM word JOIN entry ON entry.id = word.rowid
WHERE word MATCH ? AND (? IS NULL OR entry.tenant = ?) ORDER BY rank, version DESC LIMIT ?
"""
_READ = """
SELECT key, value, metadata, text, tenant, version, created, updated, expires FROM entry
WHERE id = ?
"""
_LATEST = "SELECT key, version, updated, expires FROM entry ORDER BY version DESC LIMIT ?"
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM word WHERE word MATCH ? LIMIT ?)"

_CANDIDATES = 50
"""Entries in each of the two rankings that are fused."""
_FEW = 200
"""Entries up to which no word counts as too common."""
_MOST = 100
"""Terms of a query that are searched for."""
_COUNTED = 1000
"""Entries up to which terms are counted, to find the rarest."""


class IndexHit(NamedTuple):
    """An entry that matches a query, and its score, above zero."""

    row: MemoryRow
    score: float


class Index:
    """The search index of one scope. Several threads may use it.

    Attributes:
        mark: the changes that it contains.
        entries: their number.
        size: in bytes.
        users: how many calls are using it.
        turns: a lock for each event loop, held while a task reads the changes from the store.
        lacks_since: when it was found that an entry cannot be decoded, by the monotonic clock.
    """

    def __init__(self) -> None:
        self.mark: ChangeMark | None = None
        self.entries = 0
        self.size = 0
        self.users = 0
        self.turns: WeakKeyDictionary[AbstractEventLoop, Lock] = WeakKeyDictionary()
        self.lacks_since: float | None = None
        self._vectors: Vectors | None = None
        self._lock = threading.Lock()
        self._db = _database()

    def apply(self, since: ChangeMark | None, changes: Changes) -> None:
        """Apply the changes since `since`, unless another thread has applied later ones."""
        reached = changes.mark
        with self._lock:
            known = 0 if self.mark is None else self.mark.seq
            if reached is None or (0 if since is None else since.seq) > known:
                return
            if self.mark is not None and reached.seq <= known:
                return
            self._db.execute("BEGIN")
            try:
                for row in changes.rows:
                    self._forget(row.item.key, row.version)
                    if not self._knows(row.item.key):  # else a newer one, from another thread
                        self._learn(row)
                for key, version in changes.removed:
                    self._forget(key, version)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            self.mark = reached
            self._measure()

    def known(self) -> tuple[ChangeMark | None, list[Witness]]:
        """The changes that it contains, and its latest entries, the newest first."""
        with self._lock:
            found = self._db.execute(_LATEST, (WITNESSES,)).fetchall()
            return self.mark, [Witness(key.decode(), *rest) for key, *rest in found]

    def find(
        self, query: str, limit: int, now: float, vector: bytes = b"", tenant: str | None = None
    ) -> list[IndexHit]:
        """Entries that match a query, the best first; among equals the newest.

        Args:
            query: any text.
            limit: how many at most.
            now: entries that have expired by then are left out.
            vector: of the query, to compare with those of entries; empty for none.
            tenant: only this tenant's entries, empty for those of no tenant; None for all.
        """
        terms = asked_words(query)
        with self._lock:
            dead = self._db.execute("SELECT id FROM entry WHERE expires <= ?", (now,)).fetchall()
            if dead:
                self._remove(dead)
                self._measure()
            if not vector:
                best = self._by_words(terms, limit, tenant)
            else:
                many = max(_CANDIDATES, limit)
                words = [number for number, _ in self._by_words(terms, many, tenant)]
                best = fused(words, self._by_vector(vector, many, tenant))[:limit]
            return [self._found(number, score) for number, score in best]

    def _by_words(
        self, terms: list[str], limit: int, tenant: str | None
    ) -> list[tuple[int, float]]:
        terms = self._telling(terms)
        if not terms:
            return []
        return self._db.execute(_FIND, (" OR ".join(terms), tenant, tenant, limit)).fetchall()

    def _by_vector(self, vector: bytes, limit: int, tenant: str | None) -> list[int]:
        if self._vectors is None or self._vectors.length != len(vector):
            rows = self._db.execute(
                "SELECT id, vector FROM entry WHERE length(vector) = ?", (len(vector),)
            ).fetchall()
            self._vectors = Vectors(
                [number for number, _ in rows], [each for _, each in rows], len(vector)
            )
            self._measure()
        if tenant is None:
            return self._vectors.nearest(vector, limit)
        theirs = self._db.execute("SELECT id FROM entry WHERE tenant = ?", (tenant,)).fetchall()
        return self._vectors.nearest(vector, limit, {number for (number,) in theirs})

    def _found(self, number: int, score: float) -> IndexHit:
        key, value, metadata, text, tenant, *rest = self._db.execute(_READ, (number,)).fetchone()
        return IndexHit(
            MemoryRow(Item(key.decode(), value, metadata, text, tenant=tenant), *rest), score
        )

    def _telling(self, terms: list[str]) -> list[str]:
        """The terms, without those in more than half of all entries, unless no others match.

        In BM25 they weigh nothing, and take most of the time. Of a long query the rarest stay.
        """
        if self.entries <= _FEW and len(terms) <= _MOST:
            return terms
        half = self.entries if self.entries <= _FEW else self.entries // 2
        known = [(count, term) for term in terms if (count := self._count(term, _COUNTED))]
        known.sort(key=itemgetter(0))
        rare = [
            term
            for count, term in known[:_MOST]
            if (count if count < _COUNTED else self._count(term, half + 1)) <= half
        ]
        return rare or [term for _, term in known[:_MOST]]

    def _count(self, term: str, most: int) -> int:
        count: int = self._db.execute(_COUNT, (term, most)).fetchone()[0]
        return count

    def close(self) -> None:
        """Free its memory."""
        with self._lock:
            self._db.close()

    def _learn(self, row: MemoryRow) -> None:
        item = row.item
        done = self._db.execute(
            "INSERT INTO entry VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(item.key.encode(), row.version, row.created, row.updated, row.expires),
                *(item.value, item.metadata, item.text, item.vector or None, item.tenant),
            ),
        )
        self._db.execute(
            "INSERT INTO word (rowid, words) VALUES (?, ?)", (done.lastrowid, _words_of(item))
        )

    def _knows(self, key: str) -> bool:
        found = self._db.execute("SELECT 1 FROM entry WHERE key = ?", (key.encode(),))
        return found.fetchone() is not None

    def _forget(self, key: str, version: int) -> None:
        self._remove(
            self._db.execute(
                "SELECT id FROM entry WHERE key = ? AND version <= ?", (key.encode(), version)
            ).fetchall()
        )

    def _remove(self, ids: list[tuple[int]]) -> None:
        self._vectors = None
        self._db.executemany("DELETE FROM word WHERE rowid = ?", ids)
        self._db.executemany("DELETE FROM entry WHERE id = ?", ids)

    def _measure(self) -> None:
        (self.entries,) = self._db.execute("SELECT count(*) FROM entry").fetchone()
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (page,) = self._db.execute("PRAGMA page_size").fetchone()
        self.size = pages * page + (0 if self._vectors is None else self._vectors.size)


def _database() -> Connection:
    try:
        import sqlite3  # noqa: PLC0415 - some builds of Python have none, and most calls need none

        db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    except ImportError as error:
        raise ConfigurationError(_NO_SEARCH) from error
    try:
        db.executescript(_SCHEMA)
    except sqlite3.Error as error:
        db.close()
        raise ConfigurationError(_NO_SEARCH) from error
    return db


def searched(item: Item) -> str:
    """The text of an entry that is searched, besides its key."""
    if item.text is not None:
        return item.text.decode()
    try:
        value = decode(item.value)
    except ValueError:  # reading the entry raises it
        return ""
    found: list[str] = []
    room = LONGEST
    for text in texts_in(value):
        found.append(text)
        room -= len(text)
        if room <= 0:
            break
    return " ".join(found)


def _words_of(item: Item) -> str:
    return f"{stored_words(item.key)} {stored_words(searched(item))}"
