"""Routes of the threads room: checkpoints of graphs, as a tree."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from sojourn.checkpoints import CheckpointPlace, StoredCheckpoint
from sojourn.checkpoints.objects import plain
from sojourn.errors import InvalidInput
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.idempotency import OperationId
from sojourn.surfaces.http.pages import App, Cursor, Limit, UserId, documented, json, page
from sojourn.surfaces.http.problems import not_found
from sojourn.surfaces.renderers import message
from sojourn.surfaces.renderers.model import items, words

router = APIRouter(tags=["threads"])
ROUTES = [router]

OWN = "/apps/{app:id}/users/{user:id}/threads"
ONE = OWN + "/{thread:id}"

_THREAD = {
    "thread": "t1",
    "title": "Order 17",
    "updated": 1767225660.5,
    "created": 1767225600.0,
    "expires": 1769817660.5,
    "checkpoints": 4,
    "newer": False,
}
_NODE = {
    "namespace": "",
    "id": "1f0c",
    "parent": None,
    "metadata": {"source": "loop", "step": 1},
    "step": 1,
    "source": "loop",
    "time": 1767225600.0,
}
_CHECKPOINT = {
    **_NODE,
    "data": {"ts": "2026-01-01T00:00:00+00:00"},
    "values": {"messages": [{"type": "human", "content": "Hello"}]},
    "writes": [{"task": "8e42", "channel": "messages", "value": {"type": "ai", "content": "Hi"}}],
    "messages": [
        {
            "id": "m1",
            "author": "user",
            "role": "user",
            "parts": [{"type": "text", "text": "Hello"}],
        }
    ],
    "missing": ["summary"],
}
_CHANGE = {"name": "messages", "change": "changed", "a": ["Hello"], "b": ["Hello", "Hi"]}

_Thread = Annotated[str, Path(description="The thread; percent-encoded.", examples=["t1"])]
_Space = Annotated[str, Path(description="The namespace; `~` is the outermost.", examples=["~"])]
_Id = Annotated[str, Path(description="The checkpoint; percent-encoded.", examples=["1f0c"])]
_Namespace = Annotated[str, Query(max_length=2048, description="Of the checkpoint `a`.")]


class ThreadPrune(BaseModel):
    """What pruning leaves."""

    keep: int = Field(1, ge=1, le=1_000_000, description="Checkpoints of each namespace.")


def _node(found: StoredCheckpoint) -> dict[str, Any]:
    return {
        "namespace": found.place.namespace,
        "id": found.place.id,
        "parent": found.parent or None,
        "metadata": found.metadata,
        "step": found.metadata.get("step"),
        "source": found.metadata.get("source"),
        "time": _time_of(found.data.get("ts")),
    }


def _document(found: StoredCheckpoint) -> dict[str, Any]:
    values = _values(found)
    return {
        **_node(found),
        "data": found.data,
        "values": values,
        "messages": list(_messages(values.get("messages"))),
        "writes": [
            {"task": each.task, "channel": each.channel, "value": plain(each.value)}
            for each in found.writes
        ],
        "missing": list(found.missing),
    }


def _messages(value: Any) -> Iterator[dict[str, Any]]:
    """The messages of a graph as people read them; what is none is left to the values."""
    for each in items(value):
        read = message(each)
        if read is not None:
            yield {
                "id": words(each.get("id")),
                "author": words(each.get("name")) or read.role,
                "role": read.role,
                "parts": msgspec.to_builtins(read.parts),
            }


def _time_of(said: Any) -> float | None:
    """The time that LangGraph wrote as text, in seconds since the epoch."""
    try:
        return datetime.fromisoformat(said).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _values(found: StoredCheckpoint) -> Mapping[str, Any]:
    return {name: plain(value) for name, value in found.values.items()}


@router.get(OWN, responses=documented({"items": [_THREAD], "cursor": None}, "Threads."))
async def list_threads(
    who: As, app: App, user: UserId, *, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """List the threads of a user, the newest first."""
    found = await who.user(app, user).threads.list(limit=limit, cursor=cursor)
    return page(list(map(msgspec.to_builtins, found.threads)), found.cursor)


@router.get(ONE, responses=documented(_CHECKPOINT, "The last checkpoint."))
async def get_thread(who: As, app: App, user: UserId, thread: _Thread) -> Response:
    """Read the last checkpoint of a thread, as JSON for people.

    What is no JSON is an object that says its kind and how many bytes it has.
    """
    own = who.user(app, user).threads
    found = await own.get(thread)
    if found is None:
        places = await own.places(thread)
        found = (
            await own.get(thread, places[0].id, namespace=places[0].namespace) if places else None
        )
    if found is None:
        raise not_found("thread")
    return json(_document(found))


@router.delete(ONE, status_code=204, responses={204: {"description": "Deleted."}})
async def delete_thread(
    who: As, app: App, user: UserId, thread: _Thread, operation: OperationId
) -> Response:
    """Delete a thread with all of its checkpoints."""
    if not await who.user(app, user).threads.delete(thread, operation_id=operation):
        raise not_found("thread")
    return Response(status_code=204)


@router.get(
    ONE + "/checkpoints",
    responses=documented({"items": [_NODE], "cursor": None, "total": 1}, "Checkpoints."),
)
async def list_checkpoints(
    who: As,
    app: App,
    user: UserId,
    thread: _Thread,
    *,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Response:
    """List the checkpoints of a thread, the newest first, each with its parent: they are a tree.

    `step`, `source` and `time` are those that LangGraph writes.
    """
    own = who.user(app, user).threads
    places = await own.places(thread)
    if not places:
        raise not_found("thread")
    total = len(places)
    if cursor is not None:
        after = _place(cursor)
        places = [each for each in places if (each.id, each.namespace) < after]
    found = await own.read(thread, places[:limit], bare=True)
    more = places[limit - 1] if len(places) > limit else None
    following = None
    if more is not None:
        following = urlsafe_b64encode(msgspec.json.encode((more.id, more.namespace))).decode()
    return page(list(map(_node, found)), following, total=total)


@router.get(ONE + "/checkpoints/{ns:id}/{id:id}", responses=documented(_CHECKPOINT, "It."))
async def get_checkpoint(
    who: As,
    app: App,
    user: UserId,
    thread: _Thread,
    *,
    ns: _Space,
    id: _Id,  # noqa: A002 - as in the path
) -> Response:
    """Read a checkpoint with its values and the writes of tasks, as JSON for people."""
    found = await who.user(app, user).threads.get(thread, id, namespace=ns)
    if found is None:
        raise not_found("checkpoint")
    return json(_document(found))


@router.get(
    ONE + "/compare",
    responses=documented({"a": _NODE, "b": _NODE, "changes": [_CHANGE], "same": ["x"]}, "Both."),
)
async def compare_checkpoints(
    who: As,
    app: App,
    user: UserId,
    thread: _Thread,
    *,
    a: Annotated[str, Query(max_length=512, description="A checkpoint.")],
    b: Annotated[str, Query(max_length=512, description="Another.")],
    namespace: _Namespace = "",
    b_namespace: Annotated[
        str | None, Query(max_length=2048, description="Of the checkpoint `b`; else that of `a`.")
    ] = None,
) -> Response:
    """Compare the values of two checkpoints: what `b` has otherwise than `a`."""
    other = namespace if b_namespace is None else b_namespace
    places = [CheckpointPlace(namespace, a), CheckpointPlace(other, b)]
    found = {each.place: each for each in await who.user(app, user).threads.read(thread, places)}
    if not all(place in found for place in places):
        raise not_found("checkpoint")
    before, after = (_values(found[place]) for place in places)
    names = sorted(before.keys() | after.keys())
    changed = [name for name in names if _differ(name, before, after)]
    return json(
        {
            "a": _node(found[places[0]]),
            "b": _node(found[places[1]]),
            "changes": [
                {
                    "name": name,
                    "change": "added"
                    if name not in before
                    else "removed"
                    if name not in after
                    else "changed",
                    "a": before.get(name),
                    "b": after.get(name),
                }
                for name in changed
            ],
            "same": [name for name in names if name not in changed],
        }
    )


@router.post(ONE + "/prune", responses=documented({"removed": 3}, "Done."))
async def prune_thread(
    who: As, app: App, user: UserId, thread: _Thread, body: ThreadPrune, *, operation: OperationId
) -> Response:
    """Delete all but the newest checkpoints of each namespace, and those that these need."""
    removed = await who.user(app, user).threads.prune(
        thread, keep=body.keep, operation_id=operation
    )
    return json({"removed": removed})


def _differ(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return name not in before or name not in after or before[name] != after[name]


def _place(cursor: str) -> tuple[str, str]:
    try:
        return msgspec.json.decode(urlsafe_b64decode(cursor), type=tuple[str, str])
    except (ValueError, msgspec.MsgspecError):
        raise InvalidInput("The cursor is not one that this list gave.") from None
