"""Upgrades of records from one major format to the next: pure functions that ask no server.

A version that brings a major format 2 puts its functions here, under 1. It reads records of both,
and writes format 1 until `sojourn upgrade --to 2`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sojourn.codecs import growth


class Upgrade(NamedTuple):
    """One step, from a major format to the next.

    Attributes:
        fields: the hash of a record, by the kind of its key and its fields, in the next format. The
            field `format` is written for it.
        row: a row of a log in the next format, which the row's header must name.
    """

    fields: Callable[[str, Mapping[bytes, bytes]], Mapping[bytes, bytes]]
    row: Callable[[bytes], bytes]


UPGRADES: dict[int, Upgrade] = {}
"""The steps that this version knows, by the format that they start from."""


def upgrade_fields(kind: str, fields: Mapping[bytes, bytes], to: int) -> Mapping[bytes, bytes]:
    """The hash of a record in a major format; as it is, when it has that or a later one.

    Raises:
        ValueError: its `format` is no version.
    """
    for major in range(growth.major_of(fields.get(b"format")), to):
        fields = {**UPGRADES[major].fields(kind, fields), b"format": b"%d" % (major + 1)}
    return fields


def upgrade_row(row: bytes, to: int) -> bytes:
    """A row of a log in a major format; as it is, when it has that or a later one.

    Raises:
        ValueError: it was damaged.
    """
    found = growth.parse(row)
    for major in range(1 if found is None else found.major, to):
        row = UPGRADES[major].row(row)
    return row
