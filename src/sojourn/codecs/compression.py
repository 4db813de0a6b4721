"""Compression of stored values with Zstandard and dictionaries. Knows no Redis.

Small values shrink only with a dictionary: text that such values share, and tables for the rest.
One is shipped, and `dictionary_training` makes others. A dictionary's id is a digest of its bytes,
so no id ever stands for another dictionary.

A compressed value is one frame of Zstandard's without its magic number, with its content size, and
without a checksum or the number of a dictionary: the header in front of it has both.
"""

from __future__ import annotations

import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sojourn.errors import ConfigurationError, DictionaryMissing
from sojourn.extras import how_to_install

if TYPE_CHECKING:
    import zstandard

NAME = "zstd"
"""The encoding as it stands in a header; `zstd:ID` names a dictionary."""

SHIPPED = "sB13X3"
"""The dictionary in the package that new values get. Older ones stay: records need them."""

SUFFIX = ".dictionary"

_ID_LENGTH = 6
LEVEL = 3
"""An event of 1.1 KB takes 4 µs. Level 1 is 1 µs faster, its result 8 % larger; 6 takes 16 µs."""

_MAGIC = b"\x28\xb5\x2f\xfd"
_MAGIC_BYTES = len(_MAGIC)
_ADDED = 24 - _MAGIC_BYTES
"""Bytes that a header and its checksum add, beside the magic number that is left out."""
_SMALLEST = 64
"""Bytes of a value from which on compression can pay for the header."""
_LARGE = 128 * 1024
"""Bytes from which on a value needs no dictionary. So it depends on no other record."""


class Dictionary:
    """What values have in common, prepared for compression. Threads share it.

    Args:
        content: in Zstandard's format, as `dictionary_training.train` returns it.

    Attributes:
        content: the same.
        contexts: the calling thread's, that compress and decompress with it.
        id: six characters of `[A-Za-z0-9_-]`, of a digest of the content.

    Raises:
        ConfigurationError: zstandard is not installed.
        ValueError: it is not a dictionary. The message quotes nothing of it.
    """

    __slots__ = ("content", "contexts", "id")

    def __init__(self, content: bytes) -> None:
        zstd = library()
        self.content = content
        self.id = urlsafe_b64encode(blake2b(content, digest_size=6).digest()).decode()[:_ID_LENGTH]
        try:
            prepared = zstd.ZstdCompressionDict(content, dict_type=zstd.DICT_TYPE_FULLDICT)
            prepared.precompute_compress(level=LEVEL)
            self.contexts = _Contexts(prepared)
        except (zstd.ZstdError, ValueError):
            raise ValueError("These bytes are not a dictionary of Zstandard's.") from None

    def __repr__(self) -> str:
        return f"Dictionary({self.id}, {len(self.content):,} bytes)"


class _Contexts(threading.local):
    """A thread's own contexts of the library, made once. Two threads must not use one.

    A process that was forked has those of the thread that forked it.
    """

    compress: Callable[[bytes], bytes]
    decompress: Callable[..., bytes]

    def __init__(self, dictionary: zstandard.ZstdCompressionDict | None = None) -> None:
        zstd = library()
        self.compress = zstd.ZstdCompressor(
            level=LEVEL,
            dict_data=dictionary,
            write_checksum=False,
            write_content_size=True,
            write_dict_id=False,
        ).compress
        self.decompress = zstd.ZstdDecompressor(dict_data=dictionary).decompress


