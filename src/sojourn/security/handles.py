"""Handles: the methods of a room, restricted to one user.

A handle has every public coroutine function of its room that takes an identity, with the same
parameters but for that. So a method that a room gains is in the handle, and a signature is written
once.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache, wraps
from inspect import Parameter, Signature
from typing import Any, ClassVar, NamedTuple

from sojourn.access import AccessRule
from sojourn.ids import SessionKey, UserKey, tenant_of
from sojourn.process_bound import stays_here
from sojourn.security.interceptor import AccessInterceptor

_KEYS = frozenset({"SessionKey", "UserKey"})
_FILLED = frozenset({"app", "user", "tenant"})
"""Parameters that a handle fills in."""
_SESSION = Parameter("session", Parameter.POSITIONAL_OR_KEYWORD, annotation="str")
_MAYBE_SESSION = Parameter("session", Parameter.KEYWORD_ONLY, annotation="str | None", default=None)


class BoundMethod(NamedTuple):
    """How a handle makes a call of its room.

    Attributes:
        name: of the method.
        rule: what a guard does about it.
        first: the identity that stands before the arguments: `app`, `user`, `key` or `owner`.
        named: the identity that is given by name.
        signature: the parameters of the method of the handle.
        leads: the id of a session is the first of them.
    """

    name: str
    rule: AccessRule
    first: tuple[str, ...]
    named: tuple[str, ...]
    signature: Signature
    leads: bool


@stays_here("the store's URL and the Principal, and make it there")
class UserRoom:
    """A room restricted to one user. `handle_class` makes one class of it for each room.

    Args:
        name: of the room, for the access log.
        room: what it stands for.
        owner: whose it is.
        access: stands around each call; None where the caller is trusted.
        session: the session that all calls are about, if there is one.
    """

    of: ClassVar[type]
    """The class of the room."""

    def __init__(
        self,
        name: str,
        room: Any,
        owner: UserKey,
        access: AccessInterceptor | None,
        session: str | None = None,
    ) -> None:
        self._name = name
        self._room = room
        self._owner = owner
        self._access = access
        self._session = session

    async def _call(
        self, method: BoundMethod, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        args, session = self._session_of(method, args, kwargs)
        call = getattr(self._room, method.name)

        async def step() -> Any:
            identity = self._identity(method, session)
            return await call(*identity, *args, **self._named(method), **kwargs)

        if self._access is None:
            return await step()
        action = f"{self._name}.{method.name}"
        return await self._access.call(action, method.rule, session, step, args=args, kwargs=kwargs)

    def _start(self, method: BoundMethod, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make a call that is not awaited, as an iteration."""
        call = getattr(self._room, method.name)

        def step() -> Any:
            identity = self._identity(method, self._session)
            return call(*identity, *args, **self._named(method), **kwargs)

        if self._access is None:
            return step()
        return self._access.start(f"{self._name}.{method.name}", step)

    def _session_of(
        self, method: BoundMethod, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], str | None]:
        """The arguments without the session's id, where it is part of a key, and that id."""
        if self._session is not None:
            return args, self._session
        if "key" in method.first:
            if args:
                return args[1:], args[0]
            if "session" not in kwargs:
                raise TypeError(f"{method.name}() needs the id of a session.")
            return args, kwargs.pop("session")
        if "owner" in method.first:
            return args, kwargs.pop("session", None)
        return args, args[0] if method.leads and args else kwargs.get("session")

    def _identity(self, method: BoundMethod, session: str | None) -> tuple[Any, ...]:
        if not method.first:
            return ()
        return tuple([self._filled(name, session) for name in method.first])

    def _named(self, method: BoundMethod) -> dict[str, Any]:
        return {name: self._filled(name, None) for name in method.named} if method.named else {}

    def _filled(self, name: str, session: str | None) -> Any:
        app, user = self._owner
        if name == "key" or (name == "owner" and session is not None):
            return SessionKey.of(app, user, session)  # type: ignore[arg-type]
        if name == "tenant":
            return tenant_of(self._owner)
        return self._owner if name == "owner" else app if name == "app" else user


