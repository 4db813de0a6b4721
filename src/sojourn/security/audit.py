"""The access log: one record a decision, without ids, secrets or content."""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import IO, Literal, NamedTuple, TypeAlias

from sojourn.errors import InvalidInput
from sojourn.process_bound import stays_here
from sojourn.security.principal import Principal

Outcome = Literal["allowed", "not_found", "refused", "failed"]
"""What became of it. `failed`: the store could not tell, wrong input, or it was cancelled."""

Sink: TypeAlias = Callable[["Decision"], None]
"""Takes a decision somewhere. It must not block for long, and not raise."""

MIN_SALT = 16

MOST_FLAGGED = 100_000
"""Sessions that a process knows as flagged; of more it forgets the first."""


class Decision(NamedTuple):
    """A record of the access log. None of its texts came from a caller as they stand here.

    Attributes:
        time: UTC, ISO 8601 with microseconds.
        who: the app and the user, as a salted hash; empty when nobody was known.
        peer: the caller's address, as a salted hash; empty when unknown.
        action: what was wanted, such as `sessions.get`.
        session: which session, as a salted hash; empty when it was about none.
        outcome: `allowed`, `not_found`, `refused` or `failed`.
        reason: one word more: `unknown`, `foreign`, `forged`, `throttled`, `cancelled` …
    """

    time: str
    who: str
    peer: str
    action: str
    session: str
    outcome: Outcome
    reason: str

    def as_dict(self) -> dict[str, str]:
        """The record as JSON has it, without what is empty."""
        return {name: value for name, value in self._asdict().items() if value}


@stays_here("its path, and open it there", holds="an open file")
class JsonLines:
    """Writes decisions to a file, one JSON object a line.

    Args:
        file: a path, appended to and made readable for its owner only; or an open text file, which
            stays open.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, file: str | os.PathLike[str] | IO[str]) -> None:
        self._lent = not isinstance(file, (str, os.PathLike))
        self._file: IO[str] = (
            os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a")
            if isinstance(file, (str, os.PathLike))
            else file
        )
        self._lock = threading.Lock()

    def __call__(self, decision: Decision) -> None:
        """Write one line and flush it."""
        line = json.dumps(decision.as_dict(), separators=(",", ":"))
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file, unless it was lent."""
        if not self._lent:
            self._file.close()


class Logged:
    """Gives decisions to standard logging: the record is the message, as JSON, and in `extra`.

    What was allowed is of level INFO, everything else a WARNING.

    Args:
        logger: where to; `sojourn.access` if not given.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("sojourn.access")

    def __call__(self, decision: Decision) -> None:
        """Log one record."""
        level = logging.INFO if decision.outcome == "allowed" else logging.WARNING
        record = decision.as_dict()
        self._logger.log(level, json.dumps(record, separators=(",", ":")), extra={"access": record})


@stays_here("what it writes to, as a path, and make it there", holds="a queue and a lock")
class AccessLog:
    """Makes a record of each decision, hands it to the sinks, and counts.

    Ids are hashed with a salt, so that records about one session can be put side by side and
    nobody who reads the log can resume it. `pseudonym` finds the records about a known id.

    Args:
        sinks: where records go.
        salt: at least 16 bytes, the same for all processes whose logs are read together; random
            when not given, so that hashes compare within this process only.

    Raises:
        InvalidInput: the salt is too short.
    """

    def __init__(self, *sinks: Sink, salt: bytes | None = None) -> None:
        if salt is not None and len(salt) < MIN_SALT:
            raise InvalidInput(f"The salt of an access log has at least {MIN_SALT} bytes.")
        self._sinks = sinks
        self._salt = secrets.token_bytes(32) if salt is None else bytes(salt)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._flagged: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def decided(
        self,
        action: str,
        outcome: Outcome,
        reason: str = "",
        *,
        principal: Principal | None = None,
        peer: str = "",
        session: str | None = None,
        flagged: bool = False,
    ) -> Decision:
        """Record a decision. Nothing is sent.

        Args:
            action: what was wanted: a word of the caller's code, never of a client.
            outcome: what became of it.
            reason: a word of the caller's code.
            principal: who wanted it, where that is known.
            peer: the caller's address, where nobody is known who has one.
            session: the id that it was about, as it came.
            flagged: it says that somebody else tried this session.

        Returns:
            the record.
        """
        peer = peer if principal is None else principal.peer or peer
        decision = Decision(
            time=datetime.now(UTC).isoformat(timespec="microseconds"),
            who="" if principal is None else self.pseudonym(principal.app, principal.user),
            peer=self.pseudonym(peer) if peer else "",
            action=action,
            session=""
            if session is None or principal is None
            else self.pseudonym(principal.app, session),
            outcome=outcome,
            reason=reason,
        )
        with self._lock:
            self._counts[outcome, reason] += 1
            if flagged and decision.session:
                self._flagged[decision.session] = None
                while len(self._flagged) > MOST_FLAGGED:
                    self._flagged.popitem(last=False)
        for sink in self._sinks:
            sink(decision)
        return decision

    def pseudonym(self, *names: str) -> str:
        """What stands in the records for an id: (app, user), (app, session) or (address).

        32 hexadecimal digits of a keyed BLAKE2b.
        """
        keyed = blake2b(key=self._salt[:64], digest_size=16)
        for name in names:
            data = name.encode("utf-8", "surrogatepass")
            keyed.update(len(data).to_bytes(4, "big") + data)
        return keyed.hexdigest()

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many decisions of this process had which outcome and reason."""
        with self._lock:
            return dict(self._counts)

    @property
    def flagged(self) -> int:
        """How many different sessions of this process somebody else tried, up to 100,000."""
        with self._lock:
            return len(self._flagged)
