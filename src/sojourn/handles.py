"""Objects that live in one process: a connection, or what stands on one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from sojourn.errors import NotPicklable

C = TypeVar("C", bound=type)


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
