"""Store of dictionaries in this process: the same answers as on a server."""

from __future__ import annotations

from sojourn.calls.operation import Operation, R
from sojourn.resilience.atomic import atomic


@atomic
class InMemoryDictionaries:
    """Dictionaries in this process, gone with it. Public attributes are for operations.

    Attributes:
        records: the fields that a hash on a server would have, by app.
    """

    def __init__(self) -> None:
        self.records: dict[str, dict[str, bytes]] = {}

    async def run(self, operation: Operation[R]) -> R:
        """As `RoomStore`."""
        return await operation.in_memory(self)
