"""The codec of a store: serialise, compress, encrypt; and the inverse of each, in reverse.

How a value says which were applied: docs/storage-format.md, "How a record says how it was written".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol
from zlib import crc32

import msgspec

from sojourn.codecs import growth
from sojourn.codecs.encryption import DataKey
from sojourn.codecs.growth import CIPHER, MARK, DecodedValue, Unopened
from sojourn.codecs.serializers import Serializer, deserialized, serialized
from sojourn.errors import KeyMissing, NewerFormat, SojournError, Tampered

_COMPRESSED = "zstd"
_PLAIN_SIZE = "size"
_SIZED = _PLAIN_SIZE.encode()
_WAYS = 256
"""Headers of which a coder remembers how values are decoded."""

_KEY_ID = re.compile(rb"\xff1(?: [^\n ]+)* aes-256-gcm:([0-9a-f]{16})\n")
_DICTIONARY = re.compile(rb"\xff1(?: [^\n ]+)*? zstd:([A-Za-z0-9_-]+)[ \n]")
_SIZE = re.compile(rb"(\xff\d+ )size:(\d+) ")

_to_bytes = msgspec.json.Encoder().encode


class Place(NamedTuple):
    """Where a value stands, as encryption binds it: what is sealed opens nowhere else.

    Attributes:
        room: of which room.
        field: which kind of value.
        app: whose app.
        user: whose; None for records of no user.
        within: the `log_id` of a session, a memory scope, an artifact's id; empty for none.
        name: an event's id, a state key, an entry's key, a chunk's number; empty for none.
    """

    room: str
    field: str
    app: str
    user: str | None
    within: str = ""
    name: str = ""


_to_place = msgspec.json.Decoder(Place).decode


def bound(place: Place) -> bytes:
    """A place as encryption binds it; where many values stand in one, it is made once."""
    return _to_bytes(place)


class Compressor(Protocol):
    """Makes values smaller."""

    def compress(self, data: bytes) -> tuple[str, bytes] | None:
        """What stands in the header and the compressed value; None when it does not shrink."""
        ...

    def knows(self, encoding: str, /) -> bool:
        """Whether it has what it needs to decompress values with this encoding."""
        ...

    def decompress(self, encoding: str, body: bytes, most: int) -> bytes:
        """The inverse.

        Raises:
            ValueError: it was damaged, or has more than `most` bytes.
            DictionaryMissing: it needs a dictionary that nobody has.
        """
        ...


class _DataKeys(NamedTuple):
    """What of `DataKeys` is compared."""

    active: DataKey | None
    by_id: Mapping[str, DataKey]
    errors: Mapping[str, SojournError] = {}
    migrating: bool = False


class DataKeys(_DataKeys):
    """The data keys of a user, or of an app.

    Attributes:
        active: seals what is written; None when there is none yet.
        by_id: those that open.
        errors: why a key that was asked for is not among them.
        migrating: whether values in plain text are accepted, while they are being sealed.
        coder: encodes and decodes with them; made once, and gone with them.
    """

    coder: Coder | None = None


class Dictionaries(Protocol):
    """Where the dictionaries of apps come from, that compression uses."""

    def for_writing(self, app: str) -> Compressor | None:
        """What compresses the values of an app. It may be another one from one call to the next."""
        ...

    async def for_reading(
        self, app: str, names: Collection[str], *, writes: bool
    ) -> Compressor | None:
        """The same, for values that were compressed with these dictionaries.

        Raises:
            Unavailable: they are not known here, and no server answers.
            Undecodable: they are sealed, and this process cannot open them.
            CorruptRecord: one was damaged.
        """
        ...


class KeySource(Protocol):
    """Where data keys come from."""

    async def keys_of(
        self, app: str, user: str | None, wanted: Collection[str], *, create: bool
    ) -> DataKeys:
        """The keys of a user, or of an app (`user` None).

        Args:
            app: whose app.
            user: whose.
            wanted: ids of keys that are needed to open something.
            create: whether to make one where there is none.

        Raises:
            Unavailable: they are not known here, and no server answers.
            Erased: they were destroyed.
        """
        ...


class Sealed(msgspec.Struct, frozen=True):
    """Content that is sealed with a key which this process does not have.

    Attributes:
        key: the id of the key.
        bytes: of the content as it is stored.
    """

    key: str
    bytes: int


class Codec:
    """How a store writes values. It reads whatever another one wrote, with the keys for it.

    Args:
        serializer: another form of JSON; None for JSON.
        compressor: what reads compressed values, and writes them if `compressing`.
        compressing: whether values are compressed.
        keys: seals values; None for no encryption.
        serializers: other forms that can be read, by name.
    """

    def __init__(
        self,
        serializer: Serializer | None = None,
        compressor: Compressor | None = None,
        *,
        compressing: bool = False,
        keys: KeySource | None = None,
        serializers: Iterable[Serializer] = (),
    ) -> None:
        self.serializer = serializer
        self.compressor = compressor
        self.compressing = compressing
        self.serializers = {each.name: each for each in serializers}
        if serializer is not None:
            self.serializers[serializer.name] = serializer
        self.writes = bool(serializer or compressing)
        self.keys: KeySource | None = None
        self.dictionaries: Dictionaries | None = None
        self._no_keys = DataKeys(None, {}, migrating=True)
        self._plain = Coder(self, self._no_keys, compressor)
        if keys is not None:
            self.seal_with(keys)

    def seal_with(self, keys: KeySource) -> None:
        """Encrypt from now on."""
        self.keys, self.writes = keys, True

    def decodes(self, stored: Iterable[bytes]) -> bool:
        """Whether values that a store gave have to be decoded."""
        if self.keys is not None:
            return True
        for value in stored:  # noqa: SIM110 - a third of the time of `any`
            if value[:1] == MARK:
                return True
        return False

    def knows(self, encodings: str) -> bool:
        """Whether this process has what it needs to take encodings off, but for keys."""
        for name in encodings.split():
            kind = name.partition(":")[0]
            if kind == _COMPRESSED:
                if self.compressor is None or not self.compressor.knows(name):
                    return False
            elif kind != CIPHER and kind not in self.serializers:
                return False
        return True

    async def coder(
        self,
        app: str,
        user: str | None,
        stored: Iterable[bytes] = (),
        *,
        create: bool = False,
    ) -> Coder:
        """What encodes and decodes the values of a user, or of an app's records of no user.

        A round trip when its keys are not cached; none without encryption.

        Args:
            app: whose app.
            user: whose; None for nobody's.
            stored: values that shall be decoded.
            create: whether values shall be encoded: then a key is made where there is none.

        Raises:
            Unavailable: the keys are not cached, and no server answers.
            Erased: they were destroyed.
        """
        if self.keys is None and self.dictionaries is None:
            return self._plain
        wanted, named = _needed(stored) if stored else (_NONE, _NONE)
        compressor, writes = self.compressor, create and self.compressing
        if self.dictionaries is not None:
            if named:
                compressor = await self.dictionaries.for_reading(app, named, writes=writes)
            elif writes:
                compressor = self.dictionaries.for_writing(app)
        keys = self._no_keys
        if self.keys is not None:
            keys = await self.keys.keys_of(app, user, wanted, create=create)
        coder = keys.coder
        if coder is None or not coder.is_of(self, compressor):
            coder = keys.coder = Coder(self, keys, compressor)
        return coder


_NONE: frozenset[str] = frozenset()


def _needed(stored: Iterable[bytes]) -> tuple[Collection[str], Collection[str]]:
    """The keys and the dictionaries that are named in some values."""
    lines = {value[: value.find(b"\n") + 1] for value in stored}
    keys, dictionaries = map(_KEY_ID.match, lines), map(_DICTIONARY.match, lines)
    return {m[1].decode() for m in keys if m}, {m[1].decode() for m in dictionaries if m}


_Undo = Callable[[bytes, int], bytes]
"""Takes an encoding off, unless more bytes came of it than that."""


class _Way(NamedTuple):
    """How values with one header are decoded."""

    key: DataKey | None
    undo: Sequence[_Undo]


class Coder:
    """Encodes and decodes the values of one user, or of an app."""

    __slots__ = (
        "_active",
        "_codec",
        "_compress",
        "_compressor",
        "_errors",
        "_headers",
        "_keys",
        "_name",
        "_serializer",
        "_strict",
        "_ways",
    )

    def __init__(self, codec: Codec, keys: DataKeys, compressor: Compressor | None) -> None:
        self._codec = codec
        self._serializer = codec.serializer
        self._compressor = compressor
        self._compress = None
        if codec.compressing and compressor is not None:
            self._compress = compressor.compress
        self._keys, self._errors = keys.by_id, keys.errors
        self._active = keys.active
        self._name = "" if keys.active is None else f"{CIPHER}:{keys.active.id}"
        self._strict = codec.keys is not None and not keys.migrating
        self._headers: dict[str, bytes] = {}
        self._ways: dict[bytes, _Way] = {}

    def is_of(self, codec: Codec, compressor: Compressor | None) -> bool:
        """Whether it was made of these."""
        return self._codec is codec and self._compressor is compressor

    def encode(
        self,
        value: bytes,
        place: Place | bytes,
        *,
        lead: bytes = b"",
        sized: bool = False,
        json: bool = True,
    ) -> bytes:
        """A value as it is stored; itself when nothing is done to it.

        Args:
            value: JSON text, or any text.
            place: where it stands; or `bound` of it.
            lead: what stands behind the header in clear.
            sized: whether the header says how many bytes it has: scripts count them.
            json: whether it is JSON.
        """
        done, body = "", value
        if json and self._serializer is not None:
            other = serialized(self._serializer, body)
            if other is not None:
                done, body = self._serializer.name, other
        if self._compress is not None:
            smaller = self._compress(body)
            if smaller is not None:
                done, body = f"{done} {smaller[0]}" if done else smaller[0], smaller[1]
        if self._active is None and not done:
            return value
        names = self._headers.get(done) or self._header(done)
        if sized:
            header = b"\xff%d %b:%d %b%b" % (growth.FORMAT, _SIZED, len(value), names, lead)
        else:
            header = b"\xff%d %b%b" % (growth.FORMAT, names, lead)
        if self._active is not None:
            where = place if type(place) is bytes else _to_bytes(place)
            body = self._active.seal(body, header + where)
        data = header + body
        return data + b"%08x" % crc32(data)

    def _header(self, done: str) -> bytes:
        """The end of a header's line, for what was done to a value before it is sealed."""
        line = " ".join(filter(None, (done, self._name))).encode() + b"\n"
        self._headers[done] = line
        return line

    def decode(
        self, stored: bytes, place: Place | bytes, most: int, *, leads: bool = False
    ) -> bytes:
        """What was encoded.

        Args:
            stored: as it stands on the server.
            place: where it stands; or `bound` of it.
            most: bytes that it may have.
            leads: whether a line in clear stands behind the header.

        Raises:
            ValueError: it was damaged.
            Tampered: it was changed or moved, or stands in plain text where none may be.
            Undecodable: this process has not what it needs to decode it.
            Erased: its key was destroyed.
        """
        if stored[:1] != MARK:
            if self._strict:
                raise _tampered(
                    place,
                    "stands in plain text where only sealed values may be (while a store with "
                    "data is being sealed: sojourn keys migrating FILE on)",
                    stored,
                )
            return stored
        if stored[-8:] != b"%08x" % crc32(stored[:-8]):
            raise ValueError("its checksum is wrong")
        start = stored.find(b"\n") + 1
        line = stored[:start]
        way = self._ways.get(line) or self._way(line, stored, place)
        if leads:
            start = stored.find(b"\n", start) + 1
        body = stored[start:-8]
        if way.key is not None:
            where = place if type(place) is bytes else _to_bytes(place)
            try:
                body = way.key.unseal(body, stored[:start] + where)
            except ValueError as error:
                raise _tampered(place, str(error), stored) from error
        for undo in way.undo:
            body = undo(body, most)
        if len(body) > most:
            raise ValueError(f"it has {len(body):,} bytes, over {most:,}")
        return body

    def _way(self, line: bytes, stored: bytes, place: Place | bytes) -> _Way:
        """How a value with this header is decoded, whatever size it says that it has."""
        if (sized := _SIZE.match(line)) is not None:
            line = sized[1] + line[sized.end() :]
            if (known := self._ways.get(line)) is not None:
                return known
        found = growth.parse(stored)
        if found is None:
            raise ValueError("its header cannot be read")
        what, names = _shown(place), found.encodings
        growth.check_major(found.major, what)
        sealed = names[-1].startswith(CIPHER)
        if self._strict and not sealed:
            raise _tampered(place, "it is not sealed, where only sealed values may be", stored)
        key = self._key(names[-1], what) if sealed else None
        way = _Way(key, self._undo(names[:-1] if sealed else names, what))
        if len(self._ways) >= _WAYS:
            self._ways.clear()
        self._ways[line] = way
        return way

    def open(self, stored: bytes, place: Place, most: int, *, leads: bool = False) -> bytes:
        """As `decode`, with what it was; what is damaged or was tampered with as `Unopened`.

        Raises:
            Undecodable: this process has not what it needs to decode it.
            Erased: its key was destroyed.
        """
        try:
            value = self.decode(stored, place, most, leads=leads)
        except (ValueError, Tampered) as error:
            return Unopened.of(stored, error)
        return value if value is stored else DecodedValue.of(value, stored)

    @property
    def opens_nothing(self) -> bool:
        """Whether there is no key, where only sealed values may be."""
        return self._strict and not self._keys

    @property
    def seals_with(self) -> str:
        """The id of the key that seals what is written; empty for none."""
        return "" if self._active is None else self._active.id

    def subkey(self, purpose: bytes) -> bytes | None:
        """Of the key that seals what is written, 32 bytes for another purpose; None for no key."""
        return None if self._active is None else self._active.subkey(purpose)

    def encode_data(self, data: bytes, place: Place) -> tuple[str, bytes]:
        """Bytes that can have no header: what was done to them, and what came of it."""
        # Nothing in front of it names a dictionary, so it needs one that every process has.
        codec, encodings, body = self._codec, "", data
        if codec.compressing and codec.compressor is not None:
            encodings, body = codec.compressor.compress(data) or ("", data)
        if self._active is not None:
            encodings = f"{encodings} {self._name}" if encodings else self._name
            body = self._active.seal(body, encodings.encode() + b"\n" + _to_bytes(place))
        return encodings, body

    def decode_data(self, encodings: str, body: bytes, place: Place, most: int) -> bytes:
        """The inverse. `encodings` is what `encode_data` gave; empty for plain bytes.

        Raises:
            As `decode`.
        """
        names, what = tuple(encodings.split()), _shown(place)
        sealed = bool(names) and names[-1].startswith(CIPHER)
        if self._strict and not sealed:
            raise _tampered(place, "it is not sealed, where only sealed values may be", body)
        if sealed:
            bound = encodings.encode() + b"\n" + _to_bytes(place)
            try:
                body = self._key(names[-1], what).unseal(body, bound)
            except ValueError as error:
                raise _tampered(place, str(error), body) from error
        return self._decoded(names[:-1] if sealed else names, body, what, most)

    def _key(self, name: str, what: str) -> DataKey:
        wanted = name.partition(":")[2]
        key = self._keys.get(wanted)
        if key is not None:
            return key
        error = self._errors.get(wanted)
        if error is not None:
            raise error
        raise KeyMissing(
            f"{what} is sealed with the key {wanted}, which this process does not have: open the "
            "store with keys=. Nothing was changed.",
            key_id=wanted,
        )

    def _undo(self, names: tuple[str, ...], what: str) -> list[_Undo]:
        """What takes encodings off, the last of them first."""
        codec, found = self._codec, list[_Undo]()
        for name in reversed(names):
            kind = name.partition(":")[0]
            if kind == _COMPRESSED and self._compressor is not None:
                found.append(partial(self._compressor.decompress, name))
            elif kind in codec.serializers:
                found.append(partial(_deserialized, codec.serializers[kind]))
            elif kind != _PLAIN_SIZE:
                raise NewerFormat(
                    f"{what} is encoded with {name!r}, which this version of Sojourn, as it is "
                    "installed and opened here, cannot read. Upgrade it, install its extras, or "
                    "open the store with that serializer; nothing was changed.",
                    found=str(growth.FORMAT),
                    known=str(growth.FORMAT),
                )
        return found

    def _decoded(self, names: tuple[str, ...], body: bytes, what: str, most: int) -> bytes:
        for undo in self._undo(names, what):
            body = undo(body, most)
        if len(body) > most:
            raise ValueError(f"it has {len(body):,} bytes, over {most:,}")
        return body


def _deserialized(serializer: Serializer, body: bytes, _most: int) -> bytes:
    return deserialized(serializer, body)


def plain_size(value: bytes) -> int:
    """Bytes that a stored value has without its encodings, as scripts count them."""
    if value[:1] != MARK:
        return len(value)
    found = _SIZE.match(value)
    return int(found[2]) if found else len(value)


def sealed_with(stored: bytes) -> str:
    """The id of the key that a stored value is sealed with; empty when it is not sealed."""
    found = _KEY_ID.match(stored)
    return found[1].decode() if found else ""


def _shown(place: Place | bytes) -> str:
    if isinstance(place, bytes):
        place = _to_place(place)
    return f"A value ({place.field}) of the room {place.room}"


def _tampered(place: Place | bytes, why: str, raw: bytes) -> Tampered:
    return Tampered(
        f"{_shown(place)} cannot be trusted: {why}. It was left as it is.", key="", raw=raw
    )
