"""What comes out may be sent on: errors and values survive pickle, copies and a spawned process."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import enum
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
import typing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import msgspec
import pytest
import typing_extensions

import sojourn
from sojourn import Event, SessionKey, SojournError, UserKey, errors
from sojourn.errors import NotPicklable
from sojourn.memory import Draft
from sojourn.security import Principal

SPECIAL: dict[str, dict[str, Any]] = {
    "TooLarge": {"what": "It", "size": 9, "limit": 5, "option": "max_event_bytes"},
    "EventExists": {"message": "m", "ids": 2},
    "StaleSession": {"message": "m", "expected": 1, "actual": 2},
    "StaleEntry": {"message": "m", "expected": 1, "actual": 2},
    "OutcomeUnknown": {"message": "m", "operation_id": "op"},
    "InvalidBinding": {"message": "m", "reason": "forged"},
    "Throttled": {"message": "m", "retry_after": 1.5},
    "InvalidArchive": {"message": "m", "line": 3},
    "CorruptRecord": {"message": "m", "key": "k", "raw": b"\xff"},
    "NewerFormat": {"message": "m", "found": "2", "known": "1"},
    "KeyMissing": {"message": "m", "key_id": "0123456789abcdef"},
    "DictionaryMissing": {"message": "m", "dictionary": "d"},
}


def tree(root: type[SojournError] = SojournError) -> list[type[SojournError]]:
    return [root, *(each for child in root.__subclasses__() for each in tree(child))]


def made(kind: type[SojournError]) -> SojournError:
    arguments = next(
        (SPECIAL[each.__name__] for each in kind.__mro__ if each.__name__ in SPECIAL), None
    )
    error = kind("m") if arguments is None else kind(**arguments)
    error.add_note("a note")
    return error


def again(value: Any) -> Any:
    return value


def raised() -> None:
    raise made(errors.OutcomeUnknown)


COPIES = {
    **{f"pickle {n}": n for n in range(pickle.HIGHEST_PROTOCOL + 1)},
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def copied(how: str, value: Any) -> Any:
    way = COPIES[how]
    return way(value) if callable(way) else pickle.loads(pickle.dumps(value, way))


OURS = [each for each in tree() if each.__module__ == "sojourn.errors"]


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("kind", OURS)
def test_errors_keep_what_they_carry(kind: type[SojournError], how: str) -> None:
    error = made(kind)
    found = copied(how, error)
    assert type(found) is kind
    assert (str(found), found.args, vars(found)) == (str(error), error.args, vars(error))


def test_every_error_with_arguments_of_its_own_is_tried() -> None:
    assert {each.__name__ for each in OURS if "__init__" in vars(each)} == set(SPECIAL)


async def values() -> list[Any]:
    """What the rooms return."""
    async with sojourn.open("memory://", notices=True) as store:
        key = SessionKey.of("shop", "ada", "s")
        found: list[Any] = [key, UserKey.of("shop", "ada"), Principal.of("shop", "ada")]
        found.append(await store.sessions.create(*key, labels={"a": "b"}, state={"k": [1]}))
        event = Event(author="a", payload={"x": [None, 1.5]}, state_delta={"k": 2})
        found += [event, await store.sessions.append(key, event)]
        found.append(await store.sessions.get(key))
        found.append(await store.batch.get([key]))
        found.append(await store.sessions.list("shop", "ada"))
        found.append(await store.admin.users("shop"))
        found.append(await store.sessions.safe.get(key))
        found.append(await store.sessions.safe.append(SessionKey.of("a", "b", "c"), event))
        found.append(await store.admin.sweep("shop"))
        history = store.history(key)
        await history.append("user", "hello")
        found += await history.all()
        ada = store.memory.user("ada")
        await ada.put("k", "green tea", metadata={"a": 1})
        found += [Draft(value=1), await ada.entry("k"), await ada.list(), await ada.search("tea")]
        await store.artifacts.save(key, "a", b"data", metadata={"a": 1})
        found += [await store.artifacts.load(key, "a"), await store.artifacts.versions(key, "a")]
        found += await store.notices.read("shop", "ada")
        found += [store.stats(), await store.health(), await store.sessions.rotate(key)]
        found.append(await store.admin.revoke(key))
        found.append(await store.admin.forget("ada", app="shop"))
        return found


def test_values_are_the_same_behind_every_copy() -> None:
    for value in asyncio.run(values()):
        for how in COPIES:
            found = copied(how, value)
            assert type(found) is type(value)
            assert repr(found) == repr(value)
            assert getattr(found, "__dict__", None) == getattr(value, "__dict__", None)


def test_a_spawned_process_gets_and_gives_them() -> None:
    sent = [*asyncio.run(values()), *map(made, OURS)]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        back = pool.submit(again, sent).result(60)
        with pytest.raises(errors.OutcomeUnknown) as caught:
            pool.submit(raised).result(60)
    assert [type(each) for each in back] == [type(each) for each in sent]
    assert [str(each) for each in back] == [str(each) for each in sent]
    assert caught.value.operation_id == "op"


async def test_handles_say_what_to_pass_instead() -> None:
    async with sojourn.open("memory://", notices=True) as store:
        ada = store.guard().user(Principal.of("shop", "ada"))
        handles = [
            *(store, store.sessions, store.sessions.safe, store.memory, store.memory.user("ada")),
            *(store.cache, store.artifacts, store.notices),
            *(store.history(SessionKey.of("shop", "ada", "s")), ada, ada.sessions, ada.memory),
            *(ada.cache, ada.artifacts, ada.history("s")),
        ]
        for handle in handles:
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                with pytest.raises(TypeError, match=r"^\w+ holds .*: pass .*\.$") as caught:
                    pickle.dumps(handle, protocol)
                assert isinstance(caught.value, SojournError)
            assert copy.deepcopy(handle) is handle
            assert copy.copy(handle) is handle


def test_a_synchronous_store_says_it_too() -> None:
    with sojourn.sync.open("memory://") as store:
        for handle in (store, store.sessions, store.cache):
            with pytest.raises(TypeError, match="pass its URL"):
                pickle.dumps(handle)
            assert copy.deepcopy(handle) is handle


ROOMS = [
    *(module.name for module in pkgutil.iter_modules(sojourn.__path__, "sojourn.")),
    *("sojourn.transfer.migration", "sojourn.integrations.adk", "sojourn.integrations.langchain"),
]
STAYS_TO_ITSELF = {"Hooks", "CSRF", "Keyring", "Bindings", "Logged", "Settings", "SessionBatch"}
STAYS_TO_ITSELF |= {"StoreKeys", "KeyRing"}
"""No values and no handles: what one configures, a dict, or names of keys."""


def public() -> dict[str, type]:
    """Every class that a room of the package has in its `__all__`."""
    found: dict[str, type] = {}
    for room in ("sojourn", *ROOMS):
        if room == "sojourn.__main__":
            continue
        try:
            module = importlib.import_module(room)
        except ImportError:  # of a framework that is not installed
            continue
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            kind = typing.get_origin(value) or value
            if inspect.isclass(kind) and kind.__module__.startswith("sojourn."):
                found[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return found


def fields_of(kind: Any) -> list[str] | None:
    """Of a class of values; None of another."""
    if issubclass(kind, tuple):
        return list(kind._fields)
    if issubclass(kind, msgspec.Struct):
        return list(kind.__struct_fields__)
    if dataclasses.is_dataclass(kind):
        return [each.name for each in dataclasses.fields(kind) if each.init]
    return None


PUBLIC = public()


def test_the_walk_has_found_the_rooms() -> None:
    names = {each.__name__ for each in PUBLIC.values()}
    assert {"Session", "Hit", "Artifact", "Notice", "Finding", "Principal", "ReplayReport"} <= names
    assert len(PUBLIC) > 80


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_class_travels_or_says_what_to_pass(name: str) -> None:
    """A new result, key or event is tried without a line here; so is a new handle."""
    kind: Any = PUBLIC[name]
    if issubclass(kind, BaseException):
        assert kind in OURS
        return
    if typing_extensions.is_typeddict(kind) or getattr(kind, "_is_protocol", False):
        return
    if issubclass(kind, enum.Enum):
        assert all(copied(how, each) is each for each in kind for how in COPIES)
        return
    fields = fields_of(kind)
    if fields is not None:
        try:
            value = kind(**{each: {"of": [each, 1.5, None]} for each in fields})
        except TypeError:  # it looks at what it is given, and has defaults
            value = kind()
        for how in COPIES:
            found = copied(how, value)
            assert type(found) is kind
            assert found == value
    elif kind.__name__ not in STAYS_TO_ITSELF and not name.startswith("sojourn.testing."):
        handle = object.__new__(kind)
        with pytest.raises(NotPicklable, match=r"^\w+ holds .*: pass .*\.$"):
            pickle.dumps(handle)
        assert copy.deepcopy(handle) is handle
