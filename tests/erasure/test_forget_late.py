"""What a process still has to tell the server of a user whom another forgets at that moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from erasure_kit import everything, mentions

import sojourn
from servers import Server
from sojourn import CorruptRecord
from sojourn.client import Sojourn

USER = "ada-lovelace"


async def create(store: Sojourn, _: Server) -> None:
    """The session and its user are entered into the indexes of the app."""
    await store.sessions.create("shop", USER)


async def read_what_is_damaged(store: Sojourn, server: Server) -> None:
    """It goes into the quarantine."""
    made = await store.sessions.create("shop", USER)
    server.ask("HSET", f"session:{{shop:{USER}}}:{made.key.session}", "version", "x")
    with pytest.raises(CorruptRecord):
        await store.sessions.get(made.key)


async def remember(store: Sojourn, _: Server) -> None:
    """The scope of the entry is entered into the index of scopes."""
    await store.memory.user(USER, app="shop").put("tea", 1)


@pytest.mark.parametrize("act", [create, read_what_is_damaged, remember])
async def test_what_is_told_late_of_a_forgotten_user_stands_nowhere(
    server: Server, act: Callable[[Sojourn, Server], Awaitable[None]]
) -> None:
    async with sojourn.open(server.url) as store, sojourn.open(server.url) as other:
        for _ in range(2):  # the second time it is known here that the user was entered
            await act(store, server)
            await other.admin.forget(USER, app="shop")
            assert store._engine is not None
            await asyncio.gather(*store._engine._unawaited, return_exceptions=True)
            assert mentions(await everything(other), USER) == []


async def test_revoking_an_app_finds_a_user_who_returned_a_moment_ago(server: Server) -> None:
    async with sojourn.open(server.url) as store, sojourn.open(server.url) as other:
        for _ in range(3):  # it gets faster, and none is missed
            await store.sessions.create("shop", USER)
            await other.admin.forget(USER, app="shop")
            made = await store.sessions.create("shop", USER)
            await other.admin.revoke_app("shop")
            assert await other.sessions.get(made.key) is None
