"""Compares what stands on the servers with what clients were told. Knows nothing of Sojourn."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from faults.notebook import Entry, Notebook, Place
from faults.report import Finding, Report
from faults.stored import Owner, Parts, Stored
from faults.values import values

REMEMBERED = 1000
"""Operation ids that a session keeps at least."""


def check(stored: Stored, books: Sequence[Notebook]) -> Report:
    """Every promise, against all that clients wrote down."""
    entries = [entry for book in books for entry in book.entries]
    findings = [
        *_keys(stored),
        *_wholeness(stored),
        *_indexes(stored),
        *_incarnations(stored, entries),
        *_events(stored, books),
        *_appends(stored, books),
        *_versions(stored, entries),
        *values(stored, books),
    ]
    told = Counter(entry.outcome for entry in entries)
    return Report(
        findings,
        operations=len(entries),
        acknowledged=told["acknowledged"],
        unknown=sum(entry.doubted or entry.outcome == "unknown" for entry in entries),
        resolved=sum(entry.doubted and entry.outcome == "acknowledged" for entry in entries),
        failed=told["failed"],
        longest=max((entry.seconds for entry in entries), default=0.0),
    )


def _keys(stored: Stored) -> Iterator[Finding]:
    yield from (Finding("immortal", key) for key in stored.immortal)
    yield from (Finding("unreadable", what) for what in stored.unreadable)
    yield from (Finding("on two servers", key) for key in stored.twice)


def _wholeness(stored: Stored) -> Iterator[Finding]:
    """A session is whole or not at all."""
    for place, parts in stored.sessions.items():
        if parts.head is None:
            yield Finding("zombie", f"{place} has parts without a session")
            continue
        kept = int(parts.head["seq"]) - int(parts.head["dropped"])
        if len(parts.events or []) != kept:
            yield Finding("incomplete", f"{place} has {len(parts.events or [])} of {kept} events")
        ids = parts.ids or {}
        if parts.events and "" not in ids:
            yield Finding("unlisted", f"{place} has no index of its events")
        for event in parts.events or []:
            if event["id"] not in ids:
                yield Finding("unlisted", f"{event['id']} is not in the index of {place}")


def _indexes(stored: Stored) -> Iterator[Finding]:
    """Every session is found by its indexes, and they lead to nothing else."""
    for place, parts in stored.sessions.items():
        owner = Owner(place.app, place.user)
        if parts.head is None:
            continue
        found = {
            "sessions": stored.by_update.get(owner, {}).get(place.session),
            "expiry": stored.by_expiry.get(owner, {}).get(place.session),
            "users": stored.users.get((place.app, owner.shard), {}).get(place.user),
            "apps": stored.apps.get(place.app),
        }
        for index, score in found.items():
            if score is None:
                yield Finding("unindexed", f"{place} is not in {index}")
    for index in (stored.by_update, stored.by_expiry):
        for owner, names in index.items():
            for name in names:
                parts = stored.sessions.get(Place(*owner, name))
                if parts is None or parts.head is None:
                    yield Finding("dangling", f"{Place(*owner, name)} is only in an index")


def _incarnations(stored: Stored, entries: Sequence[Entry]) -> Iterator[Finding]:
    """What was created is there until it was deleted, and then never again."""
    creates = {entry.incarnation: entry for entry in entries if entry.kind == "create"}
    deletes: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if entry.kind == "delete" and entry.outcome != "failed":
            deletes[entry.incarnation].add(entry.outcome)
    for place, parts in stored.sessions.items():
        if parts.head is None:
            continue
        created = creates.get(parts.incarnation or "")
        if created is None or created.place != place:
            yield Finding("invented session", f"{place} ({parts.incarnation})")
        elif created.outcome == "failed":
            yield Finding("done though refused", str(created))
        elif "acknowledged" in deletes[created.incarnation]:
            yield Finding("undeleted", str(place))
    for created in creates.values():
        there = stored.sessions.get(created.place, Parts()).incarnation == created.incarnation
        if created.outcome == "acknowledged" and not there and not deletes[created.incarnation]:
            yield Finding("lost session", f"{created.place} ({created.incarnation})")


def _events(stored: Stored, books: Sequence[Notebook]) -> Iterator[Finding]:
    """No event is there twice, or where it was not sent to."""
    sent = {event: entry for book in books for entry in book.entries for event in entry.events}
    seen: Counter[str] = Counter()
    for place, parts in stored.sessions.items():
        for row in parts.events or []:
            entry = sent.get(row["id"])
            seen[row["id"]] += 1
            if entry is None:
                yield Finding("invented event", f"{row['id']} in {place}")
            elif entry.place != place or entry.incarnation != parts.incarnation:
                yield Finding("misplaced event", f"{row['id']} in {place}")
    for event, times in seen.items():
        if times > 1:
            yield Finding("doubled event", f"{event} is there {times} times")


def _appends(stored: Stored, books: Sequence[Notebook]) -> Iterator[Finding]:
    """What was acknowledged is there, in its client's order; what was refused is not."""
    logs = [parts.events or [] for parts in stored.sessions.values()]
    spot = {row["id"]: n for log in logs for n, row in reversed([*enumerate(log)])}
    deleted = _perhaps_deleted(books)
    for book in books:
        last: dict[str, int] = defaultdict(lambda: -1)
        for entry in (each for each in book.entries if each.events):
            spots = [spot[event] for event in entry.events if event in spot]
            if spots and len(spots) < len(entry.events):
                yield Finding("half-written", str(entry))
            if spots and entry.outcome == "failed":
                yield Finding("done though refused", str(entry))
            if entry.outcome != "acknowledged":
                continue
            if spots:
                in_order = [last[entry.incarnation], *spots]
                if in_order != sorted(in_order):
                    yield Finding("disordered", str(entry))
                last[entry.incarnation] = spots[-1]
            elif entry.incarnation not in deleted:
                for event in entry.events:
                    yield Finding("lost event", f"{event} of {entry}", entry)


def _perhaps_deleted(books: Iterable[Notebook]) -> set[str]:
    return {
        entry.incarnation
        for book in books
        for entry in book.entries
        if entry.kind == "delete" and entry.outcome != "failed"
    }


def _versions(stored: Stored, entries: Sequence[Entry]) -> Iterator[Finding]:
    """A session's version counts its changes, and it remembers their operation ids."""
    changes: dict[tuple[Place, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        changes[entry.place, entry.incarnation].append(entry)
    for place, parts in stored.sessions.items():
        if parts.head is None:
            continue
        mine = changes[place, parts.incarnation or ""]
        there = {event["id"] for event in parts.events or []}
        appends = [entry for entry in mine if entry.kind == "append"]
        present = [entry for entry in appends if not there.isdisjoint(entry.events)]
        told, told_present, updates = (
            Counter(entry.outcome for entry in some)
            for some in (appends, present, (entry for entry in mine if entry.kind == "update"))
        )
        least = len(present) + updates["acknowledged"]
        most = least + updates["unknown"] + (told - told_present)["acknowledged"]
        version = int(parts.head["version"]) - 1
        if version > most:
            yield Finding("doubled change", f"{place} has {version - most} changes too many")
        if version < least:
            yield Finding("lost change", f"{place} lacks {least - version} changes")
        remembered = {name[1:] for name in parts.operations or {}}
        if version < REMEMBERED:
            for entry in present:
                if entry.operation_id not in remembered:
                    yield Finding("forgotten", str(entry))
