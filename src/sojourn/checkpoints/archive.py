"""Export and import of threads, each as one JSON document in which every object stands once."""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from typing import Any, Literal, cast

from sojourn.calls.operation import RoomStore
from sojourn.calls.room import Restored, RoomRecord
from sojourn.checkpoints.model import ThreadKey
from sojourn.checkpoints.operations.lists import EveryThread, ListThreads, ReadThread
from sojourn.checkpoints.operations.read import ListPlaces, ReadCheckpoints
from sojourn.checkpoints.service import Threads
from sojourn.checkpoints.store import StoredRow, StoredRows
from sojourn.errors import InvalidArchive
from sojourn.ids import new_session_id, user_key

_PAGE = 100


class ThreadArchive:
    """Reads and writes threads as documents.

    Args:
        threads: the room's service.
        store: the room's store.
    """

    def __init__(self, threads: Threads, store: RoomStore) -> None:
        self._threads = threads
        self._store = store

    async def records(self, app: str | None, user: str | None) -> AsyncIterator[RoomRecord]:
        """The threads of a user; or of an app or all, for which every key is looked at."""
        async for key in self._keys(app, user):
            document = await self._document(key)
            if document is not None:
                yield RoomRecord(key.app, key.user, key.thread, document)

    async def restore(self, record: RoomRecord, existing: Literal["skip", "replace"]) -> Restored:
        """Write a thread: it is seen when all of it is there."""
        key = ThreadKey.of(record.app, record.user or "", record.key)
        there = await self._document(key)
        if there is not None:
            if _content(there) == _content(record.value):
                return "identical"
            if existing == "skip":
                return "exists"
        try:
            title, expires = str(record.value["title"]), record.value["expires"]
            rows, created = _rows(record.value), float(record.value["created"])
            updated = float(record.value["updated"])
        except (LookupError, TypeError, ValueError) as error:
            raise InvalidArchive(f"The thread {record.key!r} cannot be read: {error}") from error
        ttl = None if expires is None else float(expires) - time.time()
        if ttl is not None and ttl <= 0:
            return "exists" if there is not None else "restored"
        stage = new_session_id()
        await self._threads.stage(key, stage, rows, title)
        if there is not None:
            await self._threads.delete(key)
        await self._threads.publish(key, stage, ttl=ttl, created=created, updated=updated)
        return "restored"

    async def _keys(self, app: str | None, user: str | None) -> AsyncIterator[ThreadKey]:
        if app is None or user is None:
            async for key in await self._store.run(EveryThread()):
                if app in (None, key.app) and user in (None, key.user):
                    yield key
            return
        owner, start, number = user_key(app, user), 0, 1
        while start < number:
            rows, number = await self._store.run(ListThreads(owner, start, _PAGE))
            for row in rows:
                yield ThreadKey(*owner, row.thread)
            start += _PAGE

    async def _document(self, key: ThreadKey) -> dict[str, Any] | None:
        about = await self._store.run(ReadThread(key))
        if about is None:
            return None
        places = sorted(await self._store.run(ListPlaces(key)))
        rows: list[dict[str, Any]] = []
        objects: dict[str, Any] = {}
        for start in range(0, len(places), _PAGE):
            found = await self._store.run(ReadCheckpoints(key, places[start : start + _PAGE]))
            self._threads.parse(key, found)  # raises what cannot be read
            rows += [
                {
                    "place": row.place,
                    "checkpoint": _text(row.checkpoint),
                    "writes": _text(row.writes),
                }
                for row in found.rows
            ]
            objects |= {digest: _text(body) for digest, body in found.objects.items()}
        return {
            "title": about.title.decode(errors="replace"),
            "created": about.created,
            "updated": about.updated,
            "expires": about.expires,
            "checkpoints": rows,
            "objects": dict(sorted(objects.items())),
        }


def _content(document: dict[str, Any]) -> Any:
    """What must be the same of two documents: objects are named anew by another store's key."""
    return [
        document.get("title"),
        [[row["place"], sorted(row["writes"])] for row in document.get("checkpoints", ())],
        sorted(map(str, document.get("objects", {}).values())),
    ]


def _text(body: bytes) -> Any:
    """Bytes as JSON: text where they are."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(body).decode()}


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return b64decode(cast("dict[str, str]", value)["base64"], validate=True)


def _rows(document: dict[str, Any]) -> StoredRows:
    return StoredRows(
        [
            StoredRow(str(row["place"]), _bytes(row["checkpoint"]), _bytes(row["writes"]))
            for row in document["checkpoints"]
        ],
        {digest: _bytes(body) for digest, body in document["objects"].items()},
    )
