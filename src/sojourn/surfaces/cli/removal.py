"""`sojourn sessions clear`: many sessions at once, counted and confirmed first."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sojourn.client import Sojourn
from sojourn.sessions import Session, Sessions
from sojourn.surfaces.cli.console import bar
from sojourn.surfaces.cli.exits import Ended, ExitCode
from sojourn.surfaces.cli.listing import SkippedSessions, number_of_sessions, walk
from sojourn.surfaces.cli.plain import counted, visible

UNTOUCHED = "State of users and apps stays."

_TOGETHER = 200
"""Deletes under way at once."""


class RemovalScope(NamedTuple):
    """Whose sessions: a user's, an app's, or all."""

    app: str | None
    user: str | None

    def __str__(self) -> str:
        if self.app is None:
            return "all apps"
        if self.user is None:
            return f"app {visible(self.app)}"
        return f"user {visible(self.user)} of app {visible(self.app)}"

    def walk(self, store: Sojourn, left_out: SkippedSessions) -> AsyncIterator[Session[Any]]:
        """Its sessions; those that cannot be read are added to `left_out`."""
        return walk(store, self.app, self.user, left_out)


class RemovalCount(NamedTuple):
    """How many sessions, and of how many users."""

    sessions: int
    users: int

    def __str__(self) -> str:
        return f"{number_of_sessions(self.sessions)} of {counted(self.users, 'user')}"


async def tally(found: AsyncIterator[Session[Any]]) -> RemovalCount:
    """Count. A user's sessions come one after the other, so nothing but the last is kept."""
    sessions = users = 0
    owner = None
    async for session in found:
        sessions += 1
        users += session.key.owner != owner
        owner = session.key.owner
    return RemovalCount(sessions, users)


class Removal:
    """Deletes sessions, and knows how far it came when it is stopped.

    Attributes:
        done: sessions deleted.
    """

    def __init__(self, sessions: Sessions) -> None:
        self.done = 0
        self._sessions = sessions

    async def run(self, found: AsyncIterator[Session[Any]], progress: Progress) -> None:
        """Delete what is found, and of each only the very session that was listed."""
        task = progress.tasks[0].id
        batch: list[Session[Any]] = []
        async for session in found:
            batch.append(session)
            if len(batch) == _TOGETHER:
                await self._delete(batch)
                batch = []
                progress.update(task, completed=self.done)
        await self._delete(batch)
        progress.update(task, completed=self.done)

    async def _delete(self, batch: list[Session[Any]]) -> None:
        async with asyncio.TaskGroup() as group:
            for session in batch:
                group.create_task(self._delete_one(session))

    async def _delete_one(self, session: Session[Any]) -> None:
        gone = await self._sessions.delete(session.key, incarnation=session.incarnation)
        self.done += gone  # not in one step with the await: that would forget the others'


def confirm(question: str, *, left: str = "Nothing was deleted.") -> None:
    """Ask on the terminal; `left` says what holds when the answer is no.

    Raises:
        Ended: the answer is not yes, or nobody is there to answer.
    """
    if not sys.stdin.isatty():
        raise Ended(
            f"error: {question} Nobody is at the terminal to confirm that: give --yes if you are "
            f"sure. {left}",
            ExitCode.WRONG_INPUT,
        )
    try:
        sure = typer.confirm(question, err=True)
    except typer.Abort:
        sure = False
    if not sure:
        raise Ended(left, ExitCode.STOPPED)


@contextmanager
def progress_of(total: int) -> Generator[Progress]:
    """A bar on stderr, if that is a terminal; gone when it is over."""
    with bar(TextColumn("deleting"), BarColumn(), MofNCompleteColumn()) as progress:
        progress.add_task("deleting", total=total)
        yield progress
