"""Trains dictionaries for compression on a user's own data. Knows no Redis.

A dictionary holds pieces of the texts that it was trained on. Where these must not tell anything
about one person, `train_on_shared` takes only pieces that many users have in common.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from importlib import import_module
from random import Random
from typing import Any

from sojourn.codecs.compression import LEVEL, SHIPPED, Dictionary, library, shipped
from sojourn.errors import ConfigurationError
from sojourn.extras import how_to_install

SIZE = 256 * 1024
"""Bytes of a dictionary, at most. With 32 KiB events are 5 % larger, with 1 MiB 1 % smaller."""
SEEN_BY = 20
"""Users who must have a piece before it is in a dictionary of what users share."""

_NUMBER = 0x736F6A6F
"""Zstandard wants a number in a dictionary; no frame names it."""
_FEWEST = 100
_SHARE = 8
"""A dictionary has at most this part of what it is trained on, so that pieces in it are common."""
_SMALLEST = 1024
_TABLES = 1024
"""Bytes kept free for a dictionary's tables."""
_BEFORE_CONTENT = b"".join(offset.to_bytes(4, "little") for offset in (1, 4, 8))
"""The last twelve bytes of a dictionary's tables: offsets that compression starts with."""

_tokens = re.compile(rb"[A-Za-z0-9_\x80-\xff]+|[^A-Za-z0-9_\x80-\xff]").findall
"""Words, and what stands between them. A word is never divided: part of one could be a secret."""
_LONGEST = 128
"""Tokens of a piece."""
_SHORTEST = 6
"""Bytes of a piece that is worth its place: a reference to it takes three."""
_CANDIDATES = 50_000


def train(samples: Collection[bytes], size: int = SIZE) -> Dictionary:
    """A dictionary, of the pieces that occur most. It takes about a second for 10 MB.

    Args:
        samples: values as they are before they are compressed, alike in kind to those to come. The
            same ones in the same order give the same dictionary.
        size: its bytes, at most; a smaller one if there are less than eight times as many.

    Raises:
        ConfigurationError: zstandard is not installed.
        ValueError: there are too few samples, or they have nothing in common.
    """
    zstd = library()
    size = min(size, _check(samples))
    mixed = list(samples)
    Random(0).shuffle(mixed)  # noqa: S311 - so that each part of them has samples of all kinds
    try:
        made = zstd.train_dictionary(size, mixed, k=1000, d=6, level=LEVEL, dict_id=_NUMBER)
    except zstd.ZstdError:
        raise ValueError("The samples have too little in common for a dictionary.") from None
    return Dictionary(made.as_bytes())


def train_on_shared(
    samples: Mapping[str, Collection[bytes]], size: int = SIZE, seen_by: int = SEEN_BY
) -> Dictionary:
    """A dictionary whose every piece was seen at many users, so that it tells of no one.

    The order of its pieces tells nothing, and its tables are sums over all samples. What is in the
    shipped dictionary is in it, too. It takes some ten seconds for 10 MB: call it in a thread.

    Args:
        samples: users' values as they are before they are compressed.
        size: its bytes, at most.
        seen_by: how many users must have a piece.

    Raises:
        ConfigurationError: the packages for compression are not installed.
        ValueError: there are too few users or samples.
    """
    if len(samples) < seen_by:
        raise ValueError(f"The samples are of {len(samples)} users; a piece must be of {seen_by}.")
    zstd = _finalizer()
    every = [sample for user in sorted(samples) for sample in samples[user]]
    _check(every)
    common = content_of(shipped()[SHIPPED].content)
    room = size - len(common) - _TABLES
    content = b"".join(_chosen(shared_pieces(samples, seen_by), room)) + common
    raw = zstd.ZstdDict(content, is_raw=True)
    return Dictionary(zstd.finalize_dict(raw, every, size, LEVEL).dict_content)


def content_of(dictionary: bytes) -> bytes:
    """The pieces of a dictionary, one behind the other, without its tables."""
    return dictionary[dictionary.index(_BEFORE_CONTENT) + len(_BEFORE_CONTENT) :]


