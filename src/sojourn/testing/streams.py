"""Contract of every stream store: clients resume and get the messages they missed."""

# ruff: noqa: D102, PLR2004, S101 - cases are named by what they show, and assert

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import pytest

from sojourn.client import Sojourn
from sojourn.errors import InvalidId, InvalidInput
from sojourn.streams import StreamMessage

if TYPE_CHECKING:
    from sojourn.security.user import UserStreams


MiB = 1024 * 1024


async def opened(streams: UserStreams) -> str:
    """A connection of the user's."""
    connection = secrets.token_hex(16)
    await streams.open(connection)
    return connection


@pytest.mark.anyio
class StreamsContract:
    """Derive from it and give the fixture `store`."""

    @pytest.fixture
    def app(self) -> str:
        """An app of the test's own."""
        return f"app-{secrets.token_hex(6)}"

    @pytest.fixture
    def streams(self, store: Sojourn, app: str) -> UserStreams:
        return store.user(app, "ada").streams

    async def test_what_was_told_is_told_again(self, streams: UserStreams) -> None:
        connection = await opened(streams)
        numbers = [
            await streams.add(connection, stream, message)
            for stream, message in (("1", ""), ("2", "other"), ("1", "é\n\x00"), ("1", "end"))
        ]
        assert numbers == [1, 2, 3, 4]
        told = [
            StreamMessage(1, "1", ""),
            StreamMessage(3, "1", "é\n\x00"),
            StreamMessage(4, "1", "end"),
        ]
        assert await streams.after(connection, 1) == told
        assert await streams.after(connection, 3) == told[1:]
        assert await streams.after(connection, 4) == told[2:]
        for number in (0, 5, -1, 10**15):
            assert await streams.after(connection, number) is None

    async def test_a_message_is_there_once(self, streams: UserStreams) -> None:
        connection = await opened(streams)
        numbers = [
            await streams.add(connection, "1", "x", operation_id=operation)
            for operation in ("a", "b", "a", "b")
        ]
        assert numbers == [1, 2, 1, 2]
        assert len(await streams.after(connection, 1) or ()) == 2

    async def test_writers_at_the_same_time_lose_nothing(self, streams: UserStreams) -> None:
        connection = await opened(streams)
        adding = [streams.add(connection, "1", str(each)) for each in range(50)]
        assert sorted(await asyncio.gather(*adding)) == list(range(1, 51))
        told = await streams.after(connection, 1)
        assert {each.message for each in told or ()} == set(map(str, range(50)))

    async def test_the_oldest_go_first(self, streams: UserStreams) -> None:
        connection = await opened(streams)
        for each in range(300):
            await streams.add(connection, "1", str(each))
        assert await streams.after(connection, 44) is None
        assert len(await streams.after(connection, 45) or ()) == 256

    async def test_what_is_large_drives_out_what_is_old(self, streams: UserStreams) -> None:
        connection = await opened(streams)
        for _ in range(4):
            await streams.add(connection, "1", "x" * (MiB * 3 // 4))
        assert await streams.after(connection, 2) is None
        assert len(await streams.after(connection, 3) or ()) == 2
        assert await streams.add(connection, "1", "x" * 3 * MiB) == 5
        assert len(await streams.after(connection, 5) or ()) == 1

    async def test_another_users_connection_is_not_there(
        self, store: Sojourn, app: str, streams: UserStreams
    ) -> None:
        connection = await opened(streams)
        await streams.add(connection, "1", "secret")
        for other in ((app, "eve"), (f"{app}2", "ada")):
            theirs = store.user(*other).streams
            assert not await theirs.touch(connection)
            assert await theirs.add(connection, "1", "x") == 0
            assert await theirs.after(connection, 1) is None
            assert not await theirs.close(connection)
        assert await streams.touch(connection)
        assert len(await streams.after(connection, 1) or ()) == 1

    async def test_what_was_closed_is_not_revived(self, streams: UserStreams) -> None:
        connection = await opened(streams)
        assert await streams.close(connection)
        assert not await streams.close(connection)
        assert not await streams.touch(connection)
        assert await streams.add(connection, "1", "late") == 0
        assert await streams.after(connection, 1) is None

    async def test_ids_that_can_be_none_are_no_connection(self, streams: UserStreams) -> None:
        for connection in ("nobody", "{}:"):
            assert not await streams.touch(connection)
            assert not await streams.close(connection)
        for connection in ("", "x" * 600):
            with pytest.raises(InvalidId):
                await streams.touch(connection)
            with pytest.raises(InvalidId):
                await streams.close(connection)
        with pytest.raises(InvalidInput):
            await streams.add(await opened(streams), "1", "x", operation_id="x" * 200)
