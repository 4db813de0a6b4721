"""`lg:cp:{thread}:{namespace}:{id}`: LangGraph's checkpoints of langgraph-checkpoint-plainredis."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from sojourn.transfer.migration.keyspace import Keyspace, NamedKey
from sojourn.transfer.migration.layout import Layout, Terms
from sojourn.transfer.migration.model import Record

_PATTERNS = ("*:threads",)
"""The hash that lists the threads; any word may stand before it."""
_CHECKPOINT = re.compile(r".+:cp:.*:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.DOTALL)


def _claims(key: NamedKey, _: bytes | None) -> bool:
    return key.kind == "string" and _CHECKPOINT.fullmatch(key.name) is not None


async def _records(keyspace: Keyspace, terms: Terms) -> AsyncIterator[Record]:
    assert terms.threads is not None  # noqa: S101 - `source_at` has made sure
    async for record in terms.threads(keyspace, terms.app):
        yield record


PLAIN_REDIS = Layout(
    "langgraph-plainredis", _PATTERNS, adk=False, claims=_claims, records=_records, threads=True
)
