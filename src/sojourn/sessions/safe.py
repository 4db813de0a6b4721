"""Session calls for callers that must never see an exception."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from sojourn.process_bound import stays_here
from sojourn.sessions.failsafe import Failsafe

if TYPE_CHECKING:
    from sojourn.sessions.batch import Batches
    from sojourn.sessions.service import Sessions


@stays_here("its URL, and open the store there")
class SafeSessions(Failsafe):
    """The calls of `Sessions`, with the same arguments. Each gives a `Result`, none raises.

    Type checkers read them in `safe.pyi`, which scripts/sync_stub.py writes.

    A missing session is `not_found`: `get` never gives None, `touch` and `delete` never False.

    Each error is counted (`store.stats().failures`) and logged as a warning, a bug with where it
    happened. While the server cannot answer, a call that meets the same error again logs it at
    debug level. No content is logged, and no id but a write's: `Result.error` may have them.

    Cancellation is not an error, and passes; so do KeyboardInterrupt and SystemExit.
    """

    def __init__(self, sessions: Sessions) -> None:
        super().__init__()
        _add_calls(self, sessions, self, "sessions")


@stays_here("its URL, and open the store there")
class SafeBatches:
    """The calls of `Batches`, like those of `SafeSessions`, which also counts their errors.

    `append` and `save` are `ok` when all entries are. If not, status and error are those of the
    first that is not, and `Result.value` has the outcome of each.
    """

    def __init__(self, batches: Batches, failsafe: Failsafe) -> None:
        _add_calls(self, batches, failsafe, "batch")


def _add_calls(to: object, room: object, failsafe: Failsafe, name: str) -> None:
    """Give an object the coroutine functions of a room, each made safe."""
    for each, _ in inspect.getmembers(type(room), inspect.iscoroutinefunction):
        if not each.startswith("_"):
            setattr(to, each, failsafe.safe(getattr(room, each), f"{name}.{each}"))
