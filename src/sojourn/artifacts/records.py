"""A version's record and its data as a server has them: in plain text, or encoded."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias, TypeVar
from zlib import crc32

import msgspec

from sojourn.artifacts.model import ArtifactPlace, ArtifactVersion, Owner
from sojourn.calls.call import Call, only
from sojourn.caps import CAPS, CEILING, KiB
from sojourn.codecs import encode
from sojourn.codecs.codec import Codec, Coder, Place, Sealed, sealed_with
from sojourn.codecs.growth import FORMAT, MARK, Unopened, check_stored
from sojourn.codecs.growth import plain as plain_text
from sojourn.errors import CorruptRecord, DictionaryMissing, NewerFormat, Undecodable

BINARY = "application/octet-stream"
"""What data are of which nothing else is said."""

CHUNK = 512 * 1024
"""Bytes that travel at once."""

AHEAD = 4
"""Chunks that are under way at once: a distant server need not be waited for with each."""

_SMALL = 64 * KiB
"""Bytes that are encoded or decoded at once in the event loop; more is done beside it."""
_RECORD = CAPS.metadata + CAPS.mime_type + 4 * KiB
"""Bytes that the content of a record has at most."""

_SHOWN = 80
"""Characters of an encoding that a message names."""

T = TypeVar("T")
Encodings: TypeAlias = str | list[str]
"""How the chunks of a version were written: each the same way, or one by one."""


class VersionRow(msgspec.Struct):
    """What stands in the record of a version; what else does is another version's.

    Attributes:
        size: bytes of its data.
        chunks: in how many pieces they are.
        crc: CRC-32 of its data, in hexadecimal.
        created: seconds since the epoch.
        mime_type: what its data are.
        metadata: a JSON object, as text.
        encoding: how its data were written, whatever form that has; empty for plain ones.
        id: of the version, to which its encoded content is bound.
    """

    size: int
    chunks: int
    crc: str
    created: float = 0.0
    mime_type: str = BINARY
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    encoding: Any = ""
    id: str = ""


class Lead(msgspec.Struct, omit_defaults=True):
    """What stands in clear in an encoded record: what is needed to read the rest.

    Attributes:
        id: of the version.
        chunks: in how many pieces its data are.
        bytes: of its data as they are stored.
        encoding: how its data were written.
    """

    id: str
    chunks: int
    bytes: int = 0
    encoding: Any = ""


class StoredVersion(NamedTuple):
    """A version as it is stored.

    Attributes:
        record: as it is stored, but for `created` where it is plain; or decoded.
        chunks: of its data.
    """

    record: bytes
    chunks: Sequence[bytes]

    @property
    def size(self) -> int:
        """Bytes of its data as they are stored."""
        return sum(map(len, self.chunks))


_to_json = msgspec.json.Encoder().encode
_lead = msgspec.json.Decoder(Lead).decode
_decode = msgspec.json.Decoder(VersionRow).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode


def read(text: bytes, what: str) -> VersionRow:
    """A record that was decoded, or is plain.

    Args:
        text: the record.
        what: names the version in an error.

    Raises:
        NewerFormat: it has an encoding that nobody has taken off, or a newer format.
        Tampered: it was changed, moved or replaced.
        ValueError: it cannot be read.
    """
    record = _decode(plain_text(text, what))
    if not record.encoding and record.chunks != chunks_of(record.size):
        raise ValueError("its size is of another number of chunks")
    return record


def unknown_members(text: bytes) -> dict[str, bytes]:
    """The members of a record that this version does not know, as JSON texts."""
    return {
        name: bytes(value)
        for name, value in _members(text).items()
        if name not in VersionRow.__struct_fields__
    }


def chunks_of(size: int) -> int:
    """How many chunks so many bytes have; none have one."""
    return max(1, math.ceil(size / CHUNK))


def record_of(  # noqa: PLR0917 - the members of a record
    size: int, chunks: int, crc: str, mime_type: str, metadata: bytes, encoding: Encodings = ""
) -> bytes:
    """A version's record, behind `created`."""
    mime, how = encode(mime_type, "mime_type"), b""
    if encoding:
        how = b',"encoding":%b' % _to_json(encoding)
    return b'"size":%d,"chunks":%d,"crc":"%b","mime_type":%b,"metadata":%b%b}' % (
        *(size, chunks, crc.encode(), mime, metadata, how),
    )


# ── encoded ones ───────────────────────────────────────────────────────────────────────────────


def id_of(place: ArtifactPlace, operation_id: str) -> str:
    """The id of a version: of its place and the operation that saves it.

    So a save that is repeated, perhaps by another process at the same time, writes chunks that
    belong together.
    """
    named = _to_json((*place.owner, place.name, operation_id))
    return blake2b(named, digest_size=16, person=b"sojourn version").hexdigest()


