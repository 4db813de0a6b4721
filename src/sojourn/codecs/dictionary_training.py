"""Trains dictionaries for compression on a user's own data. Knows no Redis.

A dictionary holds pieces of the texts that it was trained on.
"""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from sojourn.codecs.compression import LEVEL, library

SIZE = 256 * 1024
"""Bytes of a dictionary, at most. With 32 KiB events are 5 % larger, with 1 MiB 1 % smaller."""

_NUMBER = 0x736F6A6F
"""Zstandard wants a number in a dictionary; no frame names it."""
_FEWEST = 100
_SHARE = 8
"""A dictionary has at most this part of what it is trained on, so that pieces in it are common."""
_SMALLEST = 1024


def train(samples: Collection[bytes], size: int = SIZE) -> bytes:
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
    size = min(size, sum(map(len, samples)) // _SHARE)
    if len(samples) < _FEWEST or size < _SMALLEST:
        raise ValueError(
            f"A dictionary needs {_FEWEST} samples of {_SHARE * _SMALLEST:,} bytes together."
        )
    mixed = list(samples)
    Random(0).shuffle(mixed)  # noqa: S311 - so that each part of them has samples of all kinds
    try:
        trained = zstd.train_dictionary(size, mixed, k=1000, d=6, level=LEVEL, dict_id=_NUMBER)
    except zstd.ZstdError:
        raise ValueError("The samples have too little in common for a dictionary.") from None
    content: bytes = trained.as_bytes()
    return content
