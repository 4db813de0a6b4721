"""Checkpoints and writes as they are stored: a part in clear for scripts, and content.

A checkpoint: a line with the parent's id; one with the references of its values, one with the names
that have no value (`*` before those whose value is in the checkpoints before it); then its JSON.
A write: task, index, `w` or `-`, references with commas between or `-`, and JSON, with blanks
between, behind a line break.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from sojourn.checkpoints.objects import digest_in
from sojourn.codecs.growth import of_member, to_line
from sojourn.ids import escape, unescape

_to_bytes = msgspec.json.Encoder().encode


class CheckpointRecord(msgspec.Struct, omit_defaults=True):
    """The content of a checkpoint. Members of it that this version does not know are passed over.

    Attributes:
        data: JSON of the framework's.
        metadata: JSON.
        values: by name, with references in them.
    """

    data: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    values: dict[str, msgspec.Raw] = {}


class WriteRecord(msgspec.Struct, array_like=True):
    """The content of a write, a JSON array. What follows these in it is passed over.

    Attributes:
        channel: what it writes to.
        path: of the task.
        value: with references in it.
    """

    channel: str
    path: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")


class WriteRow(NamedTuple):
    """A write as it is stored.

    Attributes:
        number: which of the task's.
        waits: whether the task waits for an answer.
        tokens: the references in its value.
        content: of its record, as JSON or encoded.
    """

    number: int
    waits: bool
    tokens: Sequence[str]
    content: bytes

    @property
    def rest(self) -> bytes:
        """Its line behind task and index."""
        flag, tokens = b"w" if self.waits else b"-", ",".join(self.tokens).encode() or b"-"
        return b"%b %b %b" % (flag, tokens, to_line(self.content))

    @property
    def digests(self) -> list[str]:
        """Those of its objects."""
        return [digest_in(token) for token in self.tokens]


read_checkpoint = msgspec.json.Decoder(CheckpointRecord).decode
read_write = msgspec.json.Decoder(WriteRecord).decode


class CheckpointLead(NamedTuple):
    """What stands in clear before a checkpoint's content.

    Attributes:
        parent: id of the checkpoint before it; empty for none.
        tokens: the references in its values.
        missing: names without a value.
        delta: those of them whose value is in the checkpoints before it.
    """

    parent: str
    tokens: Sequence[str]
    missing: Sequence[str] = ()
    delta: Sequence[str] = ()

    @property
    def digests(self) -> list[str]:
        """Those of its objects."""
        return [digest_in(token) for token in self.tokens]

    def encode(self) -> bytes:
        """The three lines."""
        names = [
            f"*{escape(name)}" if name in self.delta else escape(name) for name in self.missing
        ]
        lines = (escape(self.parent), " ".join(self.tokens), " ".join(names), "")
        return "\n".join(lines).encode()


def split_checkpoint(stored: bytes) -> tuple[CheckpointLead, bytes]:
    """The part in clear, and the content.

    Raises:
        ValueError: it has none.
    """
    lines = stored.split(b"\n", 3)
    if len(lines) != 4:  # noqa: PLR2004 - three in clear
        raise ValueError("it lacks the lines before its content")
    parent, tokens, names = (line.decode() for line in lines[:3])
    missing = names.split()
    return CheckpointLead(
        unescape(parent),
        tokens.split(),
        [unescape(name.removeprefix("*")) for name in missing],
        [unescape(name[1:]) for name in missing if name.startswith("*")],
    ), lines[3]


def split_writes(stored: bytes) -> Iterator[tuple[str, WriteRow]]:
    """The writes beside a checkpoint, each with its task.

    Raises:
        ValueError: they cannot be read.
    """
    for line in stored.split(b"\n")[1:]:
        task, index, flag, tokens, content = line.split(b" ", 4)
        yield (
            unescape(task.decode()),
            WriteRow(
                int(index),
                flag == b"w",
                () if tokens == b"-" else tokens.decode().split(","),
                of_member(content),
            ),
        )


def join_writes(writes: Iterable[tuple[str, WriteRow]]) -> bytes:
    """The inverse."""
    return b"".join(
        b"\n%b %d %b" % (escape(task).encode(), row.number, row.rest) for task, row in writes
    )


def place_of(namespace: str, checkpoint: str) -> str:
    """The name of a checkpoint within its thread."""
    return f"{escape(namespace)}:{escape(checkpoint)}"


def encode_checkpoint(
    data: Mapping[str, Any], metadata: Mapping[str, Any], values: dict[str, msgspec.Raw]
) -> bytes:
    """The content of a checkpoint. Data and metadata are JSON."""
    return _to_bytes(CheckpointRecord(dict(data), dict(metadata), values))


def encode_write(channel: str, path: str, value: bytes) -> bytes:
    """The content of a write."""
    return _to_bytes(WriteRecord(channel, path, msgspec.Raw(value)))
