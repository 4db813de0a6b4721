"""Messages to a client that may ask for them again: for surfaces that can lose a connection."""

from sojourn.streams.model import Told
from sojourn.streams.service import Streams
from sojourn.streams.store import StreamStore

__all__ = ["StreamStore", "Streams", "Told"]
