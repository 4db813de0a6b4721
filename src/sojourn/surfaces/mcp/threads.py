"""Tools for threads of checkpoints: to look at what graphs have done."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from sojourn.checkpoints import messages_in
from sojourn.errors import InvalidInput
from sojourn.surfaces.mcp.caller import Own
from sojourn.surfaces.mcp.documents import MessageDocument, Sized, said
from sojourn.surfaces.mcp.fields import Cursor, Limit
from sojourn.surfaces.mcp.tools import READS, tool

ThreadId = Annotated[str, Field(min_length=1, max_length=512, description="The thread's id.")]


class ThreadDocument(BaseModel):
    """A thread of checkpoints."""

    thread: str = Field(description="Its id.")
    title: str
    checkpoints: int = Field(description="How many it has.")
    created: float = Field(description="Seconds since the epoch; so are the others.")
    updated: float
    expires: float | None


class ThreadsResult(BaseModel):
    """A page of threads."""

    threads: list[ThreadDocument]
    cursor: str | None = Field(description="For the next page; null after the last.")


class ThreadMessages(BaseModel):
    """A page of a thread's messages."""

    messages: list[MessageDocument] = Field(description="Oldest first; `time` is not known.")
    cursor: str | None = Field(description="For the messages before these; null at the beginning.")


async def thread_list(own: Own, *, limit: Limit = 20, cursor: Cursor = None) -> ThreadsResult:
    """List the threads of graphs, the newest first."""
    found = await own.threads.list(limit=limit, cursor=cursor)
    shown = [each for each in found.threads if not each.newer]
    threads = [ThreadDocument.model_validate(each, from_attributes=True) for each in shown]
    return ThreadsResult(threads=threads, cursor=found.cursor)


async def thread_read(
    own: Own, thread: ThreadId, *, limit: Limit = 20, cursor: Cursor = None
) -> ThreadMessages:
    """Read the last messages of a thread; `cursor` leads to those before them.

    There are none when there is no such thread.
    """
    found = await own.threads.get(thread)
    messages = [] if found is None else messages_in(found)
    if cursor is not None:
        if not cursor.isascii() or not cursor.isdigit():
            raise InvalidInput("cursor is not one that thread_read gave.")
        messages = messages[: max(0, int(cursor) - 1)]
    taken = list(reversed(Sized().fill(reversed(messages[-limit:]), said)))
    first = taken[0].seq if taken else 1
    return ThreadMessages(messages=taken, cursor=str(first) if first > 1 else None)


TOOLS: list[Any] = [
    tool(thread_list, "List threads", READS),
    tool(thread_read, "Read a thread's messages", READS),
]
