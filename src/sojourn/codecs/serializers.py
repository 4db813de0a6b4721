"""Serializers: other forms of JSON values, such as MessagePack or one of the application's."""

from __future__ import annotations

import re
from typing import Any, Protocol, runtime_checkable

import msgspec

from sojourn.codecs.json import decode
from sojourn.errors import InvalidInput

_NAME = re.compile(r"[a-z0-9-]{1,32}")
_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_of_msgpack = msgspec.msgpack.Decoder().decode


@runtime_checkable
class Serializer(Protocol):
    """Writes a JSON value in a form of its own.

    Attributes:
        name: stands in the header of every value; lower-case letters, digits, `-`. Another form
            needs another name.
    """

    name: str

    def dumps(self, value: Any, /) -> bytes:
        """A value as bytes. What it raises lets the value stand as JSON.

        Args:
            value: text, numbers, booleans, None, lists and dicts.
        """
        ...

    def loads(self, data: bytes, /) -> Any:
        """The inverse: an equal value. What it raises counts as damage."""
        ...


class MessagePack:
    """MessagePack (https://msgpack.org). An integer past 64 bits stays JSON."""

    name = "msgpack"

    def dumps(self, value: Any, /) -> bytes:
        """As `Serializer`."""
        return _to_msgpack(value)

    def loads(self, data: bytes, /) -> Any:
        """As `Serializer`."""
        return _of_msgpack(data)


def serializer_of(given: object) -> Serializer | None:
    """The serializer that an option names; None for JSON.

    Raises:
        InvalidInput: it is none.
    """
    if given is None or given == "json":
        return None
    if given == "msgpack":
        return MessagePack()
    name = getattr(given, "name", None)
    if (
        isinstance(given, Serializer)
        and isinstance(name, str)
        and _NAME.fullmatch(name)
        and name not in {"json", "msgpack", "size", "zstd", "aes-256-gcm"}
    ):
        return given
    raise InvalidInput(
        "serializer is 'json', 'msgpack', or an object with dumps(value), loads(data) and a name "
        "of lower-case letters, digits and '-' that is none of Sojourn's own."
    )


def serialized(serializer: Serializer, text: bytes) -> bytes | None:
    """JSON text in the form of a serializer; None when that cannot hold it.

    Raises:
        InvalidInput: it gives something else than bytes.
    """
    try:
        made: object = serializer.dumps(decode(text))
    except Exception:  # noqa: BLE001 - the application's own; JSON holds it
        return None
    if isinstance(made, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
        return made
    raise InvalidInput(
        f"dumps() of the serializer {serializer.name!r} gave {type(made).__name__}, not bytes."
    )


def deserialized(serializer: Serializer, data: bytes) -> bytes:
    """The JSON text again.

    Raises:
        ValueError: it cannot be read. The message quotes nothing of it.
    """
    try:
        return _to_json(serializer.loads(data))
    except Exception as error:  # noqa: BLE001 - the application's own
        raise ValueError(
            f"the serializer {serializer.name!r} cannot read it ({type(error).__name__})"
        ) from None