def _record_place(place: ArtifactPlace, of: str) -> Place:
    """Of a record. An artifact keeps its name when it is moved."""
    return Place("artifacts", "version", place.owner.app, place.owner.user, of, place.name)


def _chunk_place(owner: Owner, of: str, number: int, count: int) -> Place:
    return Place("artifacts", "data", owner.app, owner.user, of, f"{number}/{count}")


def encoded_record(
    coder: Coder,
    place: ArtifactPlace,
    of: str,
    row: VersionRow,
    size: int,
) -> bytes:
    """A record as it is stored: one without a header stands behind `created`.

    Args:
        coder: of the owner.
        place: which artifact.
        of: the version's id.
        row: what it says.
        size: bytes of the data as they are stored.
    """
    mime, metadata = encode(row.mime_type, "mime_type"), bytes(row.metadata)
    content = b'{"size":%d,"crc":"%b","mime_type":%b,"metadata":%b}' % (
        *(row.size, row.crc.encode(), mime, metadata),
    )
    lead = _to_json(Lead(of, row.chunks, size, row.encoding)) + b"\n"
    stored = coder.encode(content, _record_place(place, of), lead=lead)
    if stored[:1] == MARK:
        return stored
    return record_of(row.size, row.chunks, row.crc, row.mime_type, metadata, row.encoding)


def lead_of(record: bytes) -> Lead | None:
    """What stands in clear in an encoded record; None for a plain one.

    Raises:
        ValueError: it was damaged.
        NewerFormat: it has a newer format.
    """
    if record[:1] != MARK:
        return None
    check_stored(record, "The record of a version")
    try:
        return _lead(record.split(b"\n", 2)[1])
    except msgspec.MsgspecError:  # decoding it says why
        return Lead("", 0)


def extent(record: bytes) -> tuple[int, int]:
    """Bytes of a version's data as they are stored, about, and in how many chunks they are.

    None are read of a record that says nothing of them: whoever decodes it says why.
    """
    try:
        lead = lead_of(record)
        found = _decode(record) if lead is None else lead
    except (ValueError, RecursionError, NewerFormat):
        return 0, 0
    size = found.size if isinstance(found, VersionRow) else found.bytes
    most = max(1, math.ceil(CEILING.artifact / CHUNK))
    return size, found.chunks if 0 <= found.chunks <= most else 0


def unknown_encoding(record: bytes, codec: Codec) -> str | None:
    """How the data of a version with this record were written, if this process cannot take it off.

    Args:
        record: decoded.
        codec: of this process.
    """
    try:
        encoding = _decode(record).encoding
    except (ValueError, RecursionError):
        return None  # whoever reads it says why
    for each in _each(encoding):
        if not isinstance(each, str) or not codec.knows(each):
            return str(each)[:_SHOWN]
    return None


def undecodable(encoding: str, what: str) -> Undecodable:
    """Data cannot be decoded here.

    Args:
        encoding: how they were written.
        what: names them.
    """
    for name in encoding.split():
        kind, _, dictionary = name.partition(":")
        if kind == "zstd" and dictionary:
            return DictionaryMissing(
                f"{what} was compressed with the dictionary {dictionary!r}, which this process "
                "does not have. Nothing was changed.",
                dictionary=dictionary,
            )
    return NewerFormat(
        f"{what} has data with the encoding {encoding!r}, which this version of Sojourn, as it is "
        "installed and opened here, cannot read. Upgrade it; nothing was changed.",
        found=str(FORMAT),
        known=str(FORMAT),
    )


def opened_record(coder: Coder, place: ArtifactPlace, record: bytes, created: bytes) -> bytes:
    """A record as one in plain text; `Unopened` when it was damaged or tampered with.

    Args:
        coder: of the owner.
        place: which artifact.
        record: as it is stored.
        created: what is stored beside it, seconds since the epoch.

    Raises:
        Undecodable: this process has not what it needs to decode it.
        Erased: its key was destroyed.
    """
    try:
        lead = lead_of(record)
    except ValueError as error:
        return Unopened.of(record, error)
    if lead is None:
        return coder.open(record, _record_place(place, ""), _RECORD + len(record))
    text = coder.open(record, _record_place(place, lead.id), _RECORD, leads=True)
    if isinstance(text, Unopened):
        return text
    try:
        at = float(created or 0)
    except ValueError as error:
        return Unopened.of(record, error)
    start = {"created": at, "id": lead.id, "chunks": lead.chunks, "encoding": lead.encoding}
    return _to_json(start)[:-1] + b"," + text[1:]


