"""Other arguments are another call: whatever their types, and however they were bound."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pydantic
import pytest

import sojourn
from sojourn import InvalidInput
from sojourn.cache.fingerprint import fingerprint

Work = Callable[[], Coroutine[Any, Any, str]]


class Open(pydantic.BaseModel, extra="allow"):
    x: int = 1


class Rights(enum.IntFlag):
    READ = 1


class Person(pydantic.BaseModel):
    name: str

    async def hello(self) -> str:
        return f"hello {self.name}"

    @classmethod
    async def kind(cls) -> str:
        return cls.__name__


class Robot(Person):
    pass


async def greet(word: str, name: str) -> str:
    return f"{word} {name}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Open(y=1), Open(y=2)),
        (Rights(8), Rights(16)),
        (dt.time(12, tzinfo=ZoneInfo("Europe/Paris")), dt.time(12, tzinfo=ZoneInfo("Asia/Tokyo"))),
        (dt.datetime(2024, 11, 3, 1), dt.datetime(2024, 11, 3, 1, fold=1)),  # noqa: DTZ001
        ([10**5000], [10**5000 + 1]),
        (Person, Robot),
    ],
)
def test_unlike_arguments_are_told_apart(one: object, other: object) -> None:
    assert fingerprint("f", {"x": one}) != fingerprint("f", {"x": other})


@pytest.mark.parametrize(
    ("ada", "eve"),
    [
        (partial(greet, "hello", "ada"), partial(greet, "hello", "eve")),
        (
            partial(partial(greet, name="ada"), "hello"),
            partial(partial(greet, name="eve"), "hello"),
        ),
        (Person(name="ada").hello, Person(name="eve").hello),
        (partial(Person(name="ada").hello), partial(Person(name="eve").hello)),
        (Person.kind, Robot.kind),
    ],
)
async def test_what_is_bound_to_a_function_is_an_argument(ada: Work, eve: Work) -> None:
    async with sojourn.open("memory://") as store:
        cached = store.cache.cached()
        for _ in range(2):
            assert [await cached(ada)(), await cached(eve)()] == [await ada(), await eve()]
        assert store.cache.stats().computed == 2


def test_what_has_no_fingerprint_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    for value in (endless, "\ud800", object()):
        with pytest.raises(InvalidInput, match="fingerprint"):
            fingerprint("f", {"x": value})
