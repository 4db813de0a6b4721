"""Message streams that a client can resume after a lost connection."""

from sojourn.streams.model import StreamMessage
from sojourn.streams.service import Streams

__all__ = ["StreamMessage", "Streams"]
