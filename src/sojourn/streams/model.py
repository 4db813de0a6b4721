"""Messages sent to a client: frozen values."""

from __future__ import annotations

from typing import NamedTuple

TTL = 3600.0
"""Seconds that a connection is kept from the last thing that happened to it."""
TTL_MS = round(TTL * 1000)
MAX_MESSAGES = 256
"""How many messages are kept of a connection; the oldest go first."""
MAX_BYTES = 2 * 1024 * 1024
"""How many bytes their texts and streams have together; the newest is kept in any case."""


class StreamMessage(NamedTuple):
    """A message to a client.

    Attributes:
        number: counts the messages of a connection, from 1.
        stream: which of the connection's streams it belongs to.
        message: its text; empty for one that only marks a place.
    """

    number: int
    stream: str
    message: str


class StoredMessage(NamedTuple):
    """A message as it is stored.

    Attributes:
        number: counts the messages of a connection, from 1.
        operation: the id of the operation that added it.
        row: JSON array of its stream and its text; or as that is encoded.
        size: bytes of the two.
    """

    number: int
    operation: str
    row: bytes
    size: int = 0
