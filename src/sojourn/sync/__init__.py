"""The store for code without an event loop: the same names, and the same results.

    with sojourn.sync.open("redis://localhost:6379") as store:
        session = store.sessions.create("shop", "ada")

Calls wait in the thread that makes them, while the store runs in a thread of its own. They may come
from any thread, also one beside a running event loop, and from a process that was forked.
"""

from __future__ import annotations

from typing import Any

from sojourn.process import ProcessStore
from sojourn.sync.facade import DEFAULT, Store

__all__ = ["Store", "close_default", "default", "open"]


def open(url: Any, **options: Any) -> Store:  # noqa: A001 - sojourn.sync.open(url)
    """Open a store, as `sojourn.open` does with the same arguments.

    Raises:
        ConfigurationError: the URL.
        InvalidInput: one of the other arguments.
    """
    held = ProcessStore(url, options)
    return Store(lambda: held.store, held.close)


def default() -> Store:
    """The store of this process, `sojourn.default()`, for callers without an event loop.

    Always the same object. Every call of it goes to what `sojourn.default()` gives then: opened at
    first use, another after `close_default()` or a fork, `memory://` inside
    `sojourn.force_memory()`.
    """
    return DEFAULT


def close_default() -> None:
    """Close the store of this process, as `sojourn.close_default` does."""
    DEFAULT.close()
