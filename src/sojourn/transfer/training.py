"""Training of a dictionary for compression on what an app has stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from sojourn.caps import CEILING
from sojourn.client import Sojourn
from sojourn.codecs import to_json
from sojourn.codecs.compression import Dictionary
from sojourn.codecs.dictionary_training import SEEN_BY, SIZE, train_on_shared
from sojourn.codecs.dictionary_training import train as train_on
from sojourn.codecs.serializers import Serializer, serialized, serializer_of
from sojourn.errors import InvalidInput
from sojourn.sessions import Event
from sojourn.sessions.encoding import encode_event
from sojourn.sessions.event_codec import in_parts

SAMPLED = 16 * 1024 * 1024
"""Bytes that a dictionary is trained on, at most."""
_OF_A_USER = 256 * 1024
"""Bytes of one user, at most: a dictionary is for all."""
_LAST = 50
"""Events of a session, the latest."""


class TrainedDictionary(NamedTuple):
    """A dictionary, and what it was trained on.

    Attributes:
        dictionary: for `store.admin.dictionaries.add`, or for a file.
        users: whose values it was trained on.
        samples: how many values.
        size: bytes that they had.
        seen_by: how many users have each piece of it; 1 for no such limit.
    """

    dictionary: Dictionary
    users: frozenset[str]
    samples: int
    size: int
    seen_by: int


async def train(
    store: Sojourn,
    app: str,
    *,
    size: int = SIZE,
    progress: Callable[[int, int], object] | None = None,
) -> TrainedDictionary:
    """Train a dictionary on the events and states of an app's sessions.

    It reads sessions until it has 16 MiB, at most 256 KiB of a user and 50 events of a session:
    two round trips for each 100 sessions, and one for each. Then it computes for some seconds, in
    a thread.

    Of a store with keys, the dictionary has only pieces that 20 users have; without, any.

    Args:
        store: with what it reads, and with which it will be used.
        app: whose.
        size: bytes of the dictionary, at most.
        progress: told how many bytes of how many it has, at most.

    Raises:
        ConfigurationError: the packages for compression are not installed.
        InvalidInput: there are too few users, or too little that they have stored.
    """
    options = store.stores.options
    serializer = serializer_of(options.serializer)
    seen_by = 1 if options.keys is None else SEEN_BY
    samples: dict[str, list[bytes]] = {}
    sizes: dict[str, int] = {}
    async for user, texts in _values(store, app):
        for text in texts:
            if sizes.get(user, 0) < _OF_A_USER:
                samples.setdefault(user, []).append(_serialized(serializer, text))
                sizes[user] = sizes.get(user, 0) + len(text)
        total = sum(sizes.values())
        if progress is not None:
            progress(min(total, SAMPLED), SAMPLED)
        if total >= SAMPLED:
            break
    try:
        if seen_by > 1:
            made = await asyncio.to_thread(train_on_shared, samples, size, seen_by)
        else:
            every = [text for user in sorted(samples) for text in samples[user]]
            made = await asyncio.to_thread(train_on, every, size)
    except ValueError as error:
        raise InvalidInput(f"{app} cannot have a dictionary of its own yet. {error}") from error
    count = sum(map(len, samples.values()))
    return TrainedDictionary(made, frozenset(samples), count, sum(sizes.values()), seen_by)


async def _values(store: Sojourn, app: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """What the sessions of an app hold, as it is before it is compressed; one session at a time."""
    cursor: str | None = None
    while True:
        page = await store.sessions.list(app, limit=100, cursor=cursor)
        for found in page.sessions:
            session = await store.sessions.get(found.key, last=_LAST)
            if session is not None:
                texts = [to_json(value, "A state value") for value in session.state.values()]
                yield found.key.user, texts + [_row(event) for event in session.events]
        cursor = page.cursor
        if cursor is None:
            return


def _row(event: Event) -> bytes:
    return in_parts(encode_event(event, CEILING.event)[0])[1]


def _serialized(serializer: Serializer | None, text: bytes) -> bytes:
    return text if serializer is None else serialized(serializer, text) or text