class Zstd:
    """Compresses values, and reads what was compressed with any of several dictionaries.

    Threads, event loops and forked processes may share it.

    Args:
        dictionaries: beside the shipped ones.
        writes_with: the id of the one that new values get; None for the shipped one.

    Raises:
        ConfigurationError: zstandard is not installed.
        KeyError: that one is not among them.
    """

    def __init__(
        self, dictionaries: Iterable[Dictionary] = (), *, writes_with: str | None = None
    ) -> None:
        known = {**shipped(), **{each.id: each for each in dictionaries}}
        self._dictionary = known[writes_with or SHIPPED]
        self._encoding = f"{NAME}:{self._dictionary.id}"
        self._contexts = {f"{NAME}:{name}": each.contexts for name, each in known.items()}
        self._contexts[NAME] = self._alone = _without_dictionary()
        zstd = library()
        self._error = zstd.ZstdError
        self._size_of: Callable[[bytes], int] = zstd.frame_content_size

    @property
    def dictionary(self) -> Dictionary:
        """The one that new values get."""
        return self._dictionary

    def compress(self, data: bytes) -> tuple[str, bytes] | None:
        """A value's encoding and its compressed bytes.

        It takes 4 µs for 1 KB, and some milliseconds for 1 MB.

        Args:
            data: what to compress.

        Returns:
            `zstd:ID`, or `zstd` for a large value, and the bytes; None if that would not save a
            16th, and what a header takes.
        """
        size = len(data)
        if size < _SMALLEST:
            return None
        if size < _LARGE:
            encoding, frame = self._encoding, self._dictionary.contexts.compress(data)
        else:
            encoding, frame = NAME, self._alone.compress(data)
        if len(frame) + max(_ADDED, size >> 4) > size:
            return None
        return encoding, frame[_MAGIC_BYTES:]

    def knows(self, encoding: str) -> bool:
        """Whether it has the dictionary for an encoding."""
        return encoding in self._contexts

    def decompress(self, encoding: str, body: bytes, most: int) -> bytes:
        """What was compressed. It takes 1 µs for 1 KB.

        Args:
            encoding: what `compress` returned beside the bytes.
            body: the bytes.
            most: how many the result may have. A frame says how many it has: one that says more,
                or nothing, is refused before it is expanded, and none becomes longer than it says.

        Raises:
            DictionaryMissing: it needs a dictionary that this object was not given.
            ValueError: it was damaged, or is too large. The message quotes nothing of it.
        """
        contexts = self._contexts.get(encoding)
        if contexts is None:
            raise _missing(encoding)
        frame = _MAGIC + body
        try:
            if 0 <= self._size_of(frame) <= most:  # below 0 it does not say
                # As `allow_extra_data=False`, a fifth faster.
                return contexts.decompress(frame, 0, False, False)  # noqa: FBT003
        except self._error:
            raise ValueError("its compressed bytes are damaged") from None
        raise ValueError(f"it does not say that it expands to {most:,} bytes at most")


class OnDemand:
    """Reads what others have compressed. The package is loaded with the first such value."""

    def compress(self, data: bytes) -> None:
        """Nothing: this is not a store that compresses."""

    def knows(self, encoding: str) -> bool:
        """As `Zstd.knows`."""
        return _default().knows(encoding)

    def decompress(self, encoding: str, body: bytes, most: int) -> bytes:
        """As `Zstd.decompress`."""
        return _default().decompress(encoding, body, most)


def compressor(*, writes: bool) -> Zstd | OnDemand | None:
    """What a store compresses with.

    Args:
        writes: whether it shall compress; otherwise it only reads what others have compressed.

    Returns:
        None if it only reads, and zstandard is not installed.

    Raises:
        ConfigurationError: it shall compress, and zstandard is not installed.
    """
    if writes:
        return _default()
    return OnDemand() if find_spec("zstandard") else None


@cache
def _default() -> Zstd:
    return Zstd()


@cache
def shipped() -> dict[str, Dictionary]:
    """The dictionaries in the package, by id.

    Raises:
        ConfigurationError: zstandard is not installed.
    """
    return {name: Dictionary(file.read_bytes()) for name, file in _files().items()}


def is_shipped(name: str) -> bool:
    """Whether a dictionary is in the package."""
    return name in _files()


@cache
def _files() -> dict[str, Traversable]:
    folder = files("sojourn.codecs").joinpath("dictionaries")
    there = [file for file in folder.iterdir() if file.name.endswith(SUFFIX)]
    return {file.name.removesuffix(SUFFIX): file for file in there}


@cache
def _without_dictionary() -> _Contexts:
    return _Contexts()


def _missing(encoding: str) -> DictionaryMissing:
    name = encoding.removeprefix(f"{NAME}:")[:_ID_LENGTH]
    return DictionaryMissing(
        f"A record was compressed with the dictionary {name!r}, which this process does not have. "
        "Nothing was changed. `sojourn codec ls` lists an app's dictionaries: restore this one "
        "from a backup or its file, or upgrade Sojourn if it is shipped with a newer version.",
        dictionary=name,
    )


def library() -> Any:
    """The package zstandard; `import sojourn` does without.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import zstandard  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            f"Compression needs the package zstandard: {how_to_install('zstd')}."
        ) from error
    return zstandard
