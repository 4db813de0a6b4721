"""Keys of threads, of what they hold, and of the indexes over them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from sojourn.calls.keys import (
    ID,
    REMEMBERED,
    SHARD_TAG,
    USER_TAG,
    Endless,
    KeyKind,
    Keys,
    expiry_of_tag,
    parent,
    shard_of,
)
from sojourn.checkpoints.model import ThreadKey
from sojourn.ids import UserKey, escape

SHARDS = 16
"""Over how many slots the threads of an app are spread in its index."""

PARTS = ("checkpoints", "writes", "values", "refs", "ops")

_THREAD = rf"thread:{USER_TAG}:{ID}"

KINDS = (
    KeyKind("thread", _THREAD, Endless.EXPIRES_FIELD),
    KeyKind("threaddata", rf"{_THREAD}:(?:{'|'.join(PARTS)})", Endless.EXPIRES_FIELD, parent),
    KeyKind("threads", rf"threads:{USER_TAG}(?::expiry)?", Endless.INFINITE_SCORE, expiry_of_tag),
    KeyKind("threadops", rf"threadops:{USER_TAG}"),
    KeyKind("stagedthread", rf"stagedthread:{USER_TAG}:{ID}(?::(?:{'|'.join(PARTS)}))?"),
    KeyKind("threadindex", rf"threadindex:{SHARD_TAG}", Endless.INFINITE_SCORE),
    KeyKind("threadowners", rf"threadowners:{USER_TAG}", Endless.INFINITE_SCORE),
    KeyKind("threadruns", rf"threadruns:{USER_TAG}", Endless.INFINITE_SCORE),
)


class ThreadKeys(NamedTuple):
    """The keys of one thread, in the order in which every script takes them."""

    head: str
    checkpoints: str
    writes: str
    values: str
    refs: str
    ops: str
    threads: str
    expiry: str
    done: str


class CheckpointRoomKeys(Keys):
    """Builds the keys of this room."""

    kinds = KINDS

    def __init__(self, namespace: str = "") -> None:
        super().__init__(namespace)
        self.thread = lru_cache(REMEMBERED)(self._thread)

    def _thread(self, key: ThreadKey, stage: str = "") -> ThreadKeys:
        """The keys of a thread, in the slot of its user; or of a part that nobody sees yet."""
        word, name = ("stagedthread", stage) if stage else ("thread", key.thread)
        head = f"{self.of_user(word, key.owner)}:{escape(name)}"
        checkpoints, writes, values, refs, ops = (f"{head}:{part}" for part in PARTS)
        threads, expiry = self.threads(key.owner)
        done = self.of_user("threadops", key.owner)
        return ThreadKeys(head, checkpoints, writes, values, refs, ops, threads, expiry, done)

    def threads(self, owner: UserKey) -> tuple[str, str]:
        """The threads of a user: by last change, and by expiry."""
        index = self.of_user("threads", owner)
        return index, f"{index}:expiry"

    def threads_by(self, owner: UserKey) -> tuple[str, ...]:
        """Globs of all keys of a user in this room."""
        return (
            f"{self.of_user('thread*', owner)}*",
            f"{self.of_user('stagedthread', owner)}*",
        )

    def shard(self, app: str, shard: int) -> str:
        """One shard of the threads of an app."""
        return self.of_shard("threadindex", escape(app), shard)

    def app_index(self, key: ThreadKey) -> tuple[str, str]:
        """The shard of an app's threads that lists this one, and the thread's name there."""
        name = f"{escape(key.user)}:{escape(key.thread)}"
        return self.shard(key.app, shard_of(key.thread, SHARDS)), name

    def owners(self, app: str, thread: str) -> str:
        """The owners of threads of one id."""
        return f"{self.start}threadowners:{{{escape(app)}:{escape(thread)}}}"

    def runs(self, app: str, run: str) -> str:
        """The threads in which a run has stored checkpoints."""
        return f"{self.start}threadruns:{{{escape(app)}:{escape(run)}}}"

    def app_of(self, key: str, user: str) -> str | None:
        """As in other rooms; the tag of an index by thread or run names no user."""
        kind = self.kind_of(key)
        if kind is not None and kind.name in {"threadowners", "threadruns"}:
            return None
        return super().app_of(key, user)
