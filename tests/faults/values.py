"""State and titles: each value is what its only writer set last."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from faults.notebook import Entry, Notebook, Place
from faults.report import Finding
from faults.stored import Owner, Parts, Stored

Where = tuple[str, ...]
"""Where a value stands: session, user or app, and its name."""


def values(stored: Stored, books: Sequence[Notebook]) -> Iterator[Finding]:
    """Each value is the last one that its only writer was told of."""
    history: dict[Where, list[tuple[Entry, Any]]] = defaultdict(list)
    for book in books:
        for entry in book.entries:
            for name, value in entry.values.items():
                history[_where(entry, name)].append((entry, value))
    for where, writes in history.items():
        if where[0] == "session":
            parts = stored.sessions.get(Place(*where[1:4]), Parts())
            if parts.incarnation != where[4]:
                continue  # reported already, or deleted
        yield from _value(stored, where, writes)


def _value(stored: Stored, where: Where, writes: list[tuple[Entry, Any]]) -> Iterator[Finding]:
    actual = _actual(stored, where)
    allowed: list[Any] = [None]
    for entry, value in writes:
        happened = _happened(entry, stored.sessions.get(entry.place, Parts()))
        if entry.outcome == "acknowledged":  # what was in doubt may still come after it
            allowed = [value, *(each for each in allowed[1:] if each != value)]
        elif happened:
            allowed = [value, *allowed[1:], value]
        elif happened is not False:
            allowed.append(value)
    if actual in allowed:
        return
    earlier = [value for entry, value in writes if entry.outcome != "failed"]
    kind = "lost state" if actual in (None, *earlier) else "invented state"
    if kind == "invented state" and actual in [value for _, value in writes]:
        kind = "done though refused"
    yield Finding(kind, f"{'/'.join(where)} is {actual!r}, not {allowed[0]!r}")


def _where(entry: Entry, name: str) -> Where:
    app, user, session = entry.place
    scope, colon, rest = name.partition(":")
    if colon and scope == "app":
        return ("app", app, rest)
    if colon and scope == "user":
        return ("user", app, user, rest)
    return ("session", app, user, session, entry.incarnation, name)


def _actual(stored: Stored, where: Where) -> Any:
    """A value as it stands; None when there is none."""
    name = where[-1]
    if where[0] == "app":
        return _app_value(stored, where[1], name)
    if where[0] == "user":
        fields = stored.user_state.get(Owner(where[1], where[2]), {})
    else:
        fields = stored.sessions[Place(*where[1:4])].head or {}
        if name.startswith("@"):
            return fields.get(name[1:])
    text = fields.get(f"state:{name}")
    return None if text is None else json.loads(text)


def _app_value(stored: Stored, app: str, name: str) -> Any:
    """The value of the latest stamp, also when it still waits in a user's outbox."""
    fields = stored.app_state.get(app, {})
    kept = fields.get(f"at:{name}"), fields.get(f"state:{name}")
    found = [kept] if all(kept) else []
    for owner, outbox in stored.outbox.items():
        for operation_id, text in outbox.items():
            entry = json.loads(text)
            if owner.app == app and name in entry["delta"]:
                found.append((f"{entry['stamp']}:{operation_id}", entry["delta"][name]))
    if not found:
        return None
    return json.loads(max(found, key=_by_stamp)[1])


def _by_stamp(found: tuple[str, str]) -> tuple[int, str]:
    microseconds, _, operation_id = found[0].partition(":")
    return int(microseconds), operation_id


def _happened(entry: Entry, parts: Parts) -> bool | None:
    """Whether a write has had its effect; None when that cannot be seen."""
    if entry.outcome != "unknown":
        return entry.outcome == "acknowledged"
    if parts.incarnation != entry.incarnation:
        return None
    if entry.kind == "append":
        return any(event["id"] in entry.events for event in parts.events or [])
    return True if entry.kind == "create" else None
