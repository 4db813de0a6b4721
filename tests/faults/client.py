"""A client that writes and reads by the dice, and writes down what it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, NamedTuple

import sojourn
from faults.lateness import Lateness
from faults.notebook import Entry, Notebook, Place
from faults.report import Finding
from sojourn import Event, OutcomeUnknown, SessionKey, SojournError, Unavailable
from sojourn.ids import session_id_of

SLACK = 1.0
"""Seconds that a call may take beyond its deadline, besides those by which this process was late:
other tasks have the loop, too."""
HUNG = 10.0
"""Seconds after which a call that still runs is given up."""


class Ways(NamedTuple):
    """How clients behave.

    Attributes:
        timeout: the store's `operation_timeout`.
        repeat: repeat what is in doubt under the same id until it is answered.
        pause: seconds between two writes of a client, at most.
        lossy: the servers may lose what they had acknowledged, so reads may go back.
    """

    timeout: float = 2.0
    repeat: bool = True
    pause: float = 0.02
    lossy: bool = False


class Client:
    """One client: a task that does one thing after the other, by the dice."""

    def __init__(
        self,
        name: str,
        store: sojourn.Sojourn,
        dice: Random,
        ways: Ways,
        *,
        book: Notebook | None = None,
        acknowledged: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.book = book or Notebook(name)
        self.findings: list[Finding] = []
        self.give_up = float("inf")
        self.repeated = 0
        self._sessions = store.sessions
        self._dice = dice
        self._ways = ways
        self._acknowledged = acknowledged
        self._lateness: Lateness | None = None
        self._own: dict[Place, str] = {}
        self._gone: list[tuple[Place, str]] = []
        self._seen: dict[Place, int] = {}

    async def run(self, shared: Sequence[tuple[Place, str]], stop: asyncio.Event) -> None:
        """Write and read until told to stop."""
        while not stop.is_set():
            await self.step(shared)
            await asyncio.sleep(self._dice.random() * self._ways.pause)

    async def step(self, shared: Sequence[tuple[Place, str]]) -> None:
        """One thing, whichever the dice say."""
        dice = self._dice
        what = dice.choices(
            ("shared", "own", "create", "delete", "update", "late", "read"),
            (50, 15, 8, 6, 8, 3, 10),
        )[0]
        own = dice.choice(sorted(self._own)) if self._own else None
        if what == "shared":
            await self.append(*dice.choice(shared))
        elif what == "read":
            await self.read(dice.choice(shared)[0])
        elif what == "late" and self._gone:
            await self.append(*dice.choice(self._gone))
        elif what == "create" or own is None:
            await self.create(self._place(dice.choice(shared)[0]))
        elif what == "own":
            await self.append(own, self._own[own])
        elif what == "delete":
            await self.delete(own)
        else:
            await self.update(own)

    # ── writes ─────────────────────────────────────────────────────────────────────────────────

    async def create(self, place: Place) -> str:
        """Create a session. Gives its incarnation."""
        name = self._next()
        values = {**self._values(), "@title": f"made by {name}"}
        state = {key: value for key, value in values.items() if not key.startswith("@")}
        entry = Entry("create", place, name, name, values=values)
        done = await self.perform(
            entry,
            lambda: self._sessions.create(
                place.app,
                place.user,
                None if place.session == session_id_of(name) else place.session,
                state=state,
                title=values["@title"],
                operation_id=name,
            ),
        )
        if done is not None:
            self._own[place] = name
        return name

    async def create_surely(self, place: Place) -> str:
        """Create a session, again and again while that fails. Gives its incarnation."""
        while True:
            incarnation = await self.create(place)
            if self.book.entries[-1].outcome == "acknowledged":
                return incarnation

    async def append(self, place: Place, incarnation: str) -> None:
        name = self._next()
        size = 70_000 if self._dice.random() < 0.01 else self._dice.randrange(200)
        values = self._values()
        events = [
            Event(author=self.name, payload="x" * size, id=f"{name}/{n}")
            for n in range(self._dice.choice((1, 1, 2)))
        ]
        events[-1] = Event(author=self.name, payload=1, id=events[-1].id, state_delta=values)
        ids = [event.id for event in events]
        entry = Entry("append", place, name, incarnation, events=ids, values=values)
        done = await self.perform(
            entry,
            lambda: self._sessions.append(
                SessionKey.of(*place), *events, incarnation=incarnation, operation_id=name
            ),
        )
        if done is not None:
            self.repeated += done.repeated
            self._seen[place] = max(self._seen.get(place, 0), *done.seqs, 0)
        elif entry.error == "SessionNotFound" and (place, incarnation) not in self._gone:
            self._missing(entry)

    async def update(self, place: Place) -> None:
        name = self._next()
        title = f"changed by {name}"
        incarnation = self._own[place]
        entry = Entry("update", place, name, incarnation, values={"@title": title})
        await self.perform(
            entry,
            lambda: self._sessions.update(SessionKey.of(*place), title=title, operation_id=name),
        )
        if entry.error == "SessionNotFound":
            self._missing(entry)

    async def delete(self, place: Place) -> None:
        name = self._next()
        incarnation = self._own.pop(place)
        entry = Entry("delete", place, name, incarnation)
        done = await self.perform(
            entry,
            lambda: self._sessions.delete(
                SessionKey.of(*place), incarnation=incarnation, operation_id=name
            ),
        )
        if done is False:
            self._missing(entry)
        if entry.outcome == "failed":
            self._own[place] = incarnation
        else:
            self._gone.append((place, incarnation))

    async def perform(self, entry: Entry, call: Callable[[], Awaitable[Any]]) -> Any:
        """Do it, and do it again while it is in doubt. Gives the answer, or None."""
        loop = asyncio.get_running_loop()
        self.book.begin(entry)
        while True:
            answer: Any = None
            started, late = loop.time(), self._late()
            try:
                async with asyncio.timeout(self._ways.timeout + HUNG):
                    answer = await call()
                entry.outcome = "acknowledged"
            except OutcomeUnknown as error:
                entry.doubted = True
                entry.error = type(error).__name__
                if error.operation_id != entry.operation_id:
                    self._find("another's id", f"{entry} was told {error.operation_id}")
            except SojournError as error:
                entry.error = type(error).__name__
                if not entry.doubted:
                    entry.outcome = "failed"
                elif not isinstance(error, Unavailable):
                    return None  # it is in doubt for ever
            self._time(entry, loop.time() - started, self._late() - late)
            self.book.note(entry)
            if entry.outcome == "acknowledged":
                self._acknowledged()
                return answer
            await asyncio.sleep(0.01 + self._dice.random() * 0.04)
            if entry.outcome == "failed" or not self._ways.repeat:
                return None
            if loop.time() > self.give_up:
                self._find("never answered", f"{entry}: {entry.error}")
                return None

    # ── reads ──────────────────────────────────────────────────────────────────────────────────

    async def read(self, place: Place) -> None:
        """Read a session that nobody deletes, and see that it is there, whole and not older."""
        last = self._dice.choice((None, 0, 5, 100))
        loop = asyncio.get_running_loop()
        started, late = loop.time(), self._late()
        error = ""
        try:
            async with asyncio.timeout(self._ways.timeout + HUNG):
                found = await self._sessions.get(SessionKey.of(*place), last=last)
            if found is None:
                self._find("emptiness", f"{place} was said not to exist")
            elif not found.complete and found.durable:
                self._find("read incomplete", f"{place}, last {last}")
            elif found.length < self._seen.get(place, 0) and not self._ways.lossy:
                self._find("read goes back", f"{place}: {found.length} of {self._seen[place]}")
            else:
                self._seen[place] = found.length
        except OutcomeUnknown as unknown:
            self._find("another's id", f"a read of {place} was told {unknown.operation_id}")
        except Unavailable as unavailable:
            error = type(unavailable).__name__
            await asyncio.sleep(0.01 + self._dice.random() * 0.04)
        self._time(f"read of {place} {error}", loop.time() - started, self._late() - late)

    # ── steps ──────────────────────────────────────────────────────────────────────────────────

    def _next(self) -> str:
        return f"{self.name}-{len(self.book.entries)}"

    def _place(self, near: Place) -> Place:
        """A session of this client's own: a new one, or one that it had deleted.

        The id of a new one is made of the create's own, so that a create can be buffered.
        Where deletes may be lost only a new one: else nobody could say whose the old one is.
        """
        ours = [place for place, _ in self._gone if place not in self._own]
        if ours and not self._ways.lossy and self._dice.random() < 0.3:
            return self._dice.choice(ours)
        return near._replace(session=session_id_of(self._next()))

    def _values(self) -> dict[str, Any]:
        """State that only this client sets."""
        value = len(self.book.entries)
        chances = {self.name: 0.5, f"user:{self.name}": 0.3, f"app:{self.name}": 0.2}
        return {key: value for key, chance in chances.items() if self._dice.random() < chance}

    def _missing(self, entry: Entry) -> None:
        """A session was said not to exist though nobody has deleted it."""
        self._own.pop(entry.place, None)
        self._find("lost session", f"{entry} was told that there is none")

    def _late(self) -> float:
        """Seconds by which this process was late so far."""
        if self._lateness is None:
            self._lateness = Lateness()
        return self._lateness.seconds()

    def _time(self, what: Entry | str, seconds: float, late: float) -> None:
        if isinstance(what, Entry):
            what.seconds = max(what.seconds, seconds)
            what.told = time.time()
        if seconds - late > self._ways.timeout + SLACK:
            self._find("overdue", f"{what} took {seconds:.1f} s, {late:.1f} s of them ours")

    def _find(self, kind: str, what: str) -> None:
        self.findings.append(Finding(kind, what))
