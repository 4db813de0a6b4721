"""LangGraph's long-term store over the memory room."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
    ensure_embeddings,
    get_text_at_path,
    tokenize_path,
)

from sojourn.errors import InvalidInput
from sojourn.ids import escape, parse_app, unescape
from sojourn.integrations.opened import BlockingStoreUser
from sojourn.memory import MemoryScope
from sojourn.memory.model import Draft, Entry
from sojourn.process import Opened
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import gather_in_time

if TYPE_CHECKING:
    from sojourn.integrations.opened import Where

_PAGE = 500
_FOUND = 1000
"""Entries that a search by words or meaning looks at."""
_MINUTE = 60.0
_TTL = "ttl"
"""Of an entry's metadata: the seconds for which it lives after it was last read."""


@stays_here("its URL, and make one there")
class LongTermStore(BlockingStoreUser, BaseStore):
    """What graphs remember across threads, in Redis or Valkey: JSON objects under namespaces.

    It is one scope of the memory room: without an owner the knowledge `name` of the app, which all
    of its users share, else the memory of a user. Every method of LangGraph's may raise
    `sojourn.Unavailable`, `sojourn.AccessDenied` and their kin: an outage is never "nothing found".

    Args:
        url_or_store: a URL or redis-py client as `sojourn.open` takes them, or an open store, which
            `close()` then leaves open. Objects of this process with the same URL and options share
            one store.
        app: the application.
        name: tells stores of an app apart that have no owner.
        owner: the user whose memory it is, or a function that gives the user at each call, of what
            `langgraph.config.get_config()` says.
        index: LangGraph's: `dims`, `embed` and `fields`. A search then is by meaning as well as by
            words; the embedding is used for all of the store's memory.
        ttl: LangGraph's: `default_ttl` in minutes, `refresh_on_read`. Without it an item lives for
            ever.
        options: further arguments of `sojourn.open`.

    Raises:
        sojourn.ConfigurationError: the URL; nothing is sent yet.
        sojourn.InvalidInput: one of the other arguments.
    """

    supports_ttl = True

    def __init__(
        self,
        url_or_store: Where,
        *,
        app: str = "langgraph",
        name: str = "store",
        owner: str | Callable[[], str] | None = None,
        index: Mapping[str, Any] | None = None,
        ttl: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._opened = Opened(url_or_store, options)
        self._app, self._name, self._owner = parse_app(app), name, owner
        self.ttl_config = cast("Any", ttl)
        self._fields = [tokenize_path(field) for field in (index or {}).get("fields") or ["$"]]
        if index is not None:
            embeddings = ensure_embeddings(index.get("embed"))
            self.store.memory.embed_with(embeddings.aembed_documents, index["dims"])

    def batch(self, ops: Iterable[Any]) -> list[Any]:
        """As `abatch`."""
        return self._run(partial(self._batch, self._scope(), list(ops)))

    async def abatch(self, ops: Iterable[Any]) -> list[Any]:
        """Do several operations: first what reads, then what puts, of each key the last.

        A get and a put are a round trip each, all at once; a search two for each 500 items.

        Raises:
            sojourn.InvalidInput: a value that JSON cannot hold.
            sojourn.CorruptRecord: an item cannot be read.
        """
        return await self._wait(partial(self._batch, self._scope(), list(ops)))

    def _scope(self) -> MemoryScope:
        owner = self._owner() if callable(self._owner) else self._owner
        memory = self.store.memory
        if owner is None:
            return memory.knowledge(self._name, app=self._app)
        return memory.user(owner, app=self._app)

    async def _batch(self, scope: MemoryScope, ops: Sequence[Any]) -> list[Any]:
        reads = [op for op in ops if not isinstance(op, PutOp)]
        found = iter(await gather_in_time(*(self._read(scope, op) for op in reads)))
        results = [None if isinstance(op, PutOp) else next(found) for op in ops]
        puts = {(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}
        await gather_in_time(*(self._put(scope, op) for op in puts.values()))
        return results

    async def _read(self, scope: MemoryScope, op: Any) -> Any:
        if isinstance(op, GetOp):
            return await self._get(scope, op)
        if isinstance(op, SearchOp):
            return await self._search(scope, op)
        if isinstance(op, ListNamespacesOp):
            return await self._namespaces(scope, op)
        raise InvalidInput(f"{type(op).__name__} is no operation of a store.")

    async def _get(self, scope: MemoryScope, op: GetOp) -> Item | None:
        entry = await scope.entry(_name(op.namespace, op.key))
        if entry is None:
            return None
        if op.refresh_ttl:
            await self._refresh(scope, [entry])
        return Item(**_members(entry))

    async def _put(self, scope: MemoryScope, op: PutOp) -> None:
        name = _name(op.namespace, op.key)
        if op.value is None:
            await scope.delete(name)
            return
        ttl = None if op.ttl is None else op.ttl * _MINUTE
        await scope.put(
            name,
            op.value,
            text=self._text(op),
            metadata={} if op.ttl is None else {_TTL: op.ttl * _MINUTE},
            ttl=ttl,
        )

    def _text(self, op: PutOp) -> str | None:
        """What is searched; None for all texts of the value."""
        if op.index is False:
            return ""
        fields = self._fields if op.index is None else [tokenize_path(each) for each in op.index]
        if fields == [tokenize_path("$")]:
            return None
        return "\n".join(text for field in fields for text in get_text_at_path(op.value, field))

    async def _search(self, scope: MemoryScope, op: SearchOp) -> list[SearchItem]:
        prefix = _prefix(op.namespace_prefix)
        scored: list[tuple[Entry, float | None]] = []
        if op.query:
            hits = await scope.search(op.query, limit=_FOUND)
            scored += [(hit.entry, hit.score) for hit in hits if hit.entry.key.startswith(prefix)]
        else:
            entries = await _all(scope, prefix)
            entries.sort(key=lambda entry: (-entry.updated, entry.key))
            scored += [(entry, None) for entry in entries]
        wanted: Any = op.filter or {}
        kept = [each for each in scored if _matches(each[0].value, wanted)]
        page = kept[op.offset : op.offset + op.limit]
        if op.refresh_ttl:
            await self._refresh(scope, [entry for entry, _ in page])
        return [SearchItem(**_members(entry), score=score) for entry, score in page]

    async def _namespaces(self, scope: MemoryScope, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        found = {_place(entry.key)[0] for entry in await _all(scope, "")}
        kept = [
            each
            for each in found
            if all(_names(condition, each) for condition in op.match_conditions or ())
        ]
        cut = {each if op.max_depth is None else each[: op.max_depth] for each in kept}
        return sorted(cut)[op.offset : op.offset + op.limit]

    async def _refresh(self, scope: MemoryScope, entries: Sequence[Entry]) -> None:
        """Let items live on that have a TTL of their own; a hundredth later than asked will do."""
        now = datetime.now(UTC).timestamp()
        for entry in entries:
            ttl = entry.metadata.get(_TTL)
            if ttl and entry.expires is not None and entry.expires - now < ttl * 0.99:
                await scope.add({entry.key: Draft(value=entry.value)}, ttl=float(ttl))


async def _all(scope: MemoryScope, prefix: str) -> list[Entry]:
    """All items below a namespace."""
    entries: list[Entry] = []
    cursor: str | None = None
    while True:
        page = await scope.list(limit=_PAGE, cursor=cursor, prefix=prefix)
        entries += page.entries
        cursor = page.cursor
        if cursor is None:
            return entries


def _prefix(namespace: tuple[str, ...]) -> str:
    return "".join([f"{escape(part)}/" for part in namespace])


def _name(namespace: tuple[str, ...], key: str) -> str:
    return f"{_prefix(namespace)}/{escape(str(key))}"


def _place(name: str) -> tuple[tuple[str, ...], str]:
    """The namespace and the key of an item."""
    parts = name.split("/")
    return tuple(map(unescape, parts[:-2])), unescape(parts[-1])


def _members(entry: Entry) -> dict[str, Any]:
    namespace, key = _place(entry.key)
    return {
        "value": entry.value,
        "key": key,
        "namespace": namespace,
        "created_at": datetime.fromtimestamp(entry.created, UTC),
        "updated_at": datetime.fromtimestamp(entry.updated, UTC),
    }


def _names(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    """Whether a namespace begins or ends as a condition says; `*` is any part."""
    path = tuple(condition.path)
    if len(namespace) < len(path):
        return False
    some = namespace[: len(path)]
    if condition.match_type == "suffix":
        some = namespace[len(namespace) - len(path) :]
    return all(want in ("*", part) for want, part in zip(path, some, strict=True))


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_ANY_KIND = ("$eq", "$ne")


def _matches(value: Any, wanted: Any) -> bool:
    """Whether a value has the members that a filter names, each as it says."""
    if isinstance(wanted, dict):
        members = cast("dict[str, Any]", wanted)
        if any(name.startswith("$") for name in members):
            return all(_compared(value, name, other) for name, other in members.items())
        if not isinstance(value, dict):
            return False
        there = cast("dict[str, Any]", value)
        return all(_matches(there.get(name), other) for name, other in members.items())
    return bool(value == wanted)


def _compared(value: Any, name: str, other: Any) -> bool:
    """Whether two values compare as told: texts as texts, all else as numbers."""
    if name not in _OPERATORS:
        raise InvalidInput(f"A filter has no operator {name!r}: {', '.join(_OPERATORS)}.")
    compare = _OPERATORS[name]
    if name in _ANY_KIND or (isinstance(value, str) and isinstance(other, str)):
        return compare(value, other)
    try:
        return compare(float(value), float(other))
    except (TypeError, ValueError):  # a member that is no number, or is not there
        return False
