"""Vector search over texts, with an embedding model that the application brings."""

from __future__ import annotations

import asyncio
import inspect
import math
from array import array
from collections.abc import Awaitable, Callable, Container, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeAlias, cast

from sojourn.codecs import shown
from sojourn.errors import InvalidInput, InvalidValue

Embed: TypeAlias = Callable[
    [list[str]], Sequence[Sequence[float]] | Awaitable[Sequence[Sequence[float]]]
]
"""Texts → vectors, in their order; async or not."""

_MOST = 65_536
"""Dimensions."""
_RANK = 60
"""What reciprocal rank fusion adds to a rank, so that the first places weigh alike."""


class Embedder:
    """Makes vectors of texts.

    Args:
        function: the application's.
        dimensions: numbers that a vector has.

    Raises:
        InvalidInput: it is no function, or the dimensions.
    """

    def __init__(self, function: Embed, dimensions: object) -> None:
        if not callable(function):
            raise InvalidInput("embed_with() takes a function from texts to vectors.")
        if not isinstance(dimensions, int) or not 1 <= dimensions <= _MOST:
            raise InvalidInput(f"dimensions must be from 1 to {_MOST:,}, not {shown(dimensions)}.")
        self._function = function
        self._dimensions = dimensions

    async def vectors(self, texts: list[str]) -> list[bytes]:
        """A vector of float32 numbers for each text. A plain function runs in a worker thread.

        Raises:
            InvalidValue: the function gave something else.
        """
        if inspect.iscoroutinefunction(self._function):
            made: Any = self._function(texts)
        else:
            made = await asyncio.to_thread(self._function, texts)
        given = list(await made if inspect.isawaitable(made) else made)
        if len(given) != len(texts):
            raise InvalidValue(f"The embedding gave {len(given)} vectors for {len(texts)} texts.")
        return [self._packed(each) for each in given]

    def _packed(self, numbers: Sequence[float]) -> bytes:
        try:
            vector = array("f", numbers)
        except (TypeError, OverflowError) as error:
            raise InvalidValue(f"The embedding gave what is no vector: {error}.") from error
        if len(vector) != self._dimensions or not all(map(math.isfinite, vector)):
            raise InvalidValue(
                f"The embedding gave {len(vector)} numbers, or some that are not finite; expected "
                f"were {self._dimensions} dimensions."
            )
        return vector.tobytes()


class Vectors:
    """The vectors of some entries, to compare with another.

    Args:
        ids: of the entries.
        packed: their vectors.
        length: bytes of each.

    Attributes:
        length: the same.
        size: bytes that all take, about.
    """

    def __init__(self, ids: list[int], packed: list[bytes], length: int) -> None:
        self._ids = ids
        self.length = length
        self.size = 2 * sum(map(len, packed))
        self._numpy = numpy = _numpy() if packed else None
        if numpy is None:
            self._rows = [_unit(array("f", each)) for each in packed]
        else:
            rows = numpy.frombuffer(b"".join(packed), dtype=numpy.float32)
            rows = rows.reshape(len(packed), -1)
            lengths = numpy.linalg.norm(rows, axis=1, keepdims=True)
            self._rows = rows / numpy.where(lengths > 0, lengths, 1)

    def nearest(self, vector: bytes, many: int, among: Container[int] | None = None) -> list[int]:
        """The entries closest by cosine, closest first; none at a right angle or beyond.

        Args:
            vector: closest to what.
            many: how many at most.
            among: those that count; None for all.
        """
        unit, numpy = _unit(array("f", vector)), self._numpy
        if numpy is None:
            cosines = [sum(map(float.__mul__, row, unit)) for row in self._rows]
        else:
            cosines = (self._rows @ numpy.asarray(unit, dtype=numpy.float32)).tolist()
        pairs = zip(cosines, self._ids, strict=True)
        wanted = [each for each in pairs if among is None or each[1] in among]
        best = sorted(wanted, key=lambda each: (-each[0], -each[1]))
        return [number for cosine, number in best[:many] if cosine > 0]


def fused(*rankings: Sequence[int]) -> list[tuple[int, float]]:
    """Reciprocal rank fusion: the entries that rank high in any of them, with their scores."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, number in enumerate(ranking, 1):
            scores[number] = scores.get(number, 0.0) + 1 / (_RANK + rank)
    return sorted(scores.items(), key=lambda each: (-each[1], -each[0]))


def _unit(vector: array[float]) -> list[float]:
    length = math.sqrt(sum(number * number for number in vector)) or 1.0
    return [number / length for number in vector]


@lru_cache(1)
def _numpy() -> Any:
    """numpy, when it is installed: a hundred times as fast."""
    try:
        return cast("Any", import_module("numpy"))
    except Exception:  # noqa: BLE001 - one that is broken says so in its own way
        return None
