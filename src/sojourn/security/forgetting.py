"""Erasure of a user in all rooms, and the receipt for it."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, NamedTuple

from sojourn.calls.room import Forget
from sojourn.ids import UserKey, parse_app, parse_user, user_key
from sojourn.sessions import SessionParts
from sojourn.sessions.admin import forget_sessions

ReadableCopies = Literal["plain", "server", "key_store"]
"""Which backups from before an erasure stay readable: all, as nothing was sealed; those of the
server, with the master key; or none without a backup of the key store."""


TrainedOn = Callable[[str, str], Awaitable[list[str]]]


class ErasureReceipt(NamedTuple):
    """What was forgotten. It holds no content and no name.

    Attributes:
        time: since when nothing that was buffered before is written any more: the server's clock,
            seconds since the epoch.
        salt: random, of this receipt.
        who: SHA-256 of the salt, a colon and the user's id, in hexadecimal: who knows the id can
            show that the receipt is the user's.
        apps: in how many apps something was looked for.
        erased: how many of each kind are gone. A run that finishes what another began has only the
            rest.
        copies: which backups from before that time stay readable: `plain` all, as nothing was
            sealed; `server` those of the server, for who has the master key, as the wrapped data
            key is in them; `key_store` none without a backup of the key store from before. What
            was written in plain text before the store was sealed can be read in any.
        dictionaries: ids of dictionaries for compression that were trained on values of many users,
            this one's among them. They stay: `store.admin.retire_dictionary` replaces one.
    """

    time: float
    salt: str
    who: str
    apps: int
    erased: Mapping[str, int]
    copies: ReadableCopies = "plain"
    dictionaries: tuple[str, ...] = ()

    def is_of(self, user: str) -> bool:
        """Whether it is this user's."""
        return self.who == _digest(self.salt, user)


class Eraser:
    """Forgets users of a store.

    Args:
        sessions: go first.
        others: everything else that is kept of a user, by its kind in the receipt.
        find: the apps that keep something about a user.
        copies: which backups stay readable when data keys were destroyed.
        sealing: whether the store seals what it writes.
        trained_on: the dictionaries of an app that were trained on a user's values.
    """

    def __init__(
        self,
        sessions: SessionParts,
        others: Mapping[str, Forget],
        find: Callable[[str], Awaitable[set[str]]],
        copies: ReadableCopies = "server",
        *,
        sealing: bool = False,
        trained_on: TrainedOn,
    ) -> None:
        self._sessions = sessions
        self._others = others
        self._find = find
        self._copies: ReadableCopies = copies
        self._sealing = sealing
        self._trained_on = trained_on

    async def apps_of(self, user: str) -> list[str]:
        """The apps that keep something about a user."""
        return sorted(await self._find(parse_user(user)))

    async def forget(self, user: str, app: str | None) -> ErasureReceipt:
        """Forget a user in an app, or in all."""
        if app is None:  # first of all: in which app something waits elsewhere, nobody knows
            since = (await forget_sessions(self._sessions, None, user)).time
            apps = await self.apps_of(user)
        else:
            since, apps = 0.0, [str(parse_app(app))]
        erased = Counter[str]()
        dictionaries: list[str] = []
        for name in apps:
            dictionaries += await self._trained_on(name, user)
            began = await self._forget_in(user_key(name, user), erased)
            since = since or began
        salt = secrets.token_hex(16)
        sealed = self._sealing or erased["data_keys"] > 0
        copies: ReadableCopies = self._copies if sealed else "plain"
        return ErasureReceipt(
            since,
            salt,
            _digest(salt, user),
            len(apps),
            dict(erased),
            copies,
            tuple(dictionaries),
        )

    async def _forget_in(self, owner: UserKey, erased: Counter[str]) -> float:
        """The sessions first: from their tombstone on nothing comes back."""
        app, user = owner
        sessions = await forget_sessions(self._sessions, app, user)
        counts = sessions._asdict()
        since: float = counts.pop("time")
        erased.update(counts)
        for kind, forget in self._others.items():
            erased[kind] += await forget(owner)
        return since


def _digest(salt: str, user: str) -> str:
    return hashlib.sha256(f"{salt}:{user}".encode()).hexdigest()
