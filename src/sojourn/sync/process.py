"""The store of this process for callers without an event loop."""

from __future__ import annotations

import atexit
import logging
import os

from sojourn import process
from sojourn.errors import SojournError
from sojourn.sync.facade import Facade, Store
from sojourn.sync.portal import Portal

log = logging.getLogger("sojourn")

_portals = [Portal()]
"""The last is ours; those before it are of processes that we were forked from."""


class DefaultStore(Store):
    """Whichever store `sojourn.default()` gives at the time of a call."""

    def __init__(self) -> None:
        Facade.__init__(self, lambda: _portals[-1], process.default)

    def close(self) -> None:
        """Close the store of this process and end the thread. Another call opens another."""
        portal = _portals[-1]
        portal.run(process.close_default)
        portal.close()


STORE = DefaultStore()
"""The only one."""


def _close_at_exit() -> None:
    """Where the connections are: in the thread, which still runs."""
    portal = _portals[-1]
    if not portal.running:
        return
    try:
        portal.start(process.close_at_last).result(process.LAST_SECONDS)
    except (SojournError, TimeoutError) as error:
        log.warning("The store of this process was not closed in order: %s", type(error).__name__)
    else:
        portal.close()


atexit.register(_close_at_exit)  # it comes before that of `process`, which was registered before
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _portals.append(Portal()))
