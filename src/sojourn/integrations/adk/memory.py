"""ADK's memory service over the memory room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from google.adk.events.event import Event as AdkEvent
from google.adk.memory.base_memory_service import BaseMemoryService, SearchMemoryResponse
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.platform import uuid as platform_uuid
from google.adk.sessions.session import Session as AdkSession

from sojourn import errors
from sojourn.integrations.adk import entries
from sojourn.integrations.adk.answers import answers
from sojourn.integrations.adk.opening import open_store
from sojourn.integrations.opened import StoreUser
from sojourn.memory import KEEP, Draft, Keep, MemoryScope
from sojourn.process_bound import stays_here

if TYPE_CHECKING:
    from sojourn.integrations.opened import Where

log = logging.getLogger("sojourn.adk")

_PAGE = 1000
_TTL = "ttl"


@stays_here("its URL, and make one there")
class MemoryService(StoreUser, BaseMemoryService):
    """ADK's memory of what users said in earlier sessions, in Redis or Valkey.

    The semantics are those of ADK's `InMemoryMemoryService` 2.13, also with older versions: events
    that have a text are kept, once for each session and event id; a search gives those that share
    words with the query, ten at most; what was deleted is not added again. The differences are:

    - Data survive, many processes may share them, and an outage raises `sojourn.Unavailable`
      instead of looking like an empty memory.
    - The best come first by BM25, so rare words weigh more than frequent ones, and of equals the
      newer. English words are found in their other forms (`running` by `run`), accents and case do
      not count, and parts of Chinese, Japanese, Korean or Thai words are found; emoji are words.
    - Adding a session again keeps what it does not have any more: a session that was read in part,
      or trimmed, costs no memory. ADK's SqliteMemoryService does so, too.
    - A memory is forgotten `history_ttl` after it was last added, 30 days if not given; that it was
      deleted is, too. Adding a session again renews both.
    - `custom_metadata` of events are not ignored but come back; their `ttl` is a lifetime.
    - `add_memory` is supported.

    What is stored is `store.memory.events(user, app=app)`.

    Args:
        url_or_store: a URL or redis-py client as `sojourn.open` takes them, or an open store, which
            `close()` then leaves open, as that of a `SessionService`. Objects of this process with
            the same URL and options share one store.
        uri: the same by the name that ADK's `services.yaml` has for it.
        ttl: seconds that a memory lives after it was last added; None for ever; the store's
            `history_ttl` if not given.
        limit: how many memories a search gives at most.
        options: further arguments of `sojourn.open`.

    Raises:
        sojourn.ConfigurationError: the URL; nothing is sent yet.
        sojourn.InvalidInput: one of the other arguments.

    Every method may raise `sojourn.Unavailable`, `sojourn.AccessDenied` and their kin. A write that
    failed may be repeated: what is there already is not stored twice.
    """

    def __init__(
        self,
        url_or_store: Where | None = None,
        *,
        uri: str | None = None,
        ttl: float | Keep | None = KEEP,
        limit: int = 10,
        **options: Any,
    ) -> None:
        if not 1 <= limit <= _PAGE:
            raise errors.InvalidInput(f"limit must be from 1 to {_PAGE:,}, not {limit!r}.")
        self._opened = open_store("MemoryService", url_or_store, uri, options)
        self._ttl: float | Keep | None = ttl
        self._limit = limit

    @answers
    async def add_session_to_memory(self, session: AdkSession) -> None:
        """Add what was said in a session. One round trip for each 500 events or MiB.

        Added again, it adds what is new, and replaces events that have changed. A user's first
        takes one more round trip.

        Raises:
            sojourn.InvalidInput: an event is over `max_event_bytes`, or holds what JSON cannot.
        """
        drafts = dict(entries.of_events(session.events, session.id))
        scope = self._scope(session.app_name, session.user_id)
        await scope.add(drafts, replace=True, ttl=self._ttl)

    @answers
    async def add_events_to_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        events: Sequence[AdkEvent],
        session_id: str | None = None,
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Add events. As many round trips as `add_session_to_memory`.

        Args:
            app_name: the app.
            user_id: the user.
            events: those that have an id which the session's memory has already are left out.
            session_id: the session; without one they stand beside those of sessions.
            custom_metadata: JSON that comes back with each of them; `ttl` is a lifetime in seconds,
                `3600` or `"3600s"`, instead of the service's.

        Raises:
            sojourn.InvalidInput: the metadata, or an event as in `add_session_to_memory`.
        """
        metadata, ttl = self._metadata(custom_metadata)
        drafts: dict[str, Draft] = {}
        for key, draft in entries.of_events(events, session_id, metadata):
            drafts.setdefault(key, draft)
        await self._scope(app_name, user_id).add(drafts, ttl=ttl)

    @answers
    async def add_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        memories: Sequence[MemoryEntry],
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Add memories as they are. As many round trips as `add_session_to_memory`.

        Args:
            app_name: the app.
            user_id: the user.
            memories: one without an id gets one; one with the id of another that was added so
                replaces it, also when that was deleted.
            custom_metadata: as in `add_events_to_memory`; a memory's own win.

        Raises:
            sojourn.InvalidInput: the metadata, or a memory as in `add_session_to_memory`.
        """
        metadata, ttl = self._metadata(custom_metadata)
        drafts: dict[str, Draft] = {}
        for entry in memories:
            own = {**metadata, **entries.plain(entry.custom_metadata)}
            key, draft = entries.of_memory(entry, entry.id or platform_uuid.new_uuid(), own)
            drafts[key] = draft
        await self._scope(app_name, user_id).add(drafts, replace=True, ttl=ttl)

    @answers
    async def search_memory(
        self, *, app_name: str, user_id: str, query: str
    ) -> SearchMemoryResponse:
        """What shares words with the query, the best first.

        One round trip when nothing has changed since this process looked last, and one more for
        each 500 memories that have.

        Raises:
            sojourn.Unavailable: it cannot be known; never an empty response instead.
        """
        response = SearchMemoryResponse()
        try:
            scope = self._scope(app_name, user_id)
        except errors.InvalidId:  # nobody can have added anything there
            return response
        hits = await scope.search(entries.mended(query), limit=self._limit)
        for hit in hits:
            try:
                response.memories.append(entries.from_entry(hit.entry))
            except errors.CorruptRecord as error:
                log.warning("A memory that cannot be read is left out: %s", error)
        return response

    @answers
    async def delete_memory(
        self, *, app_name: str, user_id: str, memory_id: str | None = None
    ) -> None:
        """Delete what has an id, in all sessions of the user, and do not add events with it again.

        That there is none is no error, and is not remembered. Five round trips.

        Args:
            app_name: the app.
            user_id: the user.
            memory_id: as `search_memory` gave it; without one nothing is done.
        """
        if not memory_id:
            return
        scope, name = self._scope(app_name, user_id), entries.name_of(memory_id)
        forgotten = False
        while keys := await _keys(scope, f"{name}."):
            if not forgotten:  # first, so that nobody adds it again meanwhile
                await scope.put(name, None, text="", ttl=self._ttl)
                forgotten = True
            await asyncio.gather(*map(scope.delete, keys))

    async def close(self) -> None:
        """Close the store, unless it was lent or other objects use it."""
        await self._opened.close()

    def _scope(self, app: str, user: str) -> MemoryScope:
        return self.store.memory.events(user, app=app)

    def _metadata(
        self, given: Mapping[str, object] | None
    ) -> tuple[dict[str, Any], float | Keep | None]:
        """What is kept beside memories, and how long they live."""
        metadata = dict(given or {})
        ttl = entries.seconds(metadata.pop(_TTL)) if _TTL in metadata else self._ttl
        return entries.plain(metadata), ttl


async def _keys(scope: MemoryScope, prefix: str) -> list[str]:
    """The keys that begin so, a page of them; those that cannot be read, too."""
    page = await scope.list(prefix=prefix, limit=_PAGE)
    return [entry.key for entry in page.entries] + page.corrupt + page.newer
