"""The threads of one user: calls that can name nobody else's."""

from __future__ import annotations

from collections.abc import Sequence

from sojourn.checkpoints.model import CheckpointPlace, StoredCheckpoint, ThreadKey, ThreadPage
from sojourn.checkpoints.service import Threads
from sojourn.ids import UserKey
from sojourn.process_bound import stays_here


@stays_here("the store's URL and the name of the user")
class OwnThreads:
    """Threads of one user, to look at and to delete; frameworks write them by `store.threads`.

    Every method may raise `Unavailable` and its kin when no server answers in time, and
    `InvalidId` for what cannot name a thread.

    Args:
        threads: those of all users.
        owner: the user.
    """

    def __init__(self, threads: Threads, owner: UserKey) -> None:
        self._threads = threads
        self._owner = owner

    async def get(
        self, thread: str, checkpoint: str | None = None, *, namespace: str = ""
    ) -> StoredCheckpoint | None:
        """A checkpoint with its values and writes; None when there is none. One round trip.

        Args:
            thread: of which thread.
            checkpoint: its id; the last of the namespace if not given.
            namespace: of the checkpoint.

        Raises:
            CorruptRecord: it is there, and cannot be read.
            NewerFormat: a newer version of Sojourn keeps it in a way that this one cannot read.
        """
        return await self._threads.get(self._key(thread), checkpoint, namespace=namespace)

    async def places(
        self, thread: str, *, namespace: str | None = None
    ) -> Sequence[CheckpointPlace]:
        """Where the checkpoints of a thread are: the newest first. One round trip.

        Args:
            thread: of which thread.
            namespace: only those of this one; None for all.
        """
        return await self._threads.places(self._key(thread), namespace=namespace)

    async def read(
        self, thread: str, places: Sequence[CheckpointPlace], *, bare: bool = False
    ) -> Sequence[StoredCheckpoint]:
        """Several checkpoints, in the order of their places. One round trip.

        What cannot be read is left out, is in the quarantine and in the log; then it takes one more
        for each place.

        Args:
            thread: of which thread.
            places: which; those that are gone are left out.
            bare: without values and writes.

        Raises:
            CorruptRecord: none of them can be read.
            NewerFormat: a newer version of Sojourn keeps one in a way that this one cannot read.
        """
        return await self._threads.readable(self._key(thread), places, bare=bare)

    async def delete(self, thread: str, *, operation_id: str | None = None) -> bool:
        """Delete a thread; whether there was one. One round trip.

        Args:
            thread: which.
            operation_id: repeat a delete with the same id and it takes effect once.

        Raises:
            OutcomeUnknown: whether it was deleted is not known; repeat it with that id.
        """
        return await self._threads.delete(self._key(thread), operation_id=operation_id)

    async def prune(self, thread: str, *, keep: int = 1, operation_id: str | None = None) -> int:
        """Delete all but the newest checkpoints of each namespace; how many. One round trip.

        Those that a kept one needs stay, and those where a task waits for an answer.

        Args:
            thread: of which thread.
            keep: how many of each namespace.
            operation_id: repeat it with the same id and it takes effect once.

        Raises:
            OutcomeUnknown: whether it was done is not known; repeat it with that id.
            CorruptRecord: the thread cannot be read.
            NewerFormat: a newer version of Sojourn keeps it in a way that this one cannot read.
        """
        return await self._threads.prune(self._key(thread), keep=keep, operation_id=operation_id)

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> ThreadPage:
        """Threads of the user, the newest first. Two round trips.

        Args:
            limit: how many at most.
            cursor: of the page before.

        Raises:
            InvalidInput: the limit or the cursor.
        """
        return await self._threads.list(*self._owner, limit=limit, cursor=cursor)

    def _key(self, thread: str) -> ThreadKey:
        return ThreadKey.of(*self._owner, thread)
