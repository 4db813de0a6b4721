"""A primary that is killed, frozen or told to go, under load; and what replicas keep."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import sojourn
from sentinel import SentinelSet
from servers import any_binary
from sojourn import Event, OutcomeUnknown


@pytest.fixture
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    started = SentinelSet(tmp_path_factory.mktemp("sentinels"), any_binary()).start()
    yield started
    started.close()


async def test_what_was_written_after_a_failover_is_never_read_from_the_old_primary(
    sentinels: SentinelSet,
) -> None:
    async with sojourn.open(sentinels.url, operation_timeout=1) as store:
        made = await store.sessions.create("shop", "ada")
        assert await store.sessions.get(made.key)  # both connections stand
        old = sentinels.pause_primary()
        await asyncio.to_thread(sentinels.await_new_primary, old)
        slow = Event(author="a", payload="sent to both")
        with pytest.raises(OutcomeUnknown):
            await store.sessions.append(made.key, slow, operation_id="op")
        await store.sessions.append(made.key, slow, operation_id="op")
        await store.sessions.append(made.key, Event(author="a", payload="new"))
        sentinels.resume()
        found = await store.sessions.get(made.key)
        assert old.ask("ROLE")[0] == "master"
        assert found is not None
        assert [event.payload for event in found.events] == ["sent to both", "new"]
