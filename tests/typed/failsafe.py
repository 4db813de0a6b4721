"""What type checkers must see of `sessions.safe`. Never run: `make lint` reads it.

An ignore that is no longer needed is an error: then a wrong argument would pass.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

import sojourn
from sojourn import Event, Result, Session, SessionKey, SessionPage, SojournError
from sojourn.sessions import Appended, SafeBatches, SafeSessions, SessionBatch


async def every_result_has_its_type(store: sojourn.Sojourn, key: SessionKey) -> None:
    safe = assert_type(store.sessions.safe, SafeSessions)
    event = Event(author="a", payload=1)
    assert_type(await safe.create("shop", "ada", "s", title="t"), Result[Session[Event]])
    assert_type(await safe.get(key, last=20), Result[Session[Event]])
    assert_type(await safe.get(key, since=0.0), Result[Session[Event]])
    assert_type(await safe.append(key, event, event, incarnation="i"), Result[Appended])
    assert_type(await safe.update(key, ttl=None), Result[int])
    assert_type(await safe.touch(key), Result[bool])
    assert_type(await safe.delete(key, operation_id="op"), Result[bool])
    assert_type(await safe.list("shop", limit=5), Result[SessionPage])
    assert_type(await safe.user_state("shop", "ada"), Result[dict[str, Any]])
    assert_type((await safe.get(key)).value, Session[Event] | None)
    assert_type((await safe.get(key)).unwrap(), Session[Event])


async def so_has_that_of_a_batch(store: sojourn.Sojourn, key: SessionKey) -> None:
    safe = assert_type(store.batch.safe, SafeBatches)
    event = Event(author="a", payload=1)
    assert_type(await safe.get([key], last=1), Result[SessionBatch])
    assert_type(await safe.append([(key, [event])]), Result[Sequence[Appended | SojournError]])
    await safe.append(key)  # type: ignore[arg-type]


async def wrong_arguments_are_seen(safe: SafeSessions, key: SessionKey) -> None:
    await safe.get("8e42")  # type: ignore[arg-type]
    await safe.get(key, lsat=20)  # type: ignore[call-arg]
    await safe.get()  # type: ignore[call-arg]
    await safe.append(key, "text")  # type: ignore[arg-type]
    await safe.create("shop")  # type: ignore[call-arg]
    if await safe.get(key):  # pyright: ignore[reportGeneralTypeIssues]
        pass
