"""What guards keep, as another version of Sojourn may have written it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

import sojourn
from planting import DAMAGED, ENCODED, FIELDS, ROWS_OF_SERVERS, Planter, planters
from sojourn import CorruptRecord, NewerFormat, UserKey
from sojourn.ids import AppName, SessionId, SessionKey
from sojourn.security.keys import SecurityRoomKeys
from sojourn.security.redis import RedisSecurity


@pytest.fixture(scope="module", params=ROWS_OF_SERVERS)
def planter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planter]:
    yield from planters(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
async def store(planter: Planter) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(planter.url) as store:
        yield store


@pytest.fixture
def app() -> AppName:
    return AppName(f"shop-{secrets.token_hex(4)}")


@pytest.fixture
def kept(store: sojourn.Sojourn) -> RedisSecurity:
    engine = store._engine
    return RedisSecurity(engine, SecurityRoomKeys(), 1000.0)


async def test_fields_that_are_not_known_are_passed_over_and_kept(
    store: sojourn.Sojourn, planter: Planter, kept: RedisSecurity, app: AppName
) -> None:
    await kept.count(app, "refused:forged", SessionId("s"))
    counts, _ = SecurityRoomKeys().security(app)
    planted = FIELDS | {"format": "1.9"}
    planter.plant(counts, planted)
    await kept.count(app, "refused:forged", None)
    assert (await store.guard().fleet(app)).reasons == {"refused:forged": 2}
    planter.assert_kept(counts, planted)


async def test_counts_of_a_newer_format(
    store: sojourn.Sojourn, planter: Planter, kept: RedisSecurity, app: AppName
) -> None:
    await kept.count(app, "refused:forged", None)
    counts, _ = SecurityRoomKeys().security(app)
    planter.plant(counts, {"format": "2"})
    with pytest.raises(NewerFormat):
        await store.guard().fleet(app)
    await kept.count(app, "refused:forged", None)
    assert planter.client.hget(counts, "refused:forged") == b"2"


@pytest.mark.parametrize("planted", [{"format": "second"}, {"refused:forged": "many"}])
async def test_counts_that_were_damaged_are_corrupt_as_before(
    store: sojourn.Sojourn,
    planter: Planter,
    kept: RedisSecurity,
    app: AppName,
    planted: dict[bytes | str, bytes | str],
) -> None:
    await kept.count(app, "refused:forged", None)
    planter.plant(SecurityRoomKeys().security(app)[0], planted)
    with pytest.raises(CorruptRecord):
        await store.guard().fleet(app)


async def test_owners_with_an_encoding_stay(
    planter: Planter, kept: RedisSecurity, app: AppName
) -> None:
    key = SessionKey.of(app, "ada", "s")
    name = SecurityRoomKeys().owner(app, "s")
    planter.client.set(name, ENCODED, ex=1000)
    with pytest.raises(NewerFormat):
        await kept.owners_of(app, SessionId("s"))
    await kept.claim(key)
    assert await kept.forget(UserKey.of(app, "ada")) == 0
    assert planter.client.get(name) == ENCODED
    planter.client.set(name, DAMAGED, ex=1000)
    with pytest.raises(CorruptRecord):
        await kept.owners_of(app, SessionId("s"))
