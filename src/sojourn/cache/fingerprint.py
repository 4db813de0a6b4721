"""Fingerprints of calls: short texts, equal for equal arguments in every process."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from hashlib import blake2b
from inspect import Signature, ismethod
from typing import Any, cast

import msgspec

from sojourn.errors import InvalidValue

_encode = msgspec.json.Encoder().encode


def fingerprint(call: str, arguments: Mapping[str, Any], key: bytes | None = None) -> str:
    """128 bits as hexadecimal digits, over the name of a call and its arguments by name.

    The order of keys in mappings, and of a set, does not count; types do: `1`, `1.0`, `True` and
    `"1"` are four arguments.

    Args:
        call: its name.
        arguments: by name.
        key: without it nobody can make the fingerprint, and so try which arguments have it; None
            for one that everybody can make.

    Raises:
        InvalidValue: an argument of a type that has no canonical form, that contains itself, or
            that is text and not Unicode.
    """
    try:
        plain = _encode([call, _canonical(arguments, "the arguments")])
    except (RecursionError, UnicodeEncodeError) as error:
        raise InvalidValue(
            f"No fingerprint can be made of the arguments ({error}): give the cache a key= of your "
            "own."
        ) from error
    return blake2b(plain, digest_size=16, key=key or b"").hexdigest()


def arguments_of(
    signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments by name, defaults included, so that `f(1)` and `f(x=1)` are one call."""
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def unbound(function: Callable[..., Any]) -> partial[Any]:
    """A function apart from the arguments that are bound to it, `self` among them."""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    while True:
        if isinstance(function, partial):
            args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
            function = function.func
        elif ismethod(function):
            args, function = (function.__self__, *args), function.__func__
        else:
            return partial(function, *args, **kwargs)


def name_of(function: Callable[..., Any]) -> str:
    """Which function: its module and its qualified name."""
    return f"{function.__module__}.{function.__qualname__}"


def _canonical(value: Any, where: str) -> Any:
    """The value as lists and text in which every type is told apart."""
    kind = cast("type[Any]", type(value))  # type: ignore[redundant-cast]
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return ["int", hex(value)]
    if kind is float:
        return ["float", repr(value) if math.isfinite(value) else str(value)]
    if kind in (bytes, bytearray):
        return ["bytes", bytes(value).hex()]
    for types, tag, text in _TEXTS:
        if isinstance(value, types):
            return [tag, _named(kind), text(value)]
    return _compound(value, where)


def _compound(value: Any, where: str) -> Any:
    kind = cast("type[Any]", type(value))  # type: ignore[redundant-cast]
    if kind in (list, tuple):
        return [kind.__name__, [_canonical(each, f"{where}[{n}]") for n, each in enumerate(value)]]
    if isinstance(value, AbstractSet):
        members = cast("AbstractSet[Any]", value)  # type: ignore[redundant-cast]
        return ["set", sorted(_encode(_canonical(each, where)).decode() for each in members)]
    fields = _fields(value)
    if fields is None:
        raise InvalidValue(
            f"{where} holds a {_named(kind)}, of which no fingerprint can be made: give the cache "
            "a key= of your own."
        )
    pairs = [
        [_canonical(name, where), _canonical(each, f"{where}[{name!r}]")]
        for name, each in fields.items()
    ]
    tag = "dict" if isinstance(value, Mapping) else _named(kind)
    return [tag, sorted(pairs, key=_encode)]


def _fields(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        return cast("Mapping[Any, Any]", value)  # type: ignore[redundant-cast]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if hasattr(cast("type[Any]", type(value)), "model_fields"):  # type: ignore[redundant-cast]
        model = cast("Any", value)  # pydantic's
        return {**vars(model), **(model.model_extra or {})}
    return None


def _named(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


_TEXTS: tuple[tuple[type | tuple[type, ...], str, Callable[[Any], str]], ...] = (
    (type, "type", _named),
    (enum.Flag, "flag", lambda value: repr(value.value)),
    (enum.Enum, "enum", lambda value: value.name),
    ((dt.datetime, dt.date, dt.time), "time", repr),
    (dt.timedelta, "span", repr),
    (decimal.Decimal, "decimal", str),
    (uuid.UUID, "uuid", str),
)
