"""Operations of the streams room, one class each."""

from sojourn.streams.operations.add import AddMessage
from sojourn.streams.operations.connections import (
    CloseConnection,
    ForgetConnections,
    TouchConnection,
)
from sojourn.streams.operations.open import OpenConnection
from sojourn.streams.operations.read import ReadMessages

__all__ = [
    "AddMessage",
    "CloseConnection",
    "ForgetConnections",
    "OpenConnection",
    "ReadMessages",
    "TouchConnection",
]
