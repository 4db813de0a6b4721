"""Each operation: written by one version, repeated by the other, seen alike by both."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from compat.conftest import Sides
from compat.operations import READS, SETTING, WRITES, Write
from compat.side import Side, agree

import sojourn.artifacts
import sojourn.cache
import sojourn.client
import sojourn.memory
import sojourn.sessions
import sojourn.streams

OPERATION = "the-same-operation-in-both"

CLASSES = (
    sojourn.client.Sojourn,
    sojourn.sessions.Sessions,
    sojourn.sessions.History,
    sojourn.cache.Cache,
    sojourn.memory.Memory,
    sojourn.memory.Scope,
    sojourn.artifacts.Artifacts,
    sojourn.streams.Streams,
)


def pictures(one: Side, two: Side) -> Any:
    """What both see, which is the same."""
    found = one.run("await picture(store)"), two.run("await picture(store)")
    for name in sorted({*found[0], *found[1]}):
        seen = [each.get(name, "nothing") for each in found]
        assert agree(*seen), f"{name}: {one.version.name} sees {seen[0]}, the other {seen[1]}"
    return found[0]


def told(value: Any) -> Any:
    """A result without what says that it was a repetition."""
    if isinstance(value, dict):
        return {k: told(v) for k, v in value.items() if k not in {"repeated", "seqs", "expires"}}
    return [told(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("first", ["earlier", "later"])
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.name)
def test_an_operation_of_one_is_known_to_the_other(
    sides: Sides, write: Write, first: str
) -> None:
    one, two = sides.in_order(first)
    for step in (*SETTING, *write.before):
        two.run(step)
    before = pictures(one, two)

    result = one.run(write.call, op=OPERATION)
    after = pictures(one, two)
    assert (after != before) is write.seen

    if write.once:
        again = two.run(write.call, op=OPERATION)
        assert agree(told(result), told(again))
        assert pictures(one, two) == after


def test_every_operation_is_in_the_table() -> None:
    rows = {write.name.partition(" ")[0] for write in WRITES}
    for each in CLASSES:
        for name, method in vars(each).items():
            public = inspect.iscoroutinefunction(method) and not name.startswith("_")
            if public and name not in READS[each.__name__]:
                assert f"{each.__name__}.{name}" in rows, f"add {each.__name__}.{name} to WRITES"
