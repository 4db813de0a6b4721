"""Writes that are acknowledged only when replicas have them."""

from __future__ import annotations

import asyncio

import pytest

import sojourn
from servers import Server
from sojourn import Event, OutcomeUnknown


async def test_every_write_that_no_replica_confirms_is_in_doubt(shared_server: Server) -> None:
    """Also one that has its reply, and at its deadline still stands behind the WAIT of another."""
    async with sojourn.open(shared_server.url, namespace="alone") as store:
        made = await store.sessions.create("shop", "ada")
    url = f"{shared_server.url}?namespace=alone&durability=replicas&operation_timeout=0.5"
    async with sojourn.open(url) as store:

        async def append(n: int) -> None:
            await asyncio.sleep(n * 0.1)
            event = Event(author="a", payload=n)
            await store.sessions.append(made.key, event, operation_id=f"op {n}")

        outcomes = await asyncio.gather(*map(append, range(4)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown] * 4
        found = await store.sessions.get(made.key)
        assert found is not None
        assert sorted(event.payload for event in found.events) == [0, 1, 2, 3]
        with pytest.raises(OutcomeUnknown):
            await append(0)
        assert (await store.sessions.get(made.key)) == found