async def encoded_chunk(
    coder: Coder, owner: Owner, of: str, chunk: bytes, *, number: int, count: int
) -> tuple[str, bytes]:
    """How a chunk was written, and what came of it.

    Args:
        coder: of the owner.
        owner: whose artifact.
        of: the version's id.
        chunk: its bytes.
        number: which chunk, from 0.
        count: how many there are.
    """
    place = _chunk_place(owner, of, number, count)
    return await beside(len(chunk), lambda: coder.encode_data(chunk, place))


async def opened_chunk(
    coder: Coder, owner: Owner, row: VersionRow, chunk: bytes, number: int
) -> bytes:
    """The inverse.

    Args:
        coder: of the owner.
        owner: whose artifact.
        row: the record of the version.
        chunk: as it is stored.
        number: which chunk, from 0.

    Raises:
        ValueError: it was damaged.
        Tampered: it was changed, moved or replaced.
        Undecodable: this process has not what it needs to decode it.
    """
    place = _chunk_place(owner, row.id, number, row.chunks)
    how = encoding_of(row.encoding, number)
    if not how:
        return coder.decode_data(how, chunk, place, CHUNK)
    return await beside(len(chunk), lambda: coder.decode_data(how, chunk, place, CHUNK))


def encoding_of(encoding: Any, number: int) -> str:
    """How a chunk was written.

    Raises:
        ValueError: what the record says of it is of no form that is known.
    """
    found = _each(encoding)[number : number + 1] if isinstance(encoding, list) else [encoding]
    if found and isinstance(found[0], str):
        return found[0]
    raise ValueError("how its data were written is not said in a known way")


def _each(encoding: Any) -> list[Any]:
    return [*encoding] if isinstance(encoding, list) else [encoding]


def encodings(each: Sequence[str]) -> Encodings:
    """How all chunks were written, as a record says it."""
    return each[0] if len({*each}) == 1 else [*each]


async def beside(size: int, do: Callable[[], T]) -> T:
    """Do what takes milliseconds for many bytes, beside the event loop then."""
    return do() if size <= _SMALL else await asyncio.to_thread(do)


def cut(data: bytes) -> Iterator[bytes]:
    """The chunks of data; of none there is one without bytes."""
    if len(data) <= CHUNK:
        return iter((data,))
    return (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))


async def crc_of(data: bytes) -> str:
    """The CRC-32 of data."""
    # Megabytes are summed up beside the loop; zlib lets go of the interpreter.
    crc = crc32(data) if len(data) <= CHUNK else await asyncio.to_thread(crc32, data)
    return f"{crc:08x}"


def read_chunk(key: str, number: int, *, separate_connection: bool) -> Call[bytes | None]:
    """The call that reads a chunk of data."""
    commands = [("HGET", key, number)]
    return Call("artifacts.read", (key,), only, commands, separate_connection=separate_connection)


def data_keys(starts: Sequence[str], names: Sequence[bytes]) -> list[str]:
    """Keys of data: of each name, one with each start."""
    texts = [name.decode(errors="replace") for name in names]
    return [f"{start}:{text}" for text in texts for start in starts]


def parse(
    text: bytes, version: int, key: str, *, mark: bool = False, created: bytes = b""
) -> tuple[ArtifactVersion, VersionRow]:
    """What a record says of a version.

    Args:
        text: the record, decoded.
        version: its number.
        key: of the artifact.
        mark: whether a record that cannot be decoded here is marked as such, and not raised.
        created: what is stored beside such a record.

    Raises:
        CorruptRecord: it cannot be read.
        Undecodable: this process has not what it needs to decode it.
    """
    try:
        record = read(text, f"The record of version {version} in {key}")
        metadata = _object(record.metadata)
    except Undecodable:
        if mark:
            return _marked(text, version, created), VersionRow(0, 0, "")
        raise
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(
            f"The record of a version in {key} cannot be read ({error}): others wrote it, or it "
            "was damaged. Delete the artifact.",
            key=key,
            raw=text,
        ) from error
    found = ArtifactVersion(
        version=version,
        size=record.size,
        mime_type=record.mime_type,
        metadata=metadata,
        created=record.created,
    )
    return found, record


def _marked(record: bytes, version: int, created: bytes) -> ArtifactVersion:
    """A version whose record cannot be decoded here."""
    try:
        at, lead = float(created or 0), lead_of(record)
    except (ValueError, Undecodable):
        at, lead = 0.0, None
    key = sealed_with(record)
    return ArtifactVersion(
        version=version,
        size=0,
        mime_type="",
        metadata={},
        created=at,
        newer=True,
        sealed=Sealed(key, lead.bytes) if key and lead else None,
    )


def number_of(text: bytes, key: str) -> int:
    """A number that a key should hold.

    Raises:
        CorruptRecord: it is none.
    """
    try:
        return int(text)
    except ValueError as error:
        raise CorruptRecord(
            f"{key} should hold a number: others wrote it.", key=key, raw=text
        ) from error
