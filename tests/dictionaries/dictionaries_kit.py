"""A dictionary of some words, and sessions that hold such words."""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import Any

from sojourn import Event
from sojourn.client import Sojourn
from sojourn.codecs.compression import Dictionary
from sojourn.codecs.dictionary_training import train
from sojourn.dictionaries.service import DictionarySource
from sojourn.ids import SessionKey

WORDS = ["depot", "crate", "pallet", "forklift", "manifest", "gantry", "quay", "berth", "tonnage"]


def said(number: int) -> str:
    words = random.Random(number).choices(WORDS, k=30)
    return f"vessel-{secrets.token_hex(4)} harbour report: " + " ".join(words)


def made() -> Dictionary:
    return train([f'{{"content":"{said(n)}"}}'.encode() for n in range(200)], 8_192)


OURS = made()


def source_of(store: Sojourn) -> DictionarySource:
    source: DictionarySource = store.room("dictionaries")
    return source


async def loaded(store: Sojourn, app: str) -> str:
    """The dictionary that an app's next value gets, when what is loading is here."""
    source = source_of(store)
    source.for_writing(app)
    await asyncio.gather(*source._loading)
    return written_with(store, app)


def written_with(store: Sojourn, app: str) -> str:
    compressor: Any = source_of(store).for_writing(app)
    return str(compressor.compress(said(0).encode() * 3)[0].removeprefix("zstd:"))


async def fill(store: Sojourn, app: str, user: str = "ada") -> SessionKey:
    key = (await store.sessions.create(app, user, state={"note": said(1)})).key
    await store.sessions.append(key, *[Event(author="user", payload=said(n)) for n in range(5)])
    return key


async def texts(store: Sojourn, key: SessionKey) -> list[Any]:
    session = await store.sessions.get(key)
    assert session is not None
    return [event.payload for event in session.events]
