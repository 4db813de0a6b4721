"""Threads of checkpoints: a tree of states in which each value is stored once."""

from sojourn.checkpoints.history import ThreadHistory, messages_in
from sojourn.checkpoints.model import (
    Branch,
    CheckpointPlace,
    Leaf,
    PendingWrite,
    StoredCheckpoint,
    Thread,
    ThreadKey,
    ThreadPage,
)
from sojourn.checkpoints.own import OwnThreads
from sojourn.checkpoints.service import DEFAULT_TTL, Threads

__all__ = [
    "DEFAULT_TTL",
    "Branch",
    "CheckpointPlace",
    "Leaf",
    "OwnThreads",
    "PendingWrite",
    "StoredCheckpoint",
    "Thread",
    "ThreadHistory",
    "ThreadKey",
    "ThreadPage",
    "Threads",
    "messages_in",
]
