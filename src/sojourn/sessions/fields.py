"""Kinds of fields that a session's record may have: how each is checked, stored, read, archived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from sojourn.caps import check
from sojourn.codecs import decode, encode, growth, text
from sojourn.errors import InvalidValue
from sojourn.sessions import refusals

MAX_LABEL_NAME, MAX_LABEL_VALUE = 64, 256
"""Bytes of UTF-8."""

_words = msgspec.json.Decoder(dict[str, str]).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode


class Field:
    """A field that applications set.

    Attributes:
        default: what callers get where it is missing.
        member: the type of its member in a line of an archive, which is not written when it is as
            `absent`.
        is_json: whether it is stored as JSON.
        in_clear: whether it is stored as it is, since scripts look inside.
    """

    is_json = True
    in_clear = False
    default: Any
    member: Any
    absent: Any

    def encode(self, value: Any, name: str, *, change: bool = False) -> bytes | None:
        """An argument (None: not given) as it is stored; None where nothing has to be.

        Raises:
            InvalidInput: it cannot be stored, or is over a cap.
        """
        raise NotImplementedError

    def decode(self, stored: bytes) -> Any:
        """What callers get.

        Raises:
            ValueError: it cannot be read.
        """
        raise NotImplementedError

    def check(self, stored: bytes) -> None:
        """Look whether it can be read, as far as that is cheap.

        Raises:
            ValueError: it cannot.
            NewerFormat: only a newer version can.
        """
        if self.in_clear or _is_plain(stored):
            self.decode(growth.plain(stored, "A field of the session"))

    def merge(self, stored: bytes, change: bytes) -> bytes | None:  # noqa: ARG002 - of some kinds
        """What is stored after a change; None for nothing."""
        return change

    def replacing(self, former: Any, value: Any) -> Any:  # noqa: ARG002 - of some kinds
        """What `update` takes to put a value in the place of another."""
        return value

    def to_member(self, stored: bytes) -> Any:
        """A stored value as it stands in a line."""
        return self.decode(stored)

    def of_member(self, member: Any, name: str) -> bytes | None:
        """The inverse.

        Raises:
            ValueError: no session could have it.
        """
        return self.encode(member, name)


class Text(Field):
    """Text of so many bytes at most."""

    is_json = False

    def __init__(self, most: int, default: str = "") -> None:
        self._most = most
        self.member, self.default, self.absent = str, default, default

    def encode(self, value: Any, name: str, *, change: bool = False) -> bytes:  # noqa: ARG002
        """As `Field`."""
        return text(self.default if value is None else value, name, self._most).encode()

    def decode(self, stored: bytes) -> str:
        """As `Field`."""
        try:
            return stored.decode()
        except UnicodeDecodeError:
            raise ValueError("not UTF-8") from None


class Labels(Field):
    """Words by name; a change merges with what is there."""

    in_clear = True

    def __init__(self) -> None:
        self.member, self.default, self.absent = dict[str, str], {}, {}

    def encode(self, value: Any, name: str, *, change: bool = False) -> bytes | None:
        """As `Field`."""
        found = parse_labels({} if value is None else value, change=change)
        return encode(found, f"The {name}") if found else None

    def decode(self, stored: bytes) -> dict[str, str]:
        """As `Field`."""
        try:
            return _words(stored) if stored else {}
        except (ValueError, RecursionError):
            raise ValueError("not a JSON object of text") from None

    def merge(self, stored: bytes, change: bytes) -> bytes | None:
        """As `Field`; null removes one."""
        merged = {**self.decode(stored), **decode(change)}
        left = {name: merged[name] for name in sorted(merged) if merged[name] is not None}
        return encode(left, "The labels") if left else None

    def replacing(self, former: Any, value: Any) -> Any:
        """As `Field`."""
        return {**dict.fromkeys(former), **value}


class JsonObject(Field):
    """A JSON object of so many bytes at most, decoded when it is asked for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.member, self.default, self.absent = msgspec.Raw, {}, msgspec.Raw(b"{}")

    def encode(self, value: Any, name: str, *, change: bool = False) -> bytes:  # noqa: ARG002
        """As `Field`."""
        if value is not None and not isinstance(value, Mapping):
            raise InvalidValue(f"The {name} must be a mapping, not {type(value).__name__}.")
        made = encode(dict(cast("Mapping[str, Any]", value or {})), f"The {name}")
        check(f"The {name}", len(made), self._most)
        return made

    def decode(self, stored: bytes) -> dict[str, Any]:
        """As `Field`."""
        return _object(stored)

    def check(self, stored: bytes) -> None:
        """As `Field`: of JSON only whether this version can read it."""
        _is_plain(stored)

    def to_member(self, stored: bytes) -> msgspec.Raw:
        """As `Field`."""
        return msgspec.Raw(growth.to_line(stored))

    def of_member(self, member: msgspec.Raw, name: str) -> bytes:
        """As `Field`."""
        stored = growth.of_member(bytes(member))
        if not growth.is_json(stored, an_object=True):
            raise ValueError(f"its {name} is no JSON object")
        if len(stored) > self._most:
            raise ValueError(f"{name} of {len(stored):,} bytes is over {self._most:,}")
        return stored


def parse_labels(value: object, *, change: bool = False) -> dict[str, str | None]:
    """Labels by name, sorted; in a change of some of them None removes one."""
    if not isinstance(value, Mapping):
        raise InvalidValue(f"The labels must be a mapping, not {type(value).__name__}.")
    given = cast("Mapping[object, object]", value)
    found: dict[str, str | None] = {}
    for name, word in given.items():
        key = _word(name, "name of a label", MAX_LABEL_NAME)
        if word is None and change:
            found[key] = None
        else:
            found[key] = _word(word, f"label {key!r}", MAX_LABEL_VALUE)
    removed = sum(word is None for word in found.values())
    for count in (len(found) - removed, removed):
        if count > refusals.MAX_LABELS:
            raise refusals.too_many_labels(count)
    return {name: found[name] for name in sorted(found)}


def ordered_labels(labels: Mapping[str, str] | None) -> Mapping[str, str]:
    """Labels of a filter, in the caller's order."""
    if labels is None:
        return {}
    checked = parse_labels(labels)
    return {name: word for name in labels if (word := checked[name]) is not None}


def _word(value: object, what: str, most: int) -> str:
    """Text of a label."""
    size = len(text(value, what).encode())
    if 1 <= size <= most:
        return cast("str", value)
    raise InvalidValue(
        f"The {what} has {size:,} bytes: from 1 to {most} are possible. Nothing was written."
    )


def _is_plain(stored: bytes) -> bool:
    """Whether a stored value has no encoding; one that has, is sound.

    Raises:
        ValueError: it was damaged.
        NewerFormat: it has a newer format.
    """
    if stored[:1] != growth.MARK:
        return True
    growth.check_stored(stored, "A field of the session")
    return False
