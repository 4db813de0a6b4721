"""Equal calls have equal fingerprints in every process; others never."""

from __future__ import annotations

import datetime as dt
import enum
import inspect
import subprocess
import sys
import uuid
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn import InvalidValue
from sojourn.cache.fingerprint import arguments_of, fingerprint, name_of, unbound

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


class Colour(enum.Enum):
    RED = 1


@dataclass
class Point:
    x: int


@dataclass
class Place:
    x: int


class Row(msgspec.Struct):
    x: int


def of(value: Any) -> str:
    return fingerprint("call", {"value": value})


def same(one: Any, two: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return repr(one) == repr(two)


@given(plain, plain)
def test_it_is_the_same_for_the_same_and_for_no_other(one: Any, two: Any) -> None:
    assert (of(one) == of(two)) is same(one, two)


def test_every_type_is_told_apart() -> None:
    now = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    values: list[Any] = [
        *(1, 1.0, True, "1", None, "None", b"1", [1], (1,), {1}, {1: 1}, {"1": 1}, {1: "1"}),
        *(Point(1), Place(1), Row(1), {"x": 1}, Colour.RED, "RED", float("inf"), float("nan")),
        *(now, now.isoformat(), now.date(), dt.timedelta(1), Decimal(1), Decimal("1.0")),
        *(uuid.UUID(int=1), str(uuid.UUID(int=1)), ["int", "1"], [["int", "1"]], {}, [], ()),
    ]
    assert len({of(value) for value in values}) == len(values)


def test_order_of_keys_and_of_sets_does_not_count() -> None:
    assert of({"a": 1, "b": {"c": 2, "d": 3}}) == of({"b": {"d": 3, "c": 2}, "a": 1})
    assert of({"x", "y", "z"}) == of({"z", "y", "x"})


def test_another_process_has_the_same() -> None:
    code = (
        "from sojourn.cache.fingerprint import fingerprint;"
        "print(fingerprint('call', {'value': {'a', 'b', 'c', 'd', 'e'}}))"
    )
    seen = {
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
        for _ in range(3)
    }
    assert seen == {of({"a", "b", "c", "d", "e"}).encode() + b"\n"}


@pytest.mark.parametrize("value", [object(), [object()], lambda: 0, {"k": {1: object()}}])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValue, match="key="):
        of(value)


def test_what_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidValue, match="key="):
        of(loop)


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(InvalidValue, match="key="):
        of("\ud800")


def test_arguments_are_bound_by_name() -> None:
    def work(a: int, *rest: int, b: int = 2, **more: int) -> None: ...

    signature = inspect.signature(work)
    assert arguments_of(signature, (1,), {}) == arguments_of(signature, (1,), {"b": 2})
    assert arguments_of(signature, (1, 2), {}) != arguments_of(signature, (1,), {"c": 2})
    assert name_of(unbound(partial(work, 1)).func) == name_of(work)
