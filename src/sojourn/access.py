"""Rules of access: how a user's handle makes a call of a room. They stand beside the method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class AccessRule(NamedTuple):
    """What a guard does about a call. Most methods need none but the default.

    Attributes:
        creates: it may create the session that it names: the id policy is asked, and the owner of
            the id is remembered.
        made: which session a result has made, for a call that gives a session another id.
        refuse: raises `Refused` for arguments that a caller must not give; gets all but identity.
        miss: what None or False mean where a method is about one session: `guess`, somebody has
            named a session that is not there; `ended`, it was there and ended, as things do;
            `answer`, a result like any other.
        logged: whether it is a decision at all.
        offered: whether handles have it.
    """

    creates: bool = False
    made: Callable[[Any], str] | None = None
    refuse: Callable[..., None] | None = None
    miss: Literal["guess", "ended", "answer"] = "guess"
    logged: bool = True
    offered: bool = True


def access(
    *,
    creates: bool = False,
    made: Callable[[Any], str] | None = None,
    refuse: Callable[..., None] | None = None,
    miss: Literal["guess", "ended", "answer"] = "guess",
    logged: bool = True,
    offered: bool = True,
) -> Callable[[F], F]:
    """Decorate a method of a room with its `AccessRule`.

    Handles have the coroutine functions that take an identity, and plain methods that have a rule.
    """

    def decorate(method: F) -> F:
        rule = AccessRule(creates, made, refuse, miss, logged, offered)
        method.access = rule  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
        return method

    return decorate


def for_operators(method: F) -> F:
    """Decorate a method of a room that handles of users must not have."""
    return access(offered=False)(method)
