"""The codec of a store: serialise, compress, encrypt; and the inverse of each, in reverse.

How a value says which were applied: docs/storage-format.md, "How a record says how it was written".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol
from zlib import crc32

import msgspec

from sojourn.codecs import growth
from sojourn.codecs.encryption import DataKey
from sojourn.codecs.growth import CIPHER, MARK, Unopened
from sojourn.codecs.serializers import Serializer, deserialized, serialized
from sojourn.errors import KeyMissing, NewerFormat, SojournError, Tampered

_COMPRESSED = "zstd"
_PLAIN_SIZE = "size"

_KEY_ID = re.compile(rb"\xff1(?: [^\n ]+)* aes-256-gcm:([0-9a-f]{16})\n")
_SIZE = re.compile(rb"\xff\d+ size:(\d+) ")

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


class DataKeys(NamedTuple):
    """The data keys of a user, or of an app.

    Attributes:
        active: seals what is written; None when there is none yet.
        by_id: those that open.
        errors: why a key that was asked for is not among them.
        migrating: whether values in plain text are accepted, while they are being sealed.
    """

    active: DataKey | None
    by_id: Mapping[str, DataKey]
    errors: Mapping[str, SojournError] = {}
    migrating: bool = False


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


class Sealed(NamedTuple):
    """Content that is sealed with a key which this process does not have.

    Attributes:
        key: the id of the key.
        bytes: of the content as it is stored.
    """

    key: str
    bytes: int


_NO_KEYS = DataKeys(None, {}, migrating=True)


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
        self._plain = Coder(self, _NO_KEYS)
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
        if self.keys is None:
            return self._plain
        wanted = {
            found[1].decode()
            for value in stored
            if value[:1] == MARK and (found := _KEY_ID.match(value))
        }
        return Coder(self, await self.keys.keys_of(app, user, wanted, create=create))


class Coder:
    """Encodes and decodes the values of one user, or of an app."""

    __slots__ = ("_active", "_codec", "_keys", "_name", "_strict")

    def __init__(self, codec: Codec, keys: DataKeys) -> None:
        self._codec = codec
        self._keys = keys
        self._active = keys.active
        self._name = "" if keys.active is None else f"{CIPHER}:{keys.active.id}"
        self._strict = codec.keys is not None and not keys.migrating

    def encode(
        self,
        value: bytes,
        place: Place,
        *,
        lead: bytes = b"",
        sized: bool = False,
        json: bool = True,
    ) -> bytes:
        """A value as it is stored; itself when nothing is done to it.

        Args:
            value: JSON text, or any text.
            place: where it stands.
            lead: what stands behind the header in clear.
            sized: whether the header says how many bytes it has: scripts count them.
            json: whether it is JSON.
        """
        names, body = self._encoded(value, json=json)
        if not names:
            return value
        if sized:
            names.insert(0, f"{_PLAIN_SIZE}:{len(value)}")
        header = b"\xff%d %b\n%b" % (growth.FORMAT, " ".join(names).encode(), lead)
        if self._active is not None:
            body = self._active.seal(body, header + _to_bytes(place))
        data = header + body
        return data + b"%08x" % crc32(data)

    def decode(self, stored: bytes, place: Place, most: int, *, leads: bool = False) -> bytes:
        """What was encoded.

        Args:
            stored: as it stands on the server.
            place: where it stands.
            most: bytes that it may have.
            leads: whether a line in clear stands behind the header.

        Raises:
            ValueError: it was damaged.
            Tampered: it was changed or moved, or stands in plain text where none may be.
            Undecodable: this process has not what it needs to decode it.
            Erased: its key was destroyed.
        """
        found = growth.parse(stored)
        if found is None:
            if self._strict:
                raise _tampered(
                    place, "stands in plain text where only sealed values may be", stored
                )
            return stored
        what = _shown(place)
        growth.check_major(found.major, what)
        body, names = found.body, found.encodings
        start = stored.index(b"\n") + 1
        if leads:
            lead, line, body = body.partition(b"\n")
            start += len(lead) + len(line)
        sealed = names[-1].startswith(CIPHER)
        if self._strict and not sealed:
            raise _tampered(place, "it is not sealed, where only sealed values may be", stored)
        if sealed:
            try:
                body = self._key(names[-1], what).unseal(body, stored[:start] + _to_bytes(place))
            except ValueError as error:
                raise _tampered(place, str(error), stored) from error
        return self._decoded(names[:-1] if sealed else names, body, what, most)

    def open(self, stored: bytes, place: Place, most: int, *, leads: bool = False) -> bytes:
        """As `decode`; but what is damaged or was tampered with is given as `Unopened`.

        Raises:
            Undecodable: this process has not what it needs to decode it.
            Erased: its key was destroyed.
        """
        try:
            return self.decode(stored, place, most, leads=leads)
        except (ValueError, Tampered) as error:
            return Unopened.of(stored, error)

    @property
    def opens_nothing(self) -> bool:
        """Whether there is no key, where only sealed values may be."""
        return self._strict and not self._keys.by_id

    def subkey(self, purpose: bytes) -> bytes | None:
        """Of the key that seals what is written, 32 bytes for another purpose; None for no key."""
        return None if self._active is None else self._active.subkey(purpose)

    def encode_data(self, data: bytes, place: Place) -> tuple[str, bytes]:
        """Bytes that can have no header: what was done to them, and what came of it."""
        names, body = self._encoded(data, json=False)
        encodings = " ".join(names)
        if self._active is not None:
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

    def _encoded(self, value: bytes, *, json: bool) -> tuple[list[str], bytes]:
        """What is done to a value, and what comes of it; it is yet to be sealed."""
        codec, names, body = self._codec, list[str](), value
        if json and codec.serializer is not None:
            other = serialized(codec.serializer, body)
            if other is not None:
                names.append(codec.serializer.name)
                body = other
        if codec.compressing and codec.compressor is not None:
            smaller = codec.compressor.compress(body)
            if smaller is not None:
                names.append(smaller[0])
                body = smaller[1]
        if self._active is not None:
            names.append(self._name)
        return names, body

    def _key(self, name: str, what: str) -> DataKey:
        wanted = name.partition(":")[2]
        key = self._keys.by_id.get(wanted)
        if key is not None:
            return key
        error = self._keys.errors.get(wanted)
        if error is not None:
            raise error
        raise KeyMissing(
            f"{what} is sealed with the key {wanted}, which this process does not have: open the "
            "store with keys=. Nothing was changed.",
            key_id=wanted,
        )

    def _decoded(self, names: tuple[str, ...], body: bytes, what: str, most: int) -> bytes:
        codec = self._codec
        for name in reversed(names):
            kind = name.partition(":")[0]
            if kind == _COMPRESSED and codec.compressor is not None:
                body = codec.compressor.decompress(name, body, most)
            elif kind in codec.serializers:
                body = deserialized(codec.serializers[kind], body)
            elif kind != _PLAIN_SIZE:
                raise NewerFormat(
                    f"{what} is encoded with {name!r}, which this version of Sojourn, as it is "
                    "installed and opened here, cannot read. Upgrade it, install its extras, or "
                    "open the store with that serializer; nothing was changed.",
                    found=str(growth.FORMAT),
                    known=str(growth.FORMAT),
                )
        if len(body) > most:
            raise ValueError(f"it has {len(body):,} bytes, over {most:,}")
        return body


def plain_size(value: bytes) -> int:
    """Bytes that a stored value has without its encodings, as scripts count them."""
    if value[:1] != MARK:
        return len(value)
    found = _SIZE.match(value)
    return int(found[1]) if found else len(value)


def sealed_with(stored: bytes) -> str:
    """The id of the key that a stored value is sealed with; empty when it is not sealed."""
    found = _KEY_ID.match(stored)
    return found[1].decode() if found else ""


def _shown(place: Place) -> str:
    return f"A value ({place.field}) of the room {place.room}"


def _tampered(place: Place, why: str, raw: bytes) -> Tampered:
    return Tampered(
        f"{_shown(place)} cannot be trusted: {why}. It was left as it is.", key="", raw=raw
    )
