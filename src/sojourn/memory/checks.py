"""Checks of arguments before anything is sent, and their conversion to stored values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from sojourn.caps import CAPS, check
from sojourn.codecs import encode, is_number, is_whole, shown, text
from sojourn.errors import InvalidInput, InvalidValue, TooLarge
from sojourn.ids import parse_entry
from sojourn.memory.model import Draft
from sojourn.memory.store import Item

_TICK = 0.001
_AGES = 10**10
"""Seconds that no lifetime exceeds."""
_TOO_MANY = 2**53
_LARGEST_PAGE = 1000
_LONGEST_TENANT = 256
MOST = 1000
"""Entries that one call may name."""
_BATCH = 500
_BATCH_BYTES = 1024 * 1024


def lifetime(seconds: object) -> float | None:
    """A TTL in seconds, or None for ever."""
    if seconds is None or (is_number(seconds) and _TICK <= seconds <= _AGES):
        return seconds
    raise InvalidInput(
        f"A ttl of {shown(seconds)} s is not a lifetime: give seconds above zero, or None for ever."
    )


def tenant(value: object) -> str:
    """A tenant; empty for the entries of no tenant."""
    word = text(value, "tenant")
    if len(word.encode()) > _LONGEST_TENANT:
        raise InvalidInput(f"A tenant has at most {_LONGEST_TENANT} bytes.")
    return word


def version(value: object) -> int | None:
    """An expected version, or None for any."""
    if value is None or (is_whole(value) and 0 <= value < _TOO_MANY):
        return value
    raise InvalidInput(f"expected_version must be a whole number of 0 or more, not {shown(value)}.")


def version_of(text: str) -> int:
    """The version in a cursor.

    Raises:
        InvalidInput: there is none.
    """
    if text.isascii() and text.isdigit() and len(text) < len(str(_TOO_MANY)):
        return int(text)
    raise InvalidInput("The cursor is not one that a listing gave.")


def limit(value: object) -> int:
    """How many entries are wanted."""
    if is_whole(value) and 1 <= value <= _LARGEST_PAGE:
        return value
    raise InvalidInput(f"limit must be from 1 to {_LARGEST_PAGE:,}, not {shown(value)}.")


def keys(values: Iterable[object]) -> list[str]:
    """Names of entries, each once."""
    if isinstance(values, str) or not isinstance(values, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(f"keys is a list of keys, not {type(values).__name__}.")
    found = list(dict.fromkeys(parse_entry(value) for value in values))
    if len(found) > MOST:
        raise InvalidInput(f"{len(found):,} entries at once are too many: {MOST:,} at most.")
    return found


def json_object(value: object, what: str) -> dict[str, Any]:
    """A mapping of which JSON makes an object."""
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{what} must be a mapping, not {type(value).__name__}.")
    return dict(cast("Mapping[str, Any]", value))


def drafts(given: object) -> Mapping[object, object]:
    """What to add, by key."""
    if not isinstance(given, Mapping):
        raise InvalidInput(f"drafts is a dict of drafts by key, not {type(given).__name__}.")
    return cast("Mapping[object, object]", given)


def draft(key: object, value: object, cap: int) -> Item:
    """What to add.

    Raises:
        InvalidInput: the key, the text, or what JSON cannot hold; or it is no draft.
        TooLarge: all together is over the cap.
    """
    if not isinstance(value, Draft):
        raise InvalidValue(f"A draft is a Draft(value=…), not {type(value).__name__}.")
    made = item(key, value.value, value.metadata, value.text, cap)
    return made if value.unless is None else made._replace(unless=parse_entry(value.unless))


def together(items: Sequence[Item], cap: int) -> None:
    """Refuse entries that are too large for one call.

    Raises:
        TooLarge: they are.
    """
    size = sum(len(i.value) + len(i.metadata) + len(i.text or b"") for i in items)
    check("A call", size, max(CAPS.call_bytes, cap))


def batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Items in their order, as many together as a server takes in between other work."""
    first, size = 0, 0
    for place, each in enumerate(items):
        bytes_of_it = len(each.value) + len(each.metadata) + len(each.text or b"")
        if place > first and (place - first == _BATCH or size + bytes_of_it > _BATCH_BYTES):
            yield items[first:place]
            first, size = place, 0
        size += bytes_of_it
    if items:
        yield items[first:]


def item(
    key: object, value: Any, metadata: Mapping[str, Any] | None, searched: str | None, cap: int
) -> Item:
    """What to store.

    Raises:
        InvalidInput: the key, the text, or what JSON cannot hold.
        TooLarge: all together is over the cap.
    """
    name = parse_entry(key)
    made = Item(
        name,
        encode(value, f"The value of {name!r}"),
        encode(json_object({} if metadata is None else metadata, "The metadata"), "The metadata"),
        None if searched is None else text(searched, "text").encode(),
    )
    check("The metadata", len(made.metadata), CAPS.metadata)
    size = len(made.value) + len(made.metadata) + len(made.text or b"")
    if size > cap:
        raise TooLarge(f"The entry {name!r}", size, cap, "max_event_bytes")
    return made
