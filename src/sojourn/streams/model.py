"""Messages sent to a client: frozen values."""

from __future__ import annotations

from typing import NamedTuple


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
