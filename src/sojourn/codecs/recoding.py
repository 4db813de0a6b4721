"""Values encoded anew: read as they are stored, written as a codec writes them now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from sojourn.codecs.codec import Codec, Coder, Place
from sojourn.codecs.growth import MARK


class Recoder:
    """Encodes the values of one user anew, or of an app.

    Args:
        reads: decodes what is stored.
        writes: encodes it.
    """

    __slots__ = ("reads", "writes")

    def __init__(self, reads: Coder, writes: Coder) -> None:
        self.reads = reads
        self.writes = writes

    def value(
        self, stored: bytes, place: Place, most: int, *, sized: bool = False, json: bool = True
    ) -> bytes:
        """A value as it is to be stored; the same when it is written so already.

        The arguments are those of `Coder.decode` and `Coder.encode`, and so is what it raises.
        """
        plain = self.reads.decode(stored, place, most)
        return unless_same(stored, self.writes.encode(plain, place, sized=sized, json=json))


class Recoding:
    """Makes a `Recoder` for each user.

    Args:
        reads: the codec of the store.
        writes: the same; or another one that writes otherwise.

    Attributes:
        replaced: how many records rooms have replaced by themselves, as they are of several keys.
        missed: how many of those others had changed meanwhile.
    """

    def __init__(self, reads: Codec, writes: Codec) -> None:
        self._reads = reads
        self._writes = writes
        self.replaced = self.missed = 0

    async def recoder(self, app: str, user: str | None, stored: Iterable[bytes]) -> Recoder:
        """The recoder for the values of a user, or of an app's records of no user.

        Raises:
            As `Codec.coder`.
        """
        reads = await self._reads.coder(app, user, stored, create=self._reads is self._writes)
        if self._reads is self._writes:
            return Recoder(reads, reads)
        return Recoder(reads, await self._writes.coder(app, user, create=True))


class RoomRecoding(Protocol):
    """The content of a room's records, as a job meets it."""

    async def fields(
        self, kind: str, key: str, fields: Mapping[bytes, bytes], recoding: Recoding
    ) -> Mapping[bytes, bytes]:
        """The hash of a record with its content encoded anew.

        Raises:
            ValueError: it was damaged.
            CorruptRecord: it was changed or moved.
            Undecodable: this process has not what it needs to decode it.
            Erased: its key was destroyed.
        """
        ...


class LogRecoding(Protocol):
    """The content of logs, as a job meets it."""

    async def rows(
        self, session: str, head: Mapping[bytes, bytes], rows: Sequence[bytes], recoding: Recoding
    ) -> Sequence[bytes]:
        """The rows of a log, given the key of its session and some fields of that.

        Raises:
            As `RoomRecoding.fields`.
        """
        ...


def unless_same(stored: bytes, new: bytes) -> bytes:
    """What is stored, when it is written as the new value: each seal has another nonce."""
    return stored if _header(stored) == _header(new) else new


def _header(value: bytes) -> bytes:
    return value[: value.index(b"\n")] if value[:1] == MARK else b""
