"""The largest values that a caller may choose: one table, the same on every path.

What is over its cap is refused before anything is sent. An archive is read up to `CEILING`, which
no option exceeds: what a store has taken, every store takes back.
"""

from __future__ import annotations

from typing import NamedTuple

from sojourn.errors import TooLarge

KiB, MiB = 1024, 1024 * 1024


class Caps(NamedTuple):
    """Bytes of UTF-8 or of JSON, and numbers; no option changes them.

    Attributes:
        members: values, lists, objects and names in an event, or in one value of a state, a memory
            or the cache.
        depth: how deep lists and objects in it are nested.
        digits: digits of a number in it.
        title: bytes of a session's title.
        status: bytes of a session's status.
        metadata: bytes of the metadata of a session, a memory entry or an artifact, as JSON.
        state_key: bytes of the name of a state value, with its prefix.
        state_keys: values that the state of a session, a user or an app has.
        event_id: bytes of an event's id.
        author: bytes of the author of an event.
        kind: bytes of the kind of an event.
        events: events of one call.
        call_bytes: bytes of the events or entries of one call, where one of them may not be larger.
        sessions: sessions of one call.
        tags: tags of one cached value.
        mime_type: bytes of the type of an artifact.
        pattern: bytes of a pattern of session ids.
        query: characters of a memory query, also when normalised; the rest is not searched.
        cursor: characters of a cursor.
        vector: bytes of the vector of a memory entry.
    """

    members: int = 100_000
    depth: int = 256
    digits: int = 500
    title: int = 4 * KiB
    status: int = 256
    metadata: int = 64 * KiB
    state_key: int = 1 * KiB
    state_keys: int = 10_000
    event_id: int = 512
    author: int = 512
    kind: int = 256
    events: int = 10_000
    call_bytes: int = 64 * MiB
    sessions: int = 10_000
    tags: int = 64
    mime_type: int = 256
    pattern: int = 512
    query: int = 64 * KiB
    cursor: int = 16 * KiB
    vector: int = 256 * KiB


class Ceiling(NamedTuple):
    """Bytes that the caps of a store's options may have at most, and that an import takes.

    Attributes:
        event: of `max_event_bytes`.
        state: of `max_state_bytes`.
        artifact: of `max_artifact_bytes`.
    """

    event: int = 64 * MiB
    state: int = 64 * MiB
    artifact: int = 1024 * MiB


_SHOWN = 100
"""Characters of a value that a message quotes."""

CAPS = Caps()
CEILING = Ceiling()


def check(what: str, size: int, cap: int, unit: str = "bytes") -> None:
    """Refuse what is over a cap that no option changes.

    Raises:
        TooLarge: it is.
    """
    if size > cap:
        raise TooLarge(what, size, cap, unit=unit)


def shown(value: object) -> str:
    """A value that is refused, as a message quotes it: cut, and never an error of its own."""
    try:
        quoted = repr(value)
    except Exception:  # noqa: BLE001 - a number of too many digits; objects of the caller's
        return f"a {type(value).__name__}"
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}…"
