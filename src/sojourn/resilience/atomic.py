"""Objects whose methods are steps: no two at a time, whatever thread or event loop calls them."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar, cast

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])


def atomic(kind: C) -> C:
    """Run each public method of a class under a lock of the object's own.

    For objects that keep things in this process. Their coroutines must not wait for anything: a
    lock that is held while a task rests would stop the other threads.
    """
    made: Any = kind
    begin = made.__init__

    @wraps(begin)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        self._turn = threading.RLock()
        begin(self, *args, **kwargs)

    made.__init__ = init
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        if not name.startswith("_"):
            setattr(kind, name, _in_turn(method))
    return kind


def _in_turn(method: F) -> F:
    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def whole(self: Any, *args: Any, **kwargs: Any) -> Any:
            with self._turn:
                step: Coroutine[Any, Any, Any] = method(self, *args, **kwargs)
                return await step

        return cast("F", whole)

    @wraps(method)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._turn:
            return method(self, *args, **kwargs)

    return cast("F", step)
