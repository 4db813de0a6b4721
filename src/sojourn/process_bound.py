"""Objects that live in one process: a connection, or what stands on one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NoReturn, Protocol, TypeVar
from weakref import WeakSet

from sojourn.errors import NotPicklable

C = TypeVar("C", bound=type)


class ForkAware(Protocol):
    """Holds what stays with the process that made it."""

    def after_fork(self) -> None:
        """Leave to the parent, in a forked child, what is the parent's."""
        ...


_forked = WeakSet[ForkAware]()


def tell_after_fork(holder: ForkAware) -> None:
    """Call `after_fork` of an object in each process that is forked from this one."""
    _forked.add(holder)


def _tell_all() -> None:
    for holder in list(_forked):
        holder.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell_all)


def stays_here(instead: str, *, holds: str = "connections") -> Callable[[C], C]:
    """Decorate a class: pickling an object of it says what to pass instead; a copy is itself.

    Args:
        instead: what another process needs to have one of its own.
        holds: what cannot go there.
    """

    def decorate(kind: C) -> C:
        def refuse(self: object, _protocol: Any = None) -> NoReturn:
            raise NotPicklable(
                f"{type(self).__name__} holds {holds} of this process, so it cannot go to another: "
                f"pass {instead}."
            )

        def same(self: object, _memo: Any = None) -> object:
            return self

        for name, method in (
            *(("__reduce__", refuse), ("__reduce_ex__", refuse)),
            *(("__copy__", same), ("__deepcopy__", same)),
        ):
            setattr(kind, name, method)
        return kind

    return decorate
