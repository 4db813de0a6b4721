"""Read records that another version of Sojourn may have written. Knows no Redis.

docs/storage-format.md, "How a record says how it was written", is what this follows.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping
from typing import NamedTuple, Self
from zlib import crc32

import msgspec

from sojourn.codecs.json import decode
from sojourn.errors import CorruptRecord, KeyMissing, NewerFormat, Undecodable

FORMAT = 1
"""The major version of the storage format that this version reads and writes."""

MARK = b"\xff"
"""Starts an encoded value. No text in UTF-8 starts with it, so plain text needs no header."""

CIPHER = "aes-256-gcm"
"""The encoding of what is sealed; its parameter is the id of the key."""

MEMBER = "$encoded"
"""The reserved member: inside JSON, an encoded value is an object of this one, in base64."""

PLAIN = "$plain"
"""The other one: its member is a plain value that looks like an object of one of the two."""

_HEADER = re.compile(rb"\xff(\d{1,9})((?: [a-z0-9-]+(?::[A-Za-z0-9_-]+)?)+)\n")
_NEWER = re.compile(rb"\xff(\d{1,9})(?!\d)[^\n]*\n")
"""Of a newer major format nothing but that is known of a header."""
_MAJOR = re.compile(r"(\d{1,9})(?:\.\d{1,9})?", re.ASCII)
_SUM_BYTES = 8
_RESERVED = re.compile(rb'\s*\{\s*"[$\\]')
"""Starts an object whose first member may be a reserved one, however it is escaped."""
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class Encoded(NamedTuple):
    """A value that says how it was written.

    Attributes:
        major: the major version of its format.
        encodings: what was done to it, in this order; `name` or `name:parameter`. None are known of
            a newer format whose header is another.
        body: what came of that.
    """

    major: int
    encodings: tuple[str, ...]
    body: bytes


class DecodedValue(bytes):
    """A value that was decoded.

    Attributes:
        stored: the value as it is stored.
    """

    stored: bytes

    @classmethod
    def of(cls, value: bytes, stored: bytes) -> Self:
        """For a value, with what it was decoded from."""
        made = cls(value)
        made.stored = stored
        return made


class Unopened(bytes):
    """Stands for a stored value that cannot be opened. As bytes it is no text and no JSON.

    Attributes:
        stored: the value as it is stored.
        error: what is wrong with it.
    """

    stored: bytes
    error: ValueError | CorruptRecord

    @classmethod
    def of(cls, stored: bytes, error: ValueError | CorruptRecord) -> Unopened:
        """For a stored value, with what is wrong with it."""
        made = cls(stored if stored[:1] == MARK else MARK + stored)
        made.stored = bytes(stored)
        made.error = error
        return made


def stored_form(value: bytes) -> bytes:
    """The bytes of a value as they are stored."""
    return value.stored if isinstance(value, DecodedValue | Unopened) else value


def encoded(major: int, encodings: tuple[str, ...], body: bytes) -> bytes:
    """A value with its header and its checksum. `parse` is the inverse."""
    data = b"\xff%d %b\n%b" % (major, " ".join(encodings).encode(), body)
    return data + b"%08x" % crc32(data)


def parse(data: bytes) -> Encoded | None:
    """Split an encoded value; None for plain text.

    Raises:
        ValueError: it was damaged. The message quotes nothing of it.
    """
    if data[:1] != MARK:
        return None
    if data[-_SUM_BYTES:] != b"%08x" % crc32(data[:-_SUM_BYTES]):
        raise ValueError("its checksum is wrong")
    if (header := _HEADER.match(data)) is not None:
        names = tuple(header[2].decode().split())
        return Encoded(int(header[1]), names, data[header.end() : -_SUM_BYTES])
    if (newer := _NEWER.match(data)) is not None and int(newer[1]) > FORMAT:
        return Encoded(int(newer[1]), (), data[newer.end() : -_SUM_BYTES])
    raise ValueError("its header cannot be read")


def to_member(value: bytes) -> bytes:
    """A stored JSON text as it stands inside another JSON. `of_member` is the inverse."""
    if value[:1] == MARK:
        return b'{"%b":"%b"}' % (MEMBER.encode(), b64encode(value))
    if _reserved(value) is not None:
        return b'{"%b":%b}' % (PLAIN.encode(), value)
    return value


def to_line(value: bytes) -> bytes:
    """As `to_member`, on one line: JSON has line breaks only between its tokens."""
    return to_member(value).replace(b"\n", b" ").replace(b"\r", b" ")


def of_member(text: bytes) -> bytes:
    """A stored JSON text, of what stands for it inside another JSON. Blanks around it may be gone.

    Raises:
        ValueError: it says that it is encoded, and was damaged. The message quotes nothing of it.
    """
    found = _reserved(text)
    if found is None:
        return text
    name, inner = found
    if name == PLAIN:
        return bytes(inner)
    try:
        value = b64decode(_text(inner), validate=True)
    except ValueError:
        raise ValueError("an encoded value in it is none") from None
    if parse(value) is None:
        raise ValueError("an encoded value in it has no header")
    return value


class EncodedMember(msgspec.Struct, frozen=True):
    """A value with an encoding, inside JSON where texts stand for values."""

    base64: str = msgspec.field(name=MEMBER)


def to_string(value: bytes) -> str | EncodedMember:
    """A stored value as a text inside JSON. `of_string` is the inverse."""
    if value[:1] == MARK:
        return EncodedMember(b64encode(value).decode())
    return value.decode()


def of_string(text: str | EncodedMember) -> bytes:
    """A stored value, of what stands for it inside JSON.

    Raises:
        ValueError: it says that it is encoded, and was damaged.
    """
    if isinstance(text, str):
        return text.encode()
    value = b64decode(text.base64, validate=True)
    if parse(value) is None:
        raise ValueError("a value that is encoded and is not")
    return value


def _reserved(text: bytes) -> tuple[str, msgspec.Raw] | None:
    """The member of an object of only one, when that is a reserved one."""
    if not _RESERVED.match(text):
        return None
    try:
        members = _members(text)
    except (ValueError, RecursionError):
        return None
    if len(members) != 1:
        return None
    ((name, inner),) = members.items()
    return (name, inner) if name in {MEMBER, PLAIN} else None


def plain(data: bytes, what: str) -> bytes:
    """The text of a value that was decoded.

    Args:
        data: the text; or as it is stored.
        what: names the value in an error.

    Raises:
        NewerFormat: it has an encoding that nobody has taken off, or a newer format.
        ValueError: it was damaged.
        Tampered: it was changed, moved or replaced.
    """
    if isinstance(data, Unopened):
        raise data.error
    found = parse(data)
    if found is None:
        return data
    check_major(found.major, what)
    raise NewerFormat(
        f"{what} is encoded with {' '.join(found.encodings)!r}, which this version of Sojourn "
        "cannot read. Upgrade it; nothing was changed.",
        found=str(found.major),
        known=str(FORMAT),
    )


def check_stored(data: bytes, what: str) -> None:
    """Look whether a value is sound as it is stored, with its encodings.

    Args:
        data: as it is stored.
        what: names the value in an error.

    Raises:
        NewerFormat: it has a newer format.
        ValueError: it was damaged.
    """
    found = parse(data)
    if found is not None:
        check_major(found.major, what)


def is_json(value: bytes, *, an_object: bool = False) -> bool:
    """Whether stored JSON is as it was written, also when only a newer version can read it."""
    try:
        if parse(value) is not None:
            return True
        return isinstance(decode(value), dict) or not an_object
    except (ValueError, RecursionError):
        return False


def major_of(field: bytes | str | None) -> int:
    """The major version in a `format` field; a missing one means 1.

    Raises:
        ValueError: it is no version.
    """
    if field is None:
        return 1
    text = field.decode(errors="replace") if isinstance(field, bytes) else field
    found = _MAJOR.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ValueError("not a format")
    return int(found[1])


def check_format(field: bytes | str | None, what: str) -> None:
    """Refuse a record of a newer major format.

    Raises:
        NewerFormat: its major version is higher than `FORMAT`.
        ValueError: the field is no version.
    """
    check_major(major_of(field), what)


def check_major(major: int, what: str) -> None:
    """Refuse a newer major version.

    Raises:
        NewerFormat: it is higher than `FORMAT`.
    """
    if major > FORMAT:
        raise NewerFormat(
            f"{what} has the storage format {major}; this version of Sojourn reads {FORMAT}. "
            "Upgrade it; nothing was changed.",
            found=str(major),
            known=str(FORMAT),
        )


def check_record(what: str, field: bytes | None, *values: bytes | None) -> None:
    """Refuse a record of a newer major format, and values with an encoding.

    Args:
        what: names the record in an error.
        field: its `format`, if it has one.
        values: its texts and JSON; None for one that is not there.

    Raises:
        NewerFormat: this version cannot read one of them.
        ValueError: the format is no version, or a value was damaged.
    """
    check_format(field, what)
    for value in values:
        if value is not None:
            plain(value, what)


def unknown(fields: Mapping[bytes, bytes], known: Collection[bytes]) -> dict[str, bytes]:
    """The fields of a hash that this version does not know, as an export writes them.

    A name that is no UTF-8 cannot be written there: such a field stays where it is.
    """
    found: dict[str, bytes] = {}
    for name, value in fields.items():
        if name not in known:
            try:
                found[name.decode()] = value
            except ValueError:
                continue
    return found


def _sealed_with(value: bytes) -> str | None:
    """The id of the key that a value is sealed with; None for no such."""
    found = parse(value)
    name = found.encodings[-1] if found is not None and found.encodings else ""
    return name.partition(":")[2] if name.startswith(f"{CIPHER}:") else None


def refusal(
    what: str, key: str, field: bytes = b"", value: bytes = b""
) -> Undecodable | CorruptRecord:
    """Why a script left a record alone: its format, or an encoding that the new value has not.

    Args:
        what: the kind of record, for the message.
        key: that holds it.
        field: its `format`; empty when that is not the reason.
        value: what has an encoding; empty when that is not the reason.

    Returns:
        what is to be raised: `CorruptRecord` for what was damaged.
    """
    flaw = "its fields do not fit"
    try:
        if (key_id := _sealed_with(value)) is not None:
            return KeyMissing(
                f"{what} {key} is sealed with the key {key_id}, and this process, which does not "
                "have it, would write plain text there: open the store with keys=. Nothing was "
                "changed.",
                key_id=key_id,
            )
        check_record(f"{what} {key}", field or None, value or None)
    except Undecodable as error:
        return error
    except ValueError as error:
        flaw = str(error)
    return CorruptRecord(
        f"{what} {key} cannot be read ({flaw}): others wrote it, or it was damaged. Delete it.",
        key=key,
        raw=value or field,
    )
