"""Parse checkpoints, writes and values of what the store gave. Knows no Redis."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sojourn.checkpoints import objects, records, refusals
from sojourn.checkpoints.memo import Carried
from sojourn.checkpoints.model import (
    CheckpointPlace,
    Content,
    PendingWrite,
    StoredCheckpoint,
    ThreadKey,
)
from sojourn.checkpoints.objects import Fragment
from sojourn.checkpoints.records import CheckpointLead, WriteRow
from sojourn.checkpoints.store import StoredRow, StoredRows
from sojourn.codecs.growth import plain
from sojourn.errors import CorruptRecord, NewerFormat
from sojourn.ids import unescape


def parse(
    key: ThreadKey,
    found: StoredRows,
    *,
    sealed: bool,
    bare: bool = False,
    only: Collection[str] | None = None,
) -> Iterator[tuple[StoredCheckpoint, Carried]]:
    """Checkpoints of what the store gave, each with what its values are stored as.

    Args:
        key: of which thread.
        found: decoded.
        sealed: whether they were: sealed objects open only under the name that they have.
        bare: without values and writes.
        only: names of the values and of the writes' channels that are wanted; None for all.

    Raises:
        CorruptRecord: one of them cannot be read.
        NewerFormat: one is encoded in a way that this version does not know.
    """
    if not sealed:
        _check_objects(key, found.objects)
    for row in found.rows:
        lead, record, fragments = checkpoint_record(key, row)
        yield (
            StoredCheckpoint(
                place=place_named(row.place),
                parent=lead.parent,
                data=record.data,
                metadata=record.metadata,
                values={} if bare else _values(key, fragments, found.objects, only),
                writes=[] if bare else _pending(key, row, found.objects, only),
                missing=lead.missing,
                delta=lead.delta,
            ),
            fragments,
        )


def place_named(place: str) -> CheckpointPlace:
    """A place, of its name within the thread."""
    namespace, _, checkpoint = place.partition(":")
    return CheckpointPlace(unescape(namespace), unescape(checkpoint))


def _check_objects(key: ThreadKey, found: Mapping[str, bytes]) -> None:
    """Look whether objects are what was stored.

    Raises:
        CorruptRecord: one is not.
        NewerFormat: one is encoded in a way that this version does not know.
    """
    for digest, body in found.items():
        clear, content = objects.split(body)
        try:
            text = plain(content, "A value of a checkpoint") if content else content
        except ValueError as error:
            raise refusals.corrupt(
                key.thread, f"has a value that cannot be read ({error})", body
            ) from error
        if objects.name_of(clear + text) != digest:
            raise refusals.corrupt(key.thread, "has a value that is not as it was written", body)


def checkpoint_record(
    key: ThreadKey, row: StoredRow
) -> tuple[CheckpointLead, records.CheckpointRecord, Carried]:
    """A row's part in clear, its content, and what its values are stored as.

    Raises:
        CorruptRecord: it cannot be read.
    """
    try:
        lead, content = records.split_checkpoint(row.checkpoint)
        record = records.read_checkpoint(plain(content, f"The checkpoint {row.place}"))
        return lead, record, objects.separate(record.values, lead.tokens)
    except (ValueError, RecursionError) as error:
        why = f"has a checkpoint {row.place} that cannot be read ({error})"
        raise refusals.corrupt(key.thread, why, row.checkpoint) from error


def writes_of(key: ThreadKey, row: StoredRow) -> list[tuple[str, WriteRow, records.WriteRecord]]:
    """The writes of a row, each with its task.

    Raises:
        CorruptRecord: they cannot be read.
    """
    try:
        return [
            (task, write, records.read_write(plain(write.content, "A write of a checkpoint")))
            for task, write in records.split_writes(row.writes)
        ]
    except (ValueError, RecursionError) as error:
        why = f"has writes of {row.place} that cannot be read ({error})"
        raise refusals.corrupt(key.thread, why, row.writes) from error


def _values(
    key: ThreadKey, fragments: Carried, found: Mapping[str, bytes], only: Collection[str] | None
) -> dict[str, Content]:
    return {
        name: _content_of(key, each, found)
        for name, each in fragments.items()
        if only is None or name in only
    }


def _pending(
    key: ThreadKey, row: StoredRow, found: Mapping[str, bytes], only: Collection[str] | None
) -> list[PendingWrite]:
    writes = [
        PendingWrite(
            task=task,
            index=write.number,
            channel=record.channel,
            path=record.path,
            value=_content_of(key, Fragment(bytes(record.value), tuple(write.tokens)), found),
            waits=write.waits,
        )
        for task, write, record in writes_of(key, row)
        if only is None or record.channel in only
    ]
    return sorted(writes, key=lambda write: (write.path, write.task, write.index))


def _content_of(key: ThreadKey, fragment: Fragment, found: Mapping[str, bytes]) -> Content:
    try:
        return objects.content_of(fragment, found)
    except LookupError as error:
        raise refusals.corrupt(key.thread, "has lost a value, perhaps evicted") from error
    except (ValueError, RecursionError) as error:
        raise refusals.corrupt(key.thread, f"has a value that cannot be read ({error})") from error


def title_of(stored: bytes) -> str:
    """A title; empty when it cannot be read."""
    try:
        return plain(stored, "A title").decode()
    except (ValueError, CorruptRecord, NewerFormat):
        return ""
