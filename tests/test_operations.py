"""Every operation of a room says what it does on a server, and what in memory."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import sojourn
from sojourn.calls.operation import Operation
from sojourn.sessions.operation import SessionWrite


def every(kind: type[Operation[Any]]) -> Iterator[type[Operation[Any]]]:
    for each in kind.__subclasses__():
        yield each
        yield from every(each)


def operations() -> list[type[Operation[Any]]]:
    root = Path(sojourn.__file__).parent
    for path in [*root.glob("*/operations.py"), *root.glob("*/operations/[!_]*.py")]:
        import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))
    found = {each for each in every(Operation) if each.__module__.startswith("sojourn.")}
    return sorted(found - {SessionWrite}, key=lambda each: each.__name__)


def test_each_room_has_operations() -> None:
    rooms = {each.__module__.split(".")[1] for each in operations()}
    assert rooms >= {"artifacts", "cache", "memory", "sessions"}


@pytest.mark.parametrize("kind", operations(), ids=lambda kind: kind.__name__)
def test_an_operation_runs_on_both(kind: type[Operation[Any]]) -> None:
    assert kind.on_server is not Operation.on_server
    assert kind.in_memory is not Operation.in_memory
    assert kind.__struct_config__.frozen
