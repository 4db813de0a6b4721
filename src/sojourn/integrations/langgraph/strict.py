"""LangGraph's serializer in its strict form: nothing that is read is imported or called by name.

LangGraph has one since langgraph-checkpoint 4.0.1, which langgraph takes since 1.0.6. For older
releases, whose own imports and calls whatever a value names, there is one here.
"""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import json
import pathlib
import re
import uuid
import zoneinfo
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from inspect import signature
from typing import Any, Final

import ormsgpack
from langchain_core import messages
from langchain_core.documents import Document
from langgraph import types
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.store.base import GetOp, Item

_METHOD, _PYDANTIC, _ARRAY = 3, (4, 5), 6
"""Kinds of values that LangGraph's serializer has."""
_BY_WORDS: Final = (2, *_PYDANTIC)

_CLASSES: Final = (
    *(dt.datetime, dt.date, dt.time, dt.timedelta, dt.timezone),
    *(uuid.UUID, decimal.Decimal, set, frozenset, deque, zoneinfo.ZoneInfo),
    *(ipaddress.IPv4Address, ipaddress.IPv4Interface, ipaddress.IPv4Network),
    *(ipaddress.IPv6Address, ipaddress.IPv6Interface, ipaddress.IPv6Network),
    *(pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath, Document, Item, GetOp),
    *(messages.BaseMessage, messages.BaseMessageChunk, messages.RemoveMessage),
    *(messages.HumanMessage, messages.HumanMessageChunk),
    *(messages.AIMessage, messages.AIMessageChunk),
    *(messages.SystemMessage, messages.SystemMessageChunk),
    *(messages.ChatMessage, messages.ChatMessageChunk),
    *(messages.ToolMessage, messages.ToolMessageChunk),
    *(messages.FunctionMessage, messages.FunctionMessageChunk),
    *(types.Send, types.Interrupt, types.Command, types.StateSnapshot, types.PregelTask),
)
_MAKERS: Final[Mapping[tuple[str, ...], Callable[..., Any]]] = {
    ("re", "compile"): re.compile,
    ("datetime", "datetime", "fromisoformat"): dt.datetime.fromisoformat,
    **{(kind.__module__, kind.__name__): kind for kind in _CLASSES},
}
"""What is made of values: those that LangGraph lists as safe."""

_noting: dict[int, set[str]] = {}


class StrictSerializer(JsonPlusSerializer):
    """As LangGraph's own in its strict form, where that has none.

    Args:
        allow: further classes of which objects are made, as (module, name).
    """

    def __init__(self, allow: Collection[tuple[str, ...]] = ()) -> None:
        super().__init__()
        self._allowed = {tuple(each) for each in allow}

    def with_msgpack_allowlist(
        self, extra_allowlist: Iterable[tuple[str, ...] | type]
    ) -> StrictSerializer:
        """Another one, which also makes objects of these classes."""
        named = {
            (each.__module__, each.__name__) if isinstance(each, type) else tuple(each)
            for each in extra_allowlist
        }
        return StrictSerializer(self._allowed | named)

    def loads(self, data: bytes) -> Any:
        """JSON, as it stands."""
        return json.loads(data)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """A value of its kind and its bytes.

        Raises:
            NotImplementedError: of such a kind there is none; `pickle` is one.
        """
        kind, body = data
        if kind == "json":
            return self.loads(body)
        if kind == "msgpack":
            return self._unpacked(body)
        if kind in ("null", "bytes", "bytearray"):
            return super().loads_typed(data)
        raise NotImplementedError(f"Unknown serialization type: {kind}")

    def _unpacked(self, body: bytes) -> Any:
        return ormsgpack.unpackb(body, ext_hook=self._made, option=ormsgpack.OPT_NON_STR_KEYS)

    def _made(self, code: int, body: bytes) -> Any:
        if code > _ARRAY:
            return None
        held = self._unpacked(body)
        if code == _ARRAY:
            return _array(*held)
        name: tuple[str, ...] = (*held[:2], *(held[3:4] if code == _METHOD else ()))
        make = self._maker(name)
        if make is None:
            for noted in [*_noting.values()]:
                noted.add(".".join(name))
            return held[2]
        try:
            return _called(make, code, held[2])
        except Exception:  # noqa: BLE001 - as LangGraph does with what a class does not take
            return held[2] if code in _PYDANTIC else None

    def _maker(self, name: tuple[str, ...]) -> Callable[..., Any] | None:
        if name in _MAKERS:
            return _MAKERS[name]
        if name in self._allowed and len(name) == 2:  # noqa: PLR2004 - module, class
            return getattr(import_module(name[0]), name[1], None)
        return None


def _called(make: Callable[..., Any], code: int, argument: Any) -> Any:
    if code in _BY_WORDS:
        if code not in _PYDANTIC:
            return make(**argument)
        try:
            return make(**argument)
        except Exception:  # noqa: BLE001 - of another version, as LangGraph does
            loose: Any = getattr(make, "model_construct", None) or make.construct  # type: ignore[attr-defined]
            return loose(**argument)
    return make(*argument) if code == 1 else make(argument)


def _array(kind: str, shape: Any, order: Any, body: bytes) -> Any:
    try:
        numpy: Any = import_module("numpy")
        return numpy.frombuffer(body, dtype=numpy.dtype(kind)).reshape(shape, order=order)
    except Exception:  # noqa: BLE001 - as LangGraph does
        return None


_HAS_ONE: Final = "allowed_msgpack_modules" in signature(JsonPlusSerializer).parameters

PLAIN: Final = (JsonPlusSerializer, StrictSerializer)
"""Serializers whose values may be stored as JSON: they do not encrypt."""


def strict_serializer(allow: Collection[tuple[str, ...]] | None = None) -> JsonPlusSerializer:
    """LangGraph's serializer in its strict form.

    Args:
        allow: further classes of which objects are made, as (module, name).
    """
    if not _HAS_ONE:
        return StrictSerializer(allow or ())
    options: dict[str, Any] = {"allowed_msgpack_modules": allow}
    return JsonPlusSerializer(**options)


@contextmanager
def blocked_classes() -> Generator[set[str]]:
    """Fills a set with the names of classes that are read meanwhile, and not made objects of."""
    blocked = set[str]()
    _noting[id(blocked)] = blocked
    stop: Callable[[], None] | None = None
    if _HAS_ONE:
        hooks: Any = import_module("langgraph.checkpoint.serde.event_hooks")
        stop = hooks.register_serde_event_listener(partial(_note, blocked))
    try:
        yield blocked
    finally:
        del _noting[id(blocked)]
        if stop is not None:
            stop()


def _note(blocked: set[str], event: Mapping[str, Any]) -> None:
    if "blocked" in str(event.get("kind")):
        blocked.add(f"{event.get('module')}.{event.get('name')}")