@cache
def handle_class(room: type, *, whole: bool = False) -> type[UserRoom]:
    """The class of handles of a room.

    Args:
        room: its class.
        whole: its objects belong to one user each: all methods are taken, and none needs a user.

    Raises:
        TypeError: a method would let a caller name somebody else. Mark it with `for_operators`.
    """
    made: dict[str, Any] = {"__doc__": f"`{room.__name__}`, restricted to one user.", "of": room}
    for name, function in inspect.getmembers(room, inspect.isfunction):
        rule = getattr(function, "access", None)
        awaited = inspect.iscoroutinefunction(function)
        if name.startswith("_") or (rule is None and not awaited):
            continue
        method = _bound(room, name, function, rule or AccessRule(), whole=whole)
        if method is not None:
            made[name] = _method(method, function, awaited=awaited)
            made[name].__qualname__ = f"User{room.__name__}.{name}"
    return type(f"User{room.__name__}", (UserRoom,), made)


def _bound(
    room: type, name: str, function: Callable[..., Any], rule: AccessRule, *, whole: bool
) -> BoundMethod | None:
    """How a method is made; None for one that handles do not have."""
    given = inspect.signature(function)
    parameters = list(given.parameters.values())[1:]
    first = [] if whole else [each.name for each in parameters if _is_first(each)]
    named = [
        each.name
        for each in parameters
        if not whole and each.kind is Parameter.KEYWORD_ONLY and each.name in _FILLED
    ]
    if not rule.offered or not (whole or first or named):
        return None
    left = [each for each in parameters if each.name not in (*first, *named)]
    known = inspect.unwrap(function).__globals__
    others = any(_names_one(each, known) for each in left)
    if others or first != [each.name for each in parameters[: len(first)]]:
        raise TypeError(f"{room.__name__}.{name} takes somebody else's identity as an argument.")
    if whole or "owner" in first or given.return_annotation in ("None", None):
        # None then says nothing about the session
        rule = rule._replace(miss="answer")
    if "key" in first:
        left.insert(0, _SESSION)
    elif "owner" in first and _words(given.parameters["owner"].annotation) >= _KEYS:
        at = next((n for n, each in enumerate(left) if each.kind > Parameter.VAR_POSITIONAL), None)
        left.insert(len(left) if at is None else at, _MAYBE_SESSION)
    places = [each.name for each in left if each.kind < Parameter.KEYWORD_ONLY]
    if "session" in places[1:]:
        raise TypeError(f"{room.__name__}.{name} takes the id of a session: put it first.")
    signature = given.replace(parameters=[next(iter(given.parameters.values())), *left])
    leads = places[:1] == ["session"]
    return BoundMethod(name, rule, tuple(first), tuple(named), signature, leads)


def _is_first(parameter: Parameter) -> bool:
    if parameter.kind is not Parameter.POSITIONAL_OR_KEYWORD:
        return False
    if parameter.name in ("key", "owner"):
        return bool(_words(parameter.annotation) & _KEYS)
    return parameter.name in _FILLED


def _names_one(parameter: Parameter, known: Mapping[str, Any]) -> bool:
    words = _words(parameter.annotation)
    aliases = [known[each] for each in words & known.keys() if not isinstance(known[each], type)]
    return parameter.name in _FILLED or bool(words.union(*map(_words, aliases)) & _KEYS)


def _words(said: Any) -> set[str]:
    """The names in an annotation."""
    text = said if isinstance(said, str) else inspect.formatannotation(said)
    return set(re.findall(r"\w+", text))


def _method(method: BoundMethod, function: Callable[..., Any], *, awaited: bool) -> Any:
    made: Any
    if awaited:

        @wraps(function)
        async def call(self: UserRoom, *args: Any, **kwargs: Any) -> Any:
            return await self._call(method, args, kwargs)  # pyright: ignore[reportPrivateUsage]

        made = call
    else:

        @wraps(function)
        def start(self: UserRoom, *args: Any, **kwargs: Any) -> Any:
            return self._start(method, args, kwargs)  # pyright: ignore[reportPrivateUsage]

        made = start
    made.__signature__ = method.signature
    return made