def _check(samples: Collection[bytes]) -> int:
    """How many bytes a dictionary of them may have.

    Raises:
        ValueError: there are too few.
    """
    size = sum(map(len, samples)) // _SHARE
    if len(samples) < _FEWEST or size < _SMALLEST:
        raise ValueError(
            f"A dictionary needs {_FEWEST} samples, of {_SHARE * _SMALLEST:,} bytes together."
        )
    return size


def _finalizer() -> Any:
    """The library that makes tables for a content that was chosen; zstandard cannot.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        if sys.version_info >= (3, 14):
            return import_module("compression.zstd")
        return import_module("backports.zstd")
    except ImportError as error:
        raise ConfigurationError(
            f"Training needs the package backports.zstd: {how_to_install('zstd')}."
        ) from error


def shared_pieces(samples: Mapping[str, Collection[bytes]], seen_by: int) -> Counter[bytes]:
    """Pieces that so many users have, and how often each occurs.

    Each is counted as a whole. One of twice or one and a half times as many tokens begins and ends
    with a shared one, so it is looked for only where such are.
    """
    tokens = [_in_tokens(samples[user]) for user in sorted(samples)]
    starts: list[list[Any]] = tokens
    numbers = _numbered(starts, seen_by)
    starts = [list(map(numbers.get, each)) for each in starts]
    found: Counter[bytes] = Counter()
    length = 1
    while length < _LONGEST and numbers:
        pairs: list[list[Any]] = []
        for step in sorted({length // 2, length} - {0}):
            pairs = [list(zip(each, each[step:], strict=False)) for each in starts]
            numbers = _numbered(pairs, seen_by)
            found += _texts(numbers, pairs, tokens, length + step)
        starts = [list(map(numbers.get, each)) for each in pairs]
        length *= 2
    return found


def _in_tokens(samples: Collection[bytes]) -> list[bytes | None]:
    """The tokens of a user's samples. No piece reaches over a None between two of them."""
    found: list[bytes | None] = []
    for sample in samples:
        found += _tokens(sample)
        found.append(None)
    return found


def _numbered(users: list[list[Any]], seen_by: int) -> dict[Any, int]:
    """What so many users have, numbered. A pair is nothing that any has if half of it is None."""
    seen = Counter[Any]()
    for each in users:
        seen.update(set(each))
    shared = [value for value, count in seen.items() if count >= seen_by and _is_whole(value)]
    return {value: number for number, value in enumerate(shared)}


def _is_whole(value: Any) -> bool:
    return value is not None and not (type(value) is tuple and None in value)


def _texts(
    numbers: Mapping[Any, int],
    pairs: list[list[Any]],
    tokens: list[list[bytes | None]],
    length: int,
) -> Counter[bytes]:
    """The texts of the pairs that are shared, and how often each occurs."""
    found: Counter[bytes] = Counter()
    text: dict[Any, bytes] = {}
    for some, words in zip(pairs, tokens, strict=True):
        for place, pair in enumerate(some):
            if pair in numbers:
                if pair not in text:
                    text[pair] = b"".join(filter(None, words[place : place + length]))
                found[text[pair]] += 1
    return found


def _chosen(pieces: Counter[bytes], size: int) -> list[bytes]:
    """The pieces that save most, in so many bytes; the best last, where it is cheapest to name."""
    worth = {
        text: (count * (len(text) - _SHORTEST + 1), text)
        for text, count in pieces.items()
        if len(text) >= _SHORTEST
    }
    room = max(0, size)
    best = sorted(worth, key=worth.__getitem__, reverse=True)[:_CANDIDATES]
    held, there = bytearray(), list[bytes]()
    for text in best:
        if len(held) + len(text) <= room and text not in held:
            held += text
            there.append(text)
    # What a longer one holds is not needed beside it.
    joined, needed = bytearray(), list[bytes]()
    for text in sorted(there, key=len, reverse=True):
        if text not in joined:
            joined += text
            needed.append(text)
    return sorted(needed, key=worth.__getitem__)
