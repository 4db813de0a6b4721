"""Tools for what is known of the user, beyond sessions, and for results of expensive steps."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from sojourn.surfaces.mcp.caller import Own
from sojourn.surfaces.mcp.documents import CUT, EntryDocument, Sized, preview_of, remembered
from sojourn.surfaces.mcp.fields import (
    Cursor,
    EntryVersion,
    Json,
    Key,
    Limit,
    Metadata,
    Name,
    NewestFirst,
    OperationId,
    Seconds,
    Tag,
    Text,
)
from sojourn.surfaces.mcp.sessions import Deleted, DoneResult, VersionResult
from sojourn.surfaces.mcp.tools import READS, REMOVES, SETS, tool

Value = Annotated[Json, Field(description="Any JSON.")]


class FoundEntry(BaseModel):
    """An entry of the memory, or none."""

    found: bool
    entry: EntryDocument | None


class Entries(BaseModel):
    """A page of entries."""

    entries: list[EntryDocument]
    cursor: str | None = Field(description="For the next page; null after the last.")


class ScoredEntry(EntryDocument):
    """An entry, and how well it fits."""

    score: float = Field(description="To be compared within this answer only.")


class Hits(BaseModel):
    """What a search has found."""

    hits: list[ScoredEntry] = Field(description="The best first.")


class CachedValue(BaseModel):
    """A cached value, or none."""

    found: bool
    value: Any
    preview: str | None = Field(default=None, description=CUT)


async def memory_put(
    own: Own,
    key: Key,
    value: Value,
    *,
    text: Annotated[
        str | None,
        Field(max_length=100_000, description="What a search looks at instead of the value."),
    ] = None,
    metadata: Metadata = None,
    ttl: Seconds = None,
    expected_version: EntryVersion = None,
    operation_id: OperationId = None,
) -> VersionResult:
    """Remember something about the user under a key, instead of what was there."""
    lives: dict[str, Any] = {} if ttl is None else {"ttl": ttl}
    version = await own.memory.put(
        key,
        value,
        text=text,
        metadata=metadata,
        expected_version=expected_version,
        operation_id=operation_id,
        **lives,
    )
    return VersionResult(version=version)


async def memory_get(own: Own, key: Key) -> FoundEntry:
    """Read what is remembered under a key."""
    entry = await own.memory.entry(key)
    if entry is None:
        return FoundEntry(found=False, entry=None)
    return FoundEntry(found=True, entry=Sized().one(remembered(entry)))


async def memory_merge(
    own: Own,
    key: Key,
    changes: Annotated[dict[str, Json], Field(description="Members to set, by name.")],
    *,
    ttl: Seconds = None,
    operation_id: OperationId = None,
) -> VersionResult:
    """Set members of a remembered object and leave its others; what others set meanwhile stays.

    When there is no entry, the changes become one.
    """
    lives: dict[str, Any] = {} if ttl is None else {"ttl": ttl}
    version = await own.memory.merge(key, changes, operation_id=operation_id, **lives)
    return VersionResult(version=version)


async def memory_delete(
    own: Own,
    key: Key,
    *,
    expected_version: EntryVersion = None,
    operation_id: OperationId = None,
) -> Deleted:
    """Forget what is remembered under a key."""
    deleted = await own.memory.delete(
        key, expected_version=expected_version, operation_id=operation_id
    )
    return Deleted(deleted=deleted)


async def memory_list(
    own: Own,
    *,
    prefix: Annotated[str, Field(max_length=512, description="Only keys that begin so.")] = "",
    newest_first: NewestFirst = True,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Entries:
    """List what is remembered, what was changed last first, or in the order of the keys.

    A page may have fewer than `limit`, even none; there are more as long as there is a cursor.
    """
    found = await own.memory.list(
        prefix=prefix, newest_first=newest_first, limit=limit, cursor=cursor
    )
    room = Sized()
    entries = [room.one(remembered(entry)) for entry in found.entries]
    return Entries(entries=entries, cursor=found.cursor)


async def memory_search(
    own: Own,
    query: Annotated[Text, Field(description="Words; nothing in it is an operator.")],
    *,
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
) -> Hits:
    """Search what is remembered of the user, by words."""
    room = Sized()
    hits: list[ScoredEntry] = []
    for hit in await own.memory.search(query, limit=limit):
        document = room.one(remembered(hit.entry))
        hits.append(ScoredEntry(**document.model_dump(), score=hit.score))
    return Hits(hits=hits)


async def cache_get(own: Own, name: Name) -> CachedValue:
    """Read the cached result of an expensive step."""
    missing = object()
    value = await own.cache.get(name, missing)
    if value is missing:
        return CachedValue(found=False, value=None)
    preview = preview_of(value)
    return CachedValue(found=True, value=value if preview is None else None, preview=preview)


async def cache_put(
    own: Own,
    name: Name,
    value: Value,
    *,
    ttl: Annotated[
        float, Field(ge=0.001, le=2_592_000, description="Seconds that it is good for.")
    ] = 3600,
    tags: Annotated[list[Tag], Field(max_length=32, description="For cache_invalidate.")] = [],  # noqa: B006 - never changed
    operation_id: OperationId = None,
) -> DoneResult:
    """Keep the result of an expensive step for a while."""
    await own.cache.put(name, value, ttl=ttl, tags=tags, operation_id=operation_id)
    return DoneResult()


async def cache_delete(own: Own, name: Name, *, operation_id: OperationId = None) -> Deleted:
    """Forget a cached result."""
    return Deleted(deleted=await own.cache.delete(name, operation_id=operation_id))


async def cache_invalidate(own: Own, tag: Tag) -> DoneResult:
    """Forget all cached results of the user that carry a tag."""
    await own.cache.invalidate(tag)
    return DoneResult()


TOOLS: list[Any] = [
    tool(memory_put, "Remember", SETS),
    tool(memory_get, "Recall", READS),
    tool(memory_merge, "Change what is remembered", SETS),
    tool(memory_delete, "Forget", REMOVES),
    tool(memory_list, "List what is remembered", READS),
    tool(memory_search, "Search the memory", READS),
    tool(cache_get, "Read a cached result", READS),
    tool(cache_put, "Cache a result", SETS),
    tool(cache_delete, "Forget a cached result", REMOVES),
    tool(cache_invalidate, "Forget cached results of a tag", REMOVES),
]
