"""History of a thread: the messages in the state of a graph, as `store.history` has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sojourn.checkpoints.model import StoredCheckpoint, ThreadKey
from sojourn.checkpoints.objects import plain
from sojourn.checkpoints.service import Threads
from sojourn.errors import InvalidInput
from sojourn.message import Message, role_of
from sojourn.process_bound import stays_here

_OF_ITS_OWN = frozenset({"type", "role", "content", "id"})


@stays_here("the store's URL and the ThreadKey")
class ThreadHistory:
    """The messages of a thread, to read. Made by `store.history(ThreadKey.of(…))`.

    A graph writes them by its checkpointer. Both methods may raise `Unavailable` and its kin when
    no server answers in time, and `CorruptRecord` or `Undecodable` when the last checkpoint cannot
    be read.

    Args:
        threads: those of the store.
        key: which one.
        channel: the value that holds them.
    """

    def __init__(self, threads: Threads, key: ThreadKey, channel: str = "messages") -> None:
        self.key = key
        self._threads = threads
        self._channel = channel

    async def all(self) -> list[Message]:
        """All messages, oldest first; none when there is no thread. One round trip.

        Raises:
            InvalidInput: the channel keeps only what each step adds (`DeltaChannel`).
        """
        found = await self._threads.get(self.key)
        return [] if found is None else messages_in(found, self._channel)

    async def last(self, n: int) -> list[Message]:
        """The last n messages, oldest first. One round trip, which reads all of them.

        Raises:
            InvalidInput: a negative number; or as `all`.
        """
        if n < 0:
            raise InvalidInput(f"last({n}) is no number of messages: give 0 or more.")
        found = await self.all()
        return found[len(found) - min(n, len(found)) :]


def messages_in(found: StoredCheckpoint, channel: str = "messages") -> list[Message]:
    """The messages that a checkpoint holds, oldest first; what is no message is left out.

    Raises:
        InvalidInput: the channel keeps only what each step adds.
    """
    if channel in found.delta:
        raise InvalidInput(
            f"The channel {channel!r} is a DeltaChannel: a checkpoint does not hold all of it. "
            "Read it by CheckpointSaver and the graph."
        )
    value: Any = plain(found.values[channel]) if channel in found.values else []
    members = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    numbered = enumerate(members, 1)
    return [_message(cast("Any", each), n) for n, each in numbered if isinstance(each, dict)]


def _message(said: dict[str, Any], seq: int) -> Message:
    word = said.get("role") or said.get("type") or "assistant"
    return Message(
        role=role_of(str(word)),
        content=said.get("content"),
        metadata={name: value for name, value in said.items() if name not in _OF_ITS_OWN},
        id=str(said.get("id") or ""),
        time=0.0,
        seq=seq,
    )
