"""Values of the checkpoints room: frozen, and independent of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from sojourn.ids import AppName, UserId, UserKey, parse_app, parse_thread, parse_user


class ThreadKey(NamedTuple):
    """The identity of a thread. Make one with `ThreadKey.of`.

    Example:
        >>> ThreadKey.of("shop", "ada", "t1")
        ThreadKey(app='shop', user='ada', thread='t1')
    """

    app: AppName
    user: UserId
    thread: str

    @classmethod
    def of(cls, app: str, user: str, thread: str) -> ThreadKey:
        """Check the three ids.

        Args:
            app: the application, not empty.
            user: the user; empty is a user like any other, never "all users".
            thread: the thread, not empty.

        Raises:
            InvalidId: one of them cannot name a key.
        """
        return cls(parse_app(app), parse_user(user), parse_thread(thread))

    @property
    def owner(self) -> UserKey:
        """The user whose thread this is."""
        return UserKey(self.app, self.user)


class Leaf(NamedTuple):
    """A value that is stored as one.

    Attributes:
        body: JSON text; or bytes, if `kind` names another form.
        kind: how the body was made: empty for JSON, else a word such as `msgpack`.
        id: the member `id` of the value, taken out of it: what differs in nothing else is stored
            once.
    """

    body: bytes
    kind: str = ""
    id: str = ""


class Branch(NamedTuple):
    """A value of which parts are stored by themselves, each once.

    Attributes:
        children: the elements of a list; or the parts to which the template refers.
        template: JSON in which `{"$ref": n}` stands for child n; None for a list.
    """

    children: Sequence[Content]
    template: bytes | None = None


Content: TypeAlias = Leaf | Branch
"""What is stored under a name in a checkpoint, or of a write."""


class CheckpointPlace(NamedTuple):
    """Where a checkpoint is in its thread.

    Attributes:
        namespace: of a graph within the thread; empty for the outermost.
        id: of the checkpoint. Those of a namespace are ordered by it.
    """

    namespace: str
    id: str


class PendingWrite(msgspec.Struct, frozen=True, kw_only=True):
    """A write of a task, stored beside the checkpoint that the task started from.

    Attributes:
        task: id of the task.
        index: which of the task's; a write of a negative index replaces the one before.
        channel: what it writes to.
        path: of the task. Writes are read in the order of (path, task, index).
        value: what it writes.
        waits: the task waits for an answer: pruning keeps the checkpoint while it is the last.
    """

    task: str
    index: int
    channel: str
    value: Content
    path: str = ""
    waits: bool = False


class StoredCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint as it was stored.

    Attributes:
        place: where it is.
        parent: id of the checkpoint before it in the same namespace; empty for none.
        data: JSON of the framework's.
        metadata: JSON.
        values: by name.
        writes: in the order of (path, task, index).
        missing: names that have no value in it.
        delta: those of them whose value is in the checkpoints before it.
    """

    place: CheckpointPlace
    parent: str
    data: dict[str, Any]
    metadata: dict[str, Any]
    values: Mapping[str, Content]
    writes: Sequence[PendingWrite]
    missing: Sequence[str] = ()
    delta: Sequence[str] = ()


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """What a list tells of a thread.

    Attributes:
        thread: its id.
        title: how it began, or as the application named it.
        updated: its last change, seconds since the epoch.
        created: its first.
        expires: when it expires, seconds since the epoch; None for never.
        checkpoints: how many it has.
        newer: a newer version of Sojourn keeps it in a way that this one cannot read.
    """

    thread: str
    title: str
    updated: float
    created: float
    expires: float | None
    checkpoints: int
    newer: bool = False


class ThreadPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of threads, newest first.

    Attributes:
        threads: those of this page.
        cursor: for the next page; None when this is the last.
    """

    threads: Sequence[Thread]
    cursor: str | None = None
