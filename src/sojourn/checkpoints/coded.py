"""Encoding of the content of threads: each object, each record, and the title."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sojourn.caps import CEILING
from sojourn.checkpoints import records
from sojourn.checkpoints.model import ThreadKey
from sojourn.checkpoints.objects import digest_of, split
from sojourn.checkpoints.records import WriteRow
from sojourn.checkpoints.store import StoredRow, StoredRows, ThreadRow
from sojourn.codecs.codec import Coder, Place
from sojourn.codecs.growth import MARK

if TYPE_CHECKING:
    from sojourn.calls.coded import CodedStore

_ROOM = "threads"


def _place(key: ThreadKey, field: str, name: str) -> Place:
    return Place(_ROOM, field, key.app, key.user, key.thread if field != "value" else "", name)


async def encoder(coded: CodedStore, key: ThreadKey) -> Coder:
    """What encodes the content of a thread."""
    return await coded.codec.coder(key.app, key.user, create=True)


def encoded_objects(coder: Coder, key: ThreadKey, objects: Mapping[str, bytes]) -> dict[str, bytes]:
    """Objects as they are stored: the references in them stay in clear."""
    made: dict[str, bytes] = {}
    for digest, body in objects.items():
        clear, content = split(body)
        if content:
            content = coder.encode(content, _place(key, "value", digest), json=content[:1] != b"!")
        made[digest] = clear + content
    return made


def encoded_checkpoint(
    coder: Coder, key: ThreadKey, place: str, lead: bytes, content: bytes
) -> bytes:
    """The content of a checkpoint as it is stored: it opens only behind these lines in clear."""
    return coder.encode(content, _place(key, "checkpoint", f"{place} {digest_of(lead)}"))


def encoded_write(coder: Coder, key: ThreadKey, place: str, task: str, row: WriteRow) -> WriteRow:
    """A write as it is stored."""
    return row._replace(content=coder.encode(row.content, _of_write(key, place, task, row)))


def _of_write(key: ThreadKey, place: str, task: str, row: WriteRow) -> Place:
    name = f"{place}:{task}:{row.number} {','.join(row.tokens)}"
    return _place(key, "write", name)


def encoded_title(coder: Coder, key: ThreadKey, title: bytes) -> bytes:
    """A title as it is stored."""
    return title and coder.encode(title, _place(key, "title", ""), json=False)


async def decoded_rows(coded: CodedStore, key: ThreadKey, stored: StoredRows) -> StoredRows:
    """Checkpoints and objects, with their content decoded.

    Raises:
        Tampered: one was changed or moved.
        Undecodable: this process has not what it needs to decode it.
        Erased: the key was destroyed.
        ValueError: one was damaged.
    """
    clear = [(digest, *split(body)) for digest, body in stored.objects.items()]
    leads = [records.split_checkpoint(row.checkpoint) for row in stored.rows]
    writes = [list(records.split_writes(row.writes)) for row in stored.rows]
    values = (
        *(content for _, _, content in clear),
        *(content for _, content in leads),
        *(row.content for rows in writes for _, row in rows),
    )
    if not _wants(coded, values):
        return stored
    coder = await coded.codec.coder(key.app, key.user, values)
    objects = {
        digest: lead + _decode(coder, content, _place(key, "value", digest)) if content else lead
        for digest, lead, content in clear
    }
    rows = [
        StoredRow(
            row.place,
            lead.encode()
            + _decode(
                coder, content, _place(key, "checkpoint", f"{row.place} {digest_of(lead.encode())}")
            ),
            records.join_writes(
                (
                    task,
                    each._replace(
                        content=_decode(
                            coder,
                            each.content,
                            _of_write(key, row.place, task, each),
                        )
                    ),
                )
                for task, each in found
            ),
        )
        for row, (lead, content), found in zip(stored.rows, leads, writes, strict=True)
    ]
    return StoredRows(rows, objects)


async def decoded_titles(
    coded: CodedStore, owner: Any, rows: Iterable[ThreadRow]
) -> list[ThreadRow]:
    """Rows of a list with their titles decoded; a title that cannot be decoded is left out."""
    found = list(rows)
    if not _wants(coded, [row.title for row in found if row.title]):
        return found
    coder = await coded.codec.coder(owner.app, owner.user, [row.title for row in found])
    made: list[ThreadRow] = []
    for row in found:
        key = ThreadKey(owner.app, owner.user, row.thread)
        title = row.title and coder.open(row.title, _place(key, "title", ""), CEILING.event)
        made.append(
            ThreadRow(
                row.thread, title, row.updated, row.created, row.expires, row.checkpoints, row.newer
            )
        )
    return made


def _wants(coded: CodedStore, values: Iterable[bytes]) -> bool:
    """Whether any of some values has to be decoded; empty ones never are."""
    return coded.codec.keys is not None or any(each[:1] == MARK for each in values)


def _decode(coder: Coder, stored: bytes, place: Place) -> bytes:
    return coder.decode(stored, place, CEILING.event)
