"""What type checkers must see of a user's handle. Never run: `make lint` reads it.

An ignore that is no longer needed is an error: then a wrong argument would pass.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

import sojourn
from sojourn import Event, Session, SessionKey, SessionPage
from sojourn.artifacts import Artifact
from sojourn.memory import Hit
from sojourn.security import Guard, Principal, User
from sojourn.sessions import Appended, Message, Rotated


async def every_call_has_its_type(store: sojourn.Sojourn, guard: Guard) -> None:
    ada = assert_type(store.user("shop", "ada"), User)
    assert_type(guard.user(Principal.of("shop", "ada")), User)
    event = Event(author="a", payload=1)
    assert_type(await ada.sessions.create(title="t", ttl=60), Session[Event])
    assert_type(await ada.sessions.get("8e42", last=20), Session[Event] | None)
    assert_type(await ada.sessions.append("8e42", event, event, incarnation="i"), Appended)
    assert_type(await ada.sessions.save("8e42", events=[event], incarnation="i"), int)
    assert_type(await ada.sessions.remove_state("8e42", "a", "b"), int)
    assert_type(await ada.sessions.list(newest_first=True), SessionPage)
    assert_type(await ada.sessions.user_state(), dict[str, Any])
    assert_type(await ada.rotate("8e42"), Rotated)
    assert_type(await ada.remember("8e42", end=True), int)
    assert_type(await ada.memory.search("tea"), Sequence[Hit])
    assert_type(await ada.artifacts.load("a", session="8e42"), Artifact | None)
    assert_type(await ada.history("8e42").last(5), list[Message])


async def wrong_arguments_are_seen(ada: User, key: SessionKey) -> None:
    await ada.sessions.get(key)  # type: ignore[arg-type]
    await ada.sessions.get("8e42", lsat=20)  # type: ignore[call-arg]
    await ada.sessions.list(user="bob")  # type: ignore[call-arg]
    await ada.cache.get("c", tenant="t")  # type: ignore[call-arg]
    await ada.artifacts.load("a", owner=key)  # type: ignore[call-arg]
