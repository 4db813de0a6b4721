"""Quarantine: unreadable records are kept with their bytes and counted; the rest is served."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal, NamedTuple, Protocol

from sojourn.errors import CorruptRecord
from sojourn.ids import SessionId, UserKey
from sojourn.sessions.model import Quarantined
from sojourn.telemetry import CorruptFact, Hooks

log = logging.getLogger("sojourn.sessions")

Part = Literal["session", "events", "user state", "app state", "outbox", "index", "thread"]

MOST = 1000
"""Records that a user's quarantine holds; what comes later stays where it is."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes that they have all together."""
LARGEST = 8 * 1024 * 1024
"""Bytes that are kept of one."""

_REMEMBERED = 10_000
"""Records that a process does not report again."""
_AGAIN = 86_400
"""Seconds until it does."""


class UnreadablePart(NamedTuple):
    """A record that cannot be read.

    Attributes:
        owner: whose quarantine takes it; None for what is no user's: it is told and not kept.
        session: the session that it is part of, if it is one's.
        part: what it is part of.
        field: as in `Quarantined`; bytes that are no UTF-8 as `surrogateescape` has them.
        reason: the fault, without any content.
        raw: its bytes.
        key: the key that holds it, if it is of another room.
    """

    owner: UserKey | None
    session: SessionId | None
    part: Part
    field: str
    reason: str
    raw: bytes
    key: str = ""

    @property
    def id(self) -> str:
        """The same for the same bytes in the same place."""
        place = repr((self.owner, self.session, self.part, self.field))
        digest = blake2b(place.encode(errors="surrogatepass"), digest_size=8)
        digest.update(self.raw)
        return digest.hexdigest()


class QuarantineStore(Protocol):
    """Where quarantined records are kept."""

    def keep(self, owner: UserKey, records: Sequence[UnreadablePart]) -> None:
        """Keep records of a user, each once. Nobody waits for it, and it never fails.

        What comes from the outbox is taken out of it in the same step.
        """
        ...

    async def records(self, owner: UserKey) -> list[Quarantined]:
        """The quarantined records of a user, oldest first."""
        ...

    async def remove(self, owner: UserKey, id: str) -> bool:  # noqa: A002 - as the field
        """Forget a record; whether it was there."""
        ...

    async def forget(self, owner: UserKey) -> int:
        """Forget all records of a user; how many."""
        ...


class Quarantine:
    """The quarantine of a store. Adding to it sends nothing that a reader would wait for.

    Args:
        store: where records are kept.
        hooks: who is told.

    Attributes:
        count: records found unreadable so far, each counted once.
    """

    def __init__(self, store: QuarantineStore, hooks: Hooks) -> None:
        self._store = store
        self._hooks = hooks
        self._known: OrderedDict[str, float] = OrderedDict()
        self.count = 0

    def add(self, found: Sequence[UnreadablePart]) -> None:
        """Quarantine a user's records that one read found unreadable, and report them.

        A record that this process reported lately is not reported again.
        """
        news = [each for each in found if self.is_news(each.id)]
        if not news:
            return
        first = news[0]
        log.warning(
            "Stored records that cannot be read: %d (%s: %s). The first is %s in the quarantine",
            len(news),
            first.part,
            first.reason,
            first.id,
        )
        self.count += len(news)
        for each in news:
            self._hooks.tell_corrupt(CorruptFact(each.part, len(each.raw)))
        if first.owner is not None:
            self._store.keep(first.owner, _that_fit(news))

    def add_damaged(self, owner: UserKey, error: CorruptRecord) -> None:
        """Quarantine what another room cannot read."""
        reason, key = str(error).partition(",")[0], error.key
        self.add([UnreadablePart(owner, None, "thread", key, reason, error.raw, key)])

    def is_news(self, id: str) -> bool:  # noqa: A002 - as the field
        """Whether this process has not come upon it lately; from now on it has."""
        now = time.monotonic()
        due = self._known.pop(id, 0.0)
        self._known[id] = due if due > now else now + _AGAIN
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return due <= now

    async def records(self, owner: UserKey) -> list[Quarantined]:
        """The quarantined records of a user, oldest first. One round trip."""
        return await self._store.records(owner)

    async def forget(self, owner: UserKey) -> int:
        """Forget all records of a user; how many. One round trip."""
        return await self._store.forget(owner)

    async def remove(self, owner: UserKey, id: str) -> bool:  # noqa: A002 - as the field
        """Forget a record; whether it was there. One round trip."""
        return await self._store.remove(owner, id)


def _that_fit(records: Sequence[UnreadablePart]) -> list[UnreadablePart]:
    """No more than a quarantine has room for."""
    chosen: list[UnreadablePart] = []
    left = MOST_BYTES
    for each in records[:MOST]:
        if len(each.raw) <= left:
            chosen.append(each)
            left -= len(each.raw)
    return chosen


class InMemoryQuarantine:
    """A quarantine in the memory of this process."""

    def __init__(self) -> None:
        self._records: dict[UserKey, dict[str, Quarantined]] = {}

    def keep(self, owner: UserKey, records: Sequence[UnreadablePart]) -> None:
        """Keep records, each once."""
        kept = self._records.setdefault(owner, {})
        for each in records:
            bytes_kept = sum(len(record.raw) for record in kept.values())
            if len(kept) < MOST and bytes_kept + len(each.raw) <= MOST_BYTES:
                where = each.key or "/".join(filter(None, (*owner, each.session, each.part)))
                kept.setdefault(each.id, _record(each, where, time.time()))

    async def records(self, owner: UserKey) -> list[Quarantined]:
        """The quarantined records of a user."""
        return list(self._records.get(owner, {}).values())

    async def forget(self, owner: UserKey) -> int:
        """Forget all records of a user."""
        return len(self._records.pop(owner, {}))

    def apps_of(self, user: str) -> set[str]:
        """The apps in which something is kept of a user."""
        return {owner.app for owner in self._records if owner.user == user}

    async def remove(self, owner: UserKey, id: str) -> bool:  # noqa: A002 - as the field
        """Forget a record."""
        return self._records.get(owner, {}).pop(id, None) is not None


def _record(found: UnreadablePart, key: str, now: float) -> Quarantined:
    return Quarantined(
        id=found.id,
        key=key,
        field=visible(found.field),
        reason=found.reason,
        time=now,
        size=len(found.raw),
        raw=found.raw[:LARGEST],
    )


def field_of(name: bytes) -> str:
    """The name of a field as `UnreadablePart` has it."""
    return name.decode(errors="surrogateescape")


def name_of(field: str) -> bytes:
    """The name of a field as the server has it."""
    return field.encode(errors="surrogateescape")


def visible(field: str) -> str:
    r"""The name of a field as text, what is no UTF-8 as `\xNN`."""
    return name_of(field).decode(errors="backslashreplace")
