"""The history of a conversation whose messages cannot be read, or whose server is away."""

from __future__ import annotations

import pytest
from outage_kit import buffering

import sojourn
from servers import Server
from sojourn import CorruptRecord, Unavailable

LOG = "session:{history:h}:h:events"


async def test_a_message_that_cannot_be_read_is_not_taken_for_the_end(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        history = store.history("h")
        for text in ("one", "two"):
            await history.append("user", text)
        with server.client() as client:
            client.lset(LOG, -1, "{oops")
            with pytest.raises(CorruptRecord):
                await history.pop()
            assert client.llen(LOG) == 2
            client.delete(LOG)
            with pytest.raises(CorruptRecord):
                await history.pop()
        await history.clear()
        assert await history.pop() is None


async def test_in_an_outage_nothing_is_taken_away(server: Server) -> None:
    async with buffering(server) as store:
        history = store.history("h")
        await history.append("user", "one")
        assert await history.last(1)
        server.stop(9)
        with pytest.raises(Unavailable):
            await history.pop()
        assert [message.content for message in await history.all()] == ["one"]
