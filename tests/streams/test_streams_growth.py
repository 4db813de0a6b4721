"""What clients were told, as another version of Sojourn may have written it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

import sojourn
from planting import DAMAGED, ENCODED, FIELDS, NEWER, ROWS_OF_SERVERS, Planter, planters
from sojourn import CorruptRecord, NewerFormat, SessionKey
from sojourn.security import UserRoom
from sojourn.streams.keys import StreamRoomKeys
from sojourn.testing.streams import opened


@pytest.fixture(scope="module", params=ROWS_OF_SERVERS)
def planter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planter]:
    yield from planters(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
async def streams(planter: Planter) -> AsyncIterator[UserRoom]:
    async with sojourn.open(planter.url) as store:
        yield store.user("shop", "ada").streams


def hash_of(connection: str) -> str:
    return StreamRoomKeys().mcp(SessionKey.of("shop", "ada", connection))


async def said(streams: UserRoom, connection: str, number: int = 1) -> list[str] | None:
    told = await streams.after(connection, number)
    return None if told is None else [each.message for each in told]


async def test_fields_that_are_not_known_are_passed_over_and_kept(
    streams: UserRoom, planter: Planter
) -> None:
    connection = await opened(streams)
    planted = FIELDS | {"format": "1.9"}
    planter.plant(hash_of(connection), planted)
    assert await streams.add(connection, "1", "a", operation_id="op") == 1
    assert await streams.add(connection, "1", "b") == 2
    assert await streams.add(connection, "1", "again", operation_id="op") == 1
    assert await streams.touch(connection)
    assert await said(streams, connection) == ["a", "b"]
    planter.assert_kept(hash_of(connection), planted)
    assert await streams.close(connection)
    assert not planter.client.exists(hash_of(connection))


async def test_the_format_may_be_missing(streams: UserRoom, planter: Planter) -> None:
    connection = await opened(streams)
    planter.client.hdel(hash_of(connection), "format")
    assert await streams.add(connection, "1", "a") == 1
    assert await said(streams, connection) == ["a"]


async def test_members_that_are_not_known_are_passed_over(
    streams: UserRoom, planter: Planter
) -> None:
    connection = await opened(streams)
    await streams.add(connection, "1", "a", operation_id="op")
    planter.plant(hash_of(connection), {"1": b'op\n2\n["1","a",{"mood":"good"},7]'})
    assert await said(streams, connection) == ["a"]


NEWER_ONES: dict[str, dict[bytes | str, bytes | str]] = {
    "format 2": {"format": "2"},
    "a message with an encoding": {"1": b'op\n2\n["1",{"$encoded":"AAAA"}]'},
    "an object": {"1": b'op\n2\n{"stream":"1","message":"a","mood":"good"}'},
    "an encoding of all": {"1": b"op\n2\n" + ENCODED},
    "a newer encoding": {"1": b"op\n2\n" + NEWER},
}


@pytest.mark.parametrize("planted", NEWER_ONES.values(), ids=NEWER_ONES.keys())
async def test_what_is_newer(
    streams: UserRoom, planter: Planter, planted: dict[bytes | str, bytes | str]
) -> None:
    connection = await opened(streams)
    await streams.add(connection, "1", "a", operation_id="op")
    planter.plant(hash_of(connection), planted)
    with pytest.raises(NewerFormat):
        await streams.after(connection, 1)
    assert await streams.add(connection, "1", "b") == 2
    assert await streams.touch(connection)
    planter.assert_kept(hash_of(connection), planted)
    assert await streams.close(connection)
    planter.assert_nothing_in_quarantine()


@pytest.mark.parametrize(
    "planted",
    [
        {"format": "second"},
        {"1": b"op\n2\n" + DAMAGED},
        {"1": b"op\n2\n[]"},
        {"1": b'op\n2\n[1,"a"]'},
        {"1": b"op\n2\nno JSON"},
        {"1": b"op"},
    ],
)
async def test_what_was_damaged_is_corrupt_as_before(
    streams: UserRoom, planter: Planter, planted: dict[bytes | str, bytes | str]
) -> None:
    connection = await opened(streams)
    await streams.add(connection, "1", "a", operation_id="op")
    planter.plant(hash_of(connection), planted)
    with pytest.raises(CorruptRecord):
        await streams.after(connection, 1)


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("seq", "9" * 30),
        ("seq", "9" * 15),
        ("seq", "inf"),
        ("dropped", "-99999999"),
        ("bytes", "x"),
    ],
)
async def test_numbers_that_no_connection_has_do_not_busy_the_server(
    streams: UserRoom, planter: Planter, field: str, number: str
) -> None:
    connection = await opened(streams)
    await streams.add(connection, "1", "a")
    planter.plant(hash_of(connection), {field: number})
    assert await streams.add(connection, "1", "b") == 0
    assert not planter.client.hexists(hash_of(connection), "2")


async def test_sizes_are_those_of_plain_messages(streams: UserRoom, planter: Planter) -> None:
    connection = await opened(streams)
    await streams.add(connection, "1", "x" * 1_000_000, operation_id="op")
    small = b"op\n1000001\n" + ENCODED
    planter.plant(hash_of(connection), {"1": small})
    await streams.add(connection, "1", "x" * 1_000_000)
    planter.assert_kept(hash_of(connection), {"1": small})
    await streams.add(connection, "1", "x" * 1_000_000)
    left = planter.client.hmget(hash_of(connection), "1", "dropped", "bytes", "op:op")
    assert left == [None, b"1", b"2000002", None]
