"""Notices as another version of Sojourn may have written them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from notices_kit import heard, said, versions

import sojourn
from planting import ROWS_OF_SERVERS, Planter, planters
from sojourn import SessionKey
from sojourn.notices.keys import NoticeRoomKeys


@pytest.fixture(scope="module", params=ROWS_OF_SERVERS)
def planter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planter]:
    yield from planters(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
async def store(planter: Planter) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(planter.url, notices=True) as store:
        yield store


@pytest.fixture
async def key(store: sojourn.Sojourn) -> SessionKey:
    app = f"shop-{secrets.token_hex(4)}"
    return (await store.sessions.create(app, "ada", "s")).key


def tell(planter: Planter, key: SessionKey, step: int = 1, **fields: str) -> str:
    """Add an entry behind the last, numbered as scripts do it, or with a gap."""
    stream = NoticeRoomKeys().notices(key.owner)
    ((last, _),) = planter.client.xrevrange(stream, count=1)
    at, _, number = last.decode().partition("-")
    planter.client.xadd(stream, fields, id=f"{at}-{int(number) + step}")
    return stream


async def kinds(store: sojourn.Sojourn, key: SessionKey, after: str = "0") -> list[str]:
    return [each.kind for each in await store.notices.read(key.app, key.user, after=after)]


async def test_a_kind_that_is_not_known_is_passed_over_and_kept(
    store: sojourn.Sojourn, planter: Planter, key: SessionKey
) -> None:
    stream = tell(planter, key, kind="sung", session="s", version="2", mood="good")
    tell(planter, key, kind="sung")
    await store.sessions.append(key, said())
    assert await kinds(store, key) == ["created", "appended"]
    first = (await store.notices.read(key.app, key.user))[0]
    assert await kinds(store, key, first.id) == ["appended"]
    assert [each.kind for each in await store.notices.kept(key.app, key.user)] == [
        "created",
        "appended",
    ]
    assert planter.client.xlen(stream) == 4
    planter.assert_nothing_in_quarantine()


async def test_a_field_that_is_not_known_is_passed_over(
    store: sojourn.Sojourn, planter: Planter, key: SessionKey
) -> None:
    tell(planter, key, kind="updated", session="s", version="2", mood="good", why="x")
    assert await kinds(store, key) == ["created", "updated"]


async def test_what_was_added_with_another_number_is_passed_over(
    store: sojourn.Sojourn, planter: Planter, key: SessionKey
) -> None:
    stream = NoticeRoomKeys().notices(key.owner)
    await asyncio.sleep(0.002)
    planter.client.xadd(stream, {"kind": "sung", "session": "s", "version": "2"})
    await store.sessions.append(key, said())
    assert await kinds(store, key) == ["created", "appended"]


async def test_what_is_really_missed_is_still_seen(
    store: sojourn.Sojourn, planter: Planter, key: SessionKey
) -> None:
    tell(planter, key, step=2, kind="sung")
    await store.sessions.append(key, said())
    assert await kinds(store, key) == ["created", "missed", "appended"]
    tell(planter, key, kind="sung")
    tell(planter, key, step=2, kind="updated", session="s", version="3")
    assert (await kinds(store, key))[2:] == ["appended", "missed", "updated"]
    tell(planter, key, session="s", version="3")  # no kind at all
    tell(planter, key, kind="deleted", session="s")  # a kind that is known, and no version
    assert (await kinds(store, key))[-2:] == ["missed", "missed"]


async def test_pages_of_kinds_that_are_not_known_are_passed_over(
    store: sojourn.Sojourn, planter: Planter, key: SessionKey
) -> None:
    listening = asyncio.create_task(heard(store, key, "0", 2))
    for _ in range(250):
        tell(planter, key, kind="sung")
    await store.sessions.append(key, said())
    assert [each.kind for each in await listening] == ["created", "appended"]
    assert versions(await heard(store, key, "0", 2)) == [1, 2]
    first, second = await store.notices.read(key.app, key.user, limit=2)
    assert (first.version, second.version) == (1, 2)
    assert await store.notices.read(key.app, key.user, after=second.id) == []
