"""Read a framework's own records without what the installed version of it does not know.

A newer version may have written members, enum values and types that this one refuses. They are left
out where pydantic says that they are; there is no list of known names. What is stored stays.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

from pydantic import ValidationError

from sojourn.telemetry.newer import NEWER

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

T = TypeVar("T")

Steps: TypeAlias = tuple[str | int, ...]
"""Keys and indices that lead from the root of a JSON value to a place in it."""

_ROUNDS = 40
"""Validations after each of which something is left out: a place takes as many as it is deep."""
_TRIES = 400
"""Validations to find what a validator fails over without saying where it is."""
_DEEPEST = 24
_UNORDERED = "parts"
"""A list of this name has no element of which nothing is left. Elsewhere it stays, as an empty
object where that is valid: others may refer to elements by place, as citations do."""


def readable(
    validate: Callable[[Any], T],
    value: dict[str, Any],
    what: str,
    *,
    needed: Collection[str] = (),
    left_out: Collection[str] = (),
) -> T:
    """Validate a JSON object, without what cannot be validated; it is counted and logged.

    Args:
        validate: makes the record; raises what the framework's classes raise.
        value: the JSON; it stays as it is.
        what: names the record in the log.
        needed: members that are never left out.
        left_out: names of what the caller has left out of it already.

    Raises:
        ValueError: there is no record even with nothing but the members needed.
    """
    pruner = _Pruner(validate, copy.deepcopy(value), needed)
    made = pruner.run()
    NEWER.add(what, pruner.names.union(left_out))
    return made


class _Error(NamedTuple):
    """What pydantic says of a place.

    Attributes:
        at: the place.
        branch: when one of several types was tried: where, and which of them.
        name: for the log: names of members, no keys of a dict.
    """

    at: Steps
    branch: tuple[Steps, str | int] | None
    name: str


class _Made(NamedTuple):
    value: Any


class _Pruner(Generic[T]):
    def __init__(
        self, validate: Callable[[Any], T], root: dict[str, Any], needed: Collection[str]
    ) -> None:
        self._validate = validate
        self._root = root
        self._needed = needed
        self._hollow: list[tuple[list[Any], Any]] = []
        self._tries = _TRIES
        self.names = set[str]()

    def run(self) -> T:
        """Leave out what is refused until the rest is valid."""
        sifted = False
        for _ in range(_ROUNDS):
            found = self._look()
            if isinstance(found, _Made):
                if self._drop_hollow():
                    continue
                return cast("T", found.value)
            if not self._remove_all(found):
                if sifted:
                    break
                self._sift(self._is_located)
                sifted = True
        self._tries = _TRIES
        self._sift(self._is_valid)
        found = self._look()
        if isinstance(found, _Made):
            return cast("T", found.value)
        raise ValueError("Nothing of it can be read.")

    def _look(self) -> _Made | list[_Error]:
        """What is made of it; or the errors that have a place, none if a validator has failed."""
        try:
            return _Made(self._validate(self._root))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            return _chosen([_error_of(self._root, each) for each in found])
        except Exception:  # noqa: BLE001  # validators of others; warnings may be errors, too
            return []

    def _is_located(self) -> bool:
        found = self._look()
        return isinstance(found, _Made) or any(self._may_go(each.at) for each in found)

    def _is_valid(self) -> bool:
        return isinstance(self._look(), _Made)

    def _may_go(self, at: Steps) -> bool:
        return bool(at) and not (len(at) == 1 and at[0] in self._needed)

    def _remove_all(self, errors: Sequence[_Error]) -> bool:
        """Leave out every place; whether there was one. Inner and later places go first."""
        removed = False
        places = {each.at: each for each in errors}  # each once: the next element moves up
        for each in sorted(places.values(), key=_innermost_first):
            if self._may_go(each.at) and self._remove(each.at):
                self.names.add(each.name)
                removed = True
        return removed

    def _remove(self, at: Steps) -> bool:
        try:
            holder = self._at(at[:-1])
            value = holder[at[-1]]
        except LookupError:  # gone with what held it
            return False
        if isinstance(holder, dict):
            del holder[at[-1]]
            if not holder:
                self._emptied(at[:-1])
        elif value == {}:
            del holder[at[-1]]
        else:
            holder[at[-1]] = {}
            self._emptied(at)
        return True

    def _emptied(self, at: Steps) -> None:
        """An element of `parts` with nothing left goes, as does an object in it: a call of no name.

        Elsewhere an object that has lost all of its members is an empty one.
        """
        depth = max((n for n, step in enumerate(at) if step == _UNORDERED), default=len(at))
        if len(at) == depth + 2:
            self._hollow.append((self._at(at[:-1]), self._at(at)))
        elif len(at) > depth + 2 and isinstance(self._at(at[:-1]), dict):
            self._remove(at)

    def _drop_hollow(self) -> bool:
        hollow, self._hollow = self._hollow, []
        for holder, element in hollow:
            holder[:] = [each for each in holder if each is not element]
        return bool(hollow)

    def _at(self, at: Steps) -> Any:
        here: Any = self._root
        for step in at:
            here = here[step]
        return here

    def _sift(self, accepted: Callable[[], bool]) -> None:
        """Put the members back one by one, and leave out those with which it is not accepted."""
        others = [item for item in self._root.items() if item[0] not in self._needed]
        for name, _ in others:
            del self._root[name]
        self._grow((), self._root, others, accepted)

    def _grow(
        self, at: Steps, holder: Any, items: Sequence[tuple[Any, Any]], accepted: Callable[[], bool]
    ) -> None:
        for step, value in items:
            here = (*at, _put(holder, step, value))
            if self._try(accepted):
                continue
            self.names.add(str(here[0]))
            inner = _items(value) if len(here) < _DEEPEST else []
            if inner:
                value.clear()
                if self._try(accepted):
                    self._grow(here, value, inner, accepted)
                    if value == {} and _has(holder, here[-1]):  # else what it held took it along
                        self._emptied(here)
                    continue
            del holder[here[-1]]

    def _try(self, accepted: Callable[[], bool]) -> bool:
        self._tries -= 1
        return self._tries >= 0 and accepted()


def _put(holder: Any, step: Any, value: Any) -> Any:
    """Put a value into an object by its key, or at the end of a list; where it is then."""
    if isinstance(holder, dict):
        holder[step] = value
        return step
    holder.append(value)
    return len(holder) - 1


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(cast("dict[Any, Any]", value).items())  # type: ignore[redundant-cast]
    if isinstance(value, list):
        return list(enumerate(cast("list[Any]", value)))  # type: ignore[redundant-cast]
    return []


def _error_of(root: Any, error: ErrorDetails) -> _Error:
    """The place of an error: what it names beside keys and indices are types that were tried.

    A model with a constructor of its own costs the step that leads to it in a dict or a list; it is
    the one behind which the value is that of the error.
    """
    loc, value = error["loc"], error["input"]
    steps = loc[:-1] if error["type"] == "missing" else loc
    at: list[str | int] = []
    here, branch = root, None
    for n, step in enumerate(steps):
        if not _has(here, step) and isinstance(step, str):
            lost = (key for key, each in _items(here) if _leads_to(each, steps[n:], value))
            at += (found := [*islice(lost, 1)])
            here = here[found[0]] if found else here
        if _has(here, step):
            at.append(step)
            here = here[step]
        elif branch is None:
            branch = tuple(at), step
    name = str(next(iter(loc), ""))
    if error["type"] == "extra_forbidden" and len(loc) > 1:  # else the last may be a user's key
        name += f" … {next(reversed(loc))}"
    return _Error(tuple(at), branch, name)


def _leads_to(value: Any, steps: Sequence[str | int], wanted: Any) -> bool:
    if not _has(value, steps[0]):
        return False
    for step in steps:
        value = value[step] if _has(value, step) else value
    return bool(value == wanted)


def _has(value: Any, step: str | int) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(cast("Any", value))


def _chosen(errors: Sequence[_Error]) -> list[_Error]:
    """The errors to act on: where several types were tried, those of the one that came furthest."""
    chosen = [each for each in errors if each.branch is None]
    tried: dict[Steps, dict[str | int, list[_Error]]] = {}
    for each in errors:
        if each.branch is not None:
            where, name = each.branch
            tried.setdefault(where, {}).setdefault(name, []).append(each)
    for branches in tried.values():
        furthest: list[_Error] = max(branches.values(), key=_progress)
        chosen += furthest
    return chosen


def _progress(errors: Sequence[_Error]) -> tuple[int, int]:
    return min(len(each.at) for each in errors), -len(errors)


def _innermost_first(error: _Error) -> tuple[int, int]:
    last = next(reversed(error.at), 0)
    return -len(error.at), -last if isinstance(last, int) else 0
