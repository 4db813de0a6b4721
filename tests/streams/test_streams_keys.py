"""What is kept for clients on a server: its keys, its lifetime, and what is damaged."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import sojourn
from servers import Server
from sojourn import CorruptRecord, InvalidId, SessionKey
from sojourn.security import UserRoom
from sojourn.streams.keys import StreamRoomKeys
from sojourn.testing.streams import opened

HOUR = 3_600_000


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url) as store:
        yield store


@pytest.fixture
def streams(store: sojourn.Sojourn) -> UserRoom:
    return store.user("shop", "ada").streams


def test_keys_are_known_by_their_kind() -> None:
    key = StreamRoomKeys("ns").mcp(SessionKey.of("shop", "a:b", "é"))
    assert key == "ns:mcp:{shop:a%3Ab}:%C3%A9"
    assert StreamRoomKeys("ns").kind_of(key) == ("mcp", key)
    with pytest.raises(InvalidId):
        StreamRoomKeys("mcp")


async def test_a_human_can_read_it(server: Server, streams: UserRoom) -> None:
    connection = await opened(streams)
    await streams.add(connection, "7", '{"id":7}', operation_id="op")
    (key,) = server.ask("KEYS", "*")
    assert key == f"mcp:{{shop:ada}}:{connection}"
    assert server.ask("HGETALL", key) == {
        "format": "1",
        "seq": "1",
        "dropped": "0",
        "bytes": "9",
        "1": 'op\n9\n["7","{\\"id\\":7}"]',
        "op:op": "1",
    }


async def test_each_step_gives_it_an_hour(server: Server, streams: UserRoom) -> None:
    connection = await opened(streams)
    (key,) = server.ask("KEYS", "*")
    for step in (
        lambda: streams.touch(connection),
        lambda: streams.add(connection, "1", "x", operation_id="op"),
        lambda: streams.add(connection, "1", "x", operation_id="op"),
    ):
        assert 0 < server.ask("PTTL", key) <= HOUR
        server.ask("PEXPIRE", key, 1000)
        await step()
        assert server.ask("PTTL", key) > HOUR - 60_000


async def test_what_was_dropped_leaves_nothing(server: Server, streams: UserRoom) -> None:
    connection = await opened(streams)
    for _ in range(600):
        await streams.add(connection, "1", "x")
    (key,) = server.ask("KEYS", "*")
    assert server.ask("HLEN", key) == 4 + 2 * 256
    assert server.ask("HMGET", key, "seq", "dropped", "bytes") == ["600", "344", str(256 * 2)]


async def test_what_is_damaged_is_loud(server: Server, streams: UserRoom) -> None:
    connection = await opened(streams)
    await streams.add(connection, "1", "x")
    (key,) = server.ask("KEYS", "*")
    server.ask("HSET", key, "1", "op\nno JSON")
    with pytest.raises(CorruptRecord):
        await streams.after(connection, 1)
    server.ask("DEL", key)
    server.ask("SET", key, "foreign")
    with pytest.raises(CorruptRecord):
        await streams.after(connection, 1)
    with pytest.raises(CorruptRecord):
        await streams.add(connection, "1", "x")
    assert server.ask("GET", key) == "foreign"
