"""Message streams that a client can resume after a lost connection."""

from sojourn.streams.model import StreamMessage
from sojourn.streams.service import Streams
from sojourn.streams.store import StreamStore

__all__ = ["StreamMessage", "StreamStore", "Streams"]
