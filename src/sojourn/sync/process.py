"""The store of this process for callers without an event loop."""

from __future__ import annotations

import os

from sojourn import process
from sojourn.sync.facade import Facade, Store
from sojourn.sync.portal import Portal

_portals = [Portal()]
"""The last is ours; those before it are of processes that we were forked from."""


class DefaultStore(Store):
    """Whichever store `sojourn.default()` gives at the time of a call."""

    def __init__(self) -> None:
        Facade.__init__(self, lambda: _portals[-1], process.default)

    def __repr__(self) -> str:
        return "<sojourn.sync.default()>"

    def close(self) -> None:
        """Close the store of this process and end the thread. Another call opens another."""
        portal = _portals[-1]
        portal.run(process.close_default)
        portal.close()


STORE = DefaultStore()
"""The only one."""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _portals.append(Portal()))
