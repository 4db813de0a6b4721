"""Protocol of the guard's store: owners of ids, and refusals, shared by all processes."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple, Protocol

from sojourn.ids import AppName, SessionId, SessionKey, UserKey, escape

DIGEST = 16
"""Bytes of what stands for whose a session is."""
OWNERS = 8
"""Users of one id that are remembered: more have one only where callers choose ids."""


class Totals(NamedTuple):
    """What all processes have counted for an app, until 30 days after the last of it.

    Attributes:
        counts: how often which `outcome:reason` was.
        flagged: about how many different sessions were attempted by somebody else.
    """

    counts: Mapping[str, int]
    flagged: int


class SecurityStore(Protocol):
    """Where that is kept. Every method but `forget` costs one round trip."""

    async def claim(self, key: SessionKey) -> None:
        """Remember whose session this is, too; a digest, for as long as the state of users.

        Of one id the first `OWNERS` are remembered.
        """
        ...

    async def owners_of(self, app: AppName, session: SessionId) -> frozenset[bytes]:
        """The digests of whose session it is or was; none when nobody remembers."""
        ...

    async def count(self, app: AppName, what: str, flagged: SessionId | None) -> None:
        """Count a decision, and the session that it flags."""
        ...

    async def forget(self, owner: UserKey) -> int:
        """Forget which ids are a user's; how many. Looks at every key."""
        ...

    async def totals(self, app: AppName) -> Totals:
        """What was counted."""
        ...


def owner_digest(key: SessionKey) -> bytes:
    """Tells whether two users of an id are the same; two sessions of a user have two digests."""
    return blake2b(_named(*key), digest_size=DIGEST // 2).hexdigest().encode()


def session_digest(app: AppName, session: SessionId) -> str:
    """Stands for a session among the flagged."""
    return blake2b(_named(app, session), digest_size=16).hexdigest()


def _named(*ids: str) -> bytes:
    return ":".join(map(escape, ids)).encode()
