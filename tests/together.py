"""How tests run side by side: who shares a process, who goes first, and who must be alone."""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

EARLY = ["tests/faults/", "tests/e2e/", "tests/integrations/adk/test_adk_command.py"]
"""What waits longest comes first, so that no worker is left with it at the end."""

_LOCKS = Path(tempfile.gettempdir())


def group(item: pytest.Item) -> str:
    """Tests of one group run in one process, in order. Those that share nothing have none.

    A row of the topology table is one: its server starts once. So is a file or a class that keeps
    something for all its tests.
    """
    if (row := row_of(item)) is not None:
        return row
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009
    scopes = {fixture[-1].scope for fixture in fixtures.values()}
    if scopes & {"module", "class", "package"}:
        return item.nodeid.partition("::")[0]
    return item.nodeid


def row_of(item: pytest.Item) -> str | None:
    """The row of the topology table that a test runs on."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    return str(params["url"]) if "url" in params else None


def arrange(items: list[pytest.Item]) -> None:
    """Put the early ones first and the quiet ones last, and say who belongs together."""
    for item in items:
        quiet = item.get_closest_marker("quiet") is not None
        item.add_marker(pytest.mark.xdist_group("quiet" if quiet else group(item)))

    def place(item: pytest.Item) -> int:
        if item.get_closest_marker("quiet"):
            return 2
        return 0 if item.nodeid.startswith(tuple(EARLY)) else 1

    items.sort(key=place)


@contextmanager
def alone_or_not(config: pytest.Config, *, alone: bool) -> Iterator[None]:
    """Wait until one may run: a quiet test while no other does, also in other workers.

    Who wants to be alone holds the door, so that nobody else gets in while it waits.
    """
    if not hasattr(config, "workerinput"):
        yield
        return
    name = hashlib.sha256(str(config.rootpath).encode()).hexdigest()[:12]
    with ExitStack() as stack:
        door = stack.enter_context((_LOCKS / f"sojourn-tests-{name}.door").open("w"))
        room = stack.enter_context((_LOCKS / f"sojourn-tests-{name}.room").open("w"))
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
