"""Encoding of the content of entries: values, metadata, texts and vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TypeAlias

from sojourn.calls.coded import CodedStore
from sojourn.caps import CAPS, CEILING
from sojourn.codecs import in_pieces
from sojourn.codecs.codec import Coder, Place
from sojourn.codecs.growth import FORMAT, MARK
from sojourn.codecs.recoding import Recoder, unless_same
from sojourn.errors import CorruptRecord, DictionaryMissing, Erased, NewerFormat, Undecodable
from sojourn.memory.entry_codec import corrupt
from sojourn.memory.model import ScopeKey
from sojourn.memory.store import EMPTY, EntryPage, Item, MemoryRow

Opened: TypeAlias = MemoryRow | CorruptRecord | Undecodable | Erased

_DIGESTS = b"memory digest"
_DIGEST_BYTES = 16


async def encoded_items(
    coded: CodedStore, scope: ScopeKey, items: Sequence[Item]
) -> Sequence[Item]:
    """Items as they are stored; those that are encoded already stay so.

    Raises:
        As `Codec.coder`.
    """
    coder = await coded.codec.coder(scope.app, _user_of(scope), create=True)
    return await in_pieces(lambda item: _encoded(coder, scope, item), items)


async def decoded_rows(
    coded: CodedStore, scope: ScopeKey, rows: Sequence[MemoryRow]
) -> Sequence[Opened]:
    """Rows that the store gave, decoded; in place of one that cannot be, why.

    Raises:
        As `Codec.coder`.
    """
    codec = coded.codec
    if codec.keys is None and not any(map(_is_encoded, rows)):
        return rows
    values = [value for row in rows for value in values_of(row.item)]
    coder = await codec.coder(scope.app, _user_of(scope), values)

    def opened(row: MemoryRow) -> Opened:
        try:
            return _decoded(coder, scope, row)
        except (CorruptRecord, Undecodable, Erased) as error:
            return error
        except ValueError as error:
            return corrupt(repr(row.item.key), f"cannot be read ({error})", row.item.value)

    return await in_pieces(opened, rows)


async def decoded_page(coded: CodedStore, scope: ScopeKey, page: EntryPage) -> EntryPage:
    """A page that the store gave; entries that cannot be decoded are marked.

    Raises:
        As `Codec.coder`.
    """
    found = await decoded_rows(coded, scope, page.rows)
    if found is page.rows:
        return page
    made = EntryPage([], page.last, [*page.corrupt], [*page.newer])
    for stored, row in zip(page.rows, found, strict=True):
        if isinstance(row, MemoryRow):
            made.rows.append(row)
        else:
            (made.corrupt if isinstance(row, CorruptRecord) else made.newer).append(stored.item.key)
    return made


async def is_shut(coded: CodedStore, scope: ScopeKey) -> bool:
    """Whether nothing of a scope can be decoded, as its keys are gone.

    Raises:
        As `Codec.coder`.
    """
    if coded.codec.keys is None:
        return False
    return (await coded.codec.coder(scope.app, _user_of(scope))).opens_nothing


def _encoded(coder: Coder, scope: ScopeKey, item: Item) -> Item:
    if item.vector_encoding or any(value[:1] == MARK for value in _values(item)):
        return item
    place = _place(scope, item.key)
    value = coder.encode(item.value, place._replace(field=_parts_of(item)))
    metadata, text, vector, encoding = item.metadata, item.text, item.vector, ""
    if metadata != EMPTY:
        metadata = coder.encode(metadata, place._replace(field="metadata"))
    if text is not None:
        text = coder.encode(text, place._replace(field="text"), json=False)
    if vector:
        encoding, vector = coder.encode_data(vector, place._replace(field="vector"))
    is_encoded = (value, metadata, text) != (item.value, item.metadata, item.text)
    return item._replace(
        value=value,
        metadata=metadata,
        text=text,
        vector=vector,
        vector_encoding=encoding,
        digest=_digest(coder, place, item) if is_encoded else "",
    )


def _digest(coder: Coder, place: Place, item: Item) -> str:
    """Of what an item holds: an add compares it, as sealing the same gives something else."""
    made = blake2b(digest_size=_DIGEST_BYTES, key=coder.subkey(_DIGESTS) or b"")
    for part in (
        *(place.app.encode(), place.within.encode(), place.name.encode()),
        *(item.value, item.metadata, item.vector, item.text),
    ):
        made.update(b"-" if part is None else b"%d:%b" % (len(part), part))
    return made.hexdigest()


def _decoded(coder: Coder, scope: ScopeKey, row: MemoryRow) -> MemoryRow:
    item, more = row.item, row.more
    place = _place(scope, item.key)
    value = coder.decode(item.value, place._replace(field=_parts_of(item)), CEILING.event)
    metadata, text, vector = item.metadata, item.text, item.vector
    if metadata != EMPTY:
        metadata = coder.decode(metadata, place._replace(field="metadata"), CEILING.event)
    if text is not None:
        text = coder.decode(text, place._replace(field="text"), CEILING.event)
        text.decode()
    if vector or item.vector_encoding:
        at, encoding = place._replace(field="vector"), item.vector_encoding
        try:
            vector = coder.decode_data(encoding, vector, at, CAPS.vector)
        except (NewerFormat, DictionaryMissing):  # the entry is found by its words
            vector = b""
            more = {**more, "vector": item.vector, "vector_encoding": encoding.encode()}
    return row._replace(
        item=item._replace(
            value=value, metadata=metadata, text=text, vector=vector, vector_encoding="", digest=""
        ),
        more=more,
    )


def _is_encoded(row: MemoryRow) -> bool:
    item = row.item
    return bool(
        item.value[:1] == MARK
        or item.metadata[:1] == MARK
        or (item.text is not None and item.text[:1] == MARK)
        or item.vector_encoding
    )


def _values(item: Item) -> Iterator[bytes]:
    yield item.value
    yield item.metadata
    if item.text is not None:
        yield item.text


def values_of(item: Item) -> Iterator[bytes]:
    """Values whose headers say what is needed to decode an item, its vector too."""
    yield from _values(item)
    if item.vector_encoding:
        yield b"\xff%d %b\n" % (FORMAT, item.vector_encoding.encode())


def _parts_of(item: Item) -> str:
    """What an entry consists of, which its value is bound to: none can be taken away or added."""
    parts = {
        "metadata": item.metadata != EMPTY,
        "text": item.text is not None,
        "vector": item.vector or item.vector_encoding,
    }
    return " ".join(["value", *(name for name, there in parts.items() if there)])


def _user_of(scope: ScopeKey) -> str | None:
    return None if scope.owner is None else scope.owner.user


def _place(scope: ScopeKey, key: str) -> Place:
    within = f"{scope.kind}:{scope.name}"
    return Place("memory", "", scope.app, _user_of(scope), within, key)


def recoded(recoder: Recoder, scope: ScopeKey, row: MemoryRow) -> Item:
    """The content of an entry encoded anew; the same when it is written so already.

    Raises:
        As `Coder.decode`.
    """
    stored = row.item
    opened = _decoded(recoder.reads, scope, row)
    if opened.more != row.more:
        raise NewerFormat(
            f"The vector of the memory entry {stored.key!r} has the encoding "
            f"{stored.vector_encoding!r}, which this process cannot read. Nothing was changed.",
            found=str(FORMAT),
            known=str(FORMAT),
        )
    new = _encoded(recoder.writes, scope, opened.item)
    pairs = zip((*_values(stored), b""), (*_values(new), b""), strict=True)
    is_same = all(unless_same(old, value) is old for old, value in pairs)
    return stored if is_same and new.vector_encoding == stored.vector_encoding else new
