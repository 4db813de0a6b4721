"""Lifetimes: every key of a session has one from its first moment, unless none was asked for."""

from __future__ import annotations

import time

import anyio
import pytest
from adk_kit import Desk, ours, texts
from google.adk.errors.session_not_found_error import SessionNotFoundError

import sojourn
from sojourn.errors import Closed, InvalidInput
from sojourn.integrations.adk import SessionService

DAY, MONTH = 86_400, 30 * 86_400


def lifetimes(redis, app: str) -> dict[str, float]:
    """Seconds left of every key of an app; -0.001 is for ever."""
    return {key: redis.pttl(key) / 1000 for key in redis.scan_iter(f"*{app}*")}


def of_the_session(redis, app: str) -> dict[str, float]:
    return {k: left for k, left in lifetimes(redis, app).items() if k.startswith("session:")}


@pytest.fixture
async def opened(shared_server, app):
    """Opens desks over services of their own, with options, and closes them."""
    services = []

    def open_desk(**options) -> Desk:
        services.append(SessionService(shared_server.url, **options))
        return Desk(services[-1], app)

    yield open_desk
    for service in services:
        await service.close()


async def filled(desk: Desk, **options):
    session = await desk.create("s", state={"k": 1, "user:u": 1, "app:a": 1}, **options)
    await desk.say(session, "hello", state={"k": 2, "user:u": 2, "app:a": 2})
    return session


async def test_a_session_lives_a_day_and_what_is_shared_a_month(opened, redis, app):
    await filled(opened())
    left = lifetimes(redis, app)
    session = of_the_session(redis, app)
    assert len(session) == 4
    assert all(DAY - 60 < seconds <= 1.01 * DAY for seconds in session.values())
    state = {key: seconds for key, seconds in left.items() if key.startswith("state:")}
    assert len(state) == 2
    assert all(MONTH - 60 < seconds <= 1.02 * MONTH for seconds in state.values())
    assert all(seconds > 0 for seconds in left.values())


@pytest.mark.parametrize("where", ["service", "session"])
async def test_a_ttl_is_of_the_service_or_of_one_session(opened, redis, app, where):
    if where == "service":
        await filled(opened(ttl=100))
    else:
        await filled(opened(ttl=5000), ttl=100)
    left = of_the_session(redis, app)
    assert len(left) == 4
    assert all(40 < seconds <= 101 for seconds in left.values())


@pytest.mark.parametrize("where", ["service", "session"])
async def test_no_ttl_is_a_choice_by_name(opened, redis, app, where):
    if where == "service":
        await filled(opened(ttl=None))
    else:
        await filled(opened(), ttl=None)
    left = {k: v for k, v in of_the_session(redis, app).items() if not k.endswith(":ops")}
    assert len(left) == 3
    assert all(seconds < 0 for seconds in left.values())


async def test_a_session_without_events_has_its_ttl_too(opened, redis, app):
    await opened(ttl=100).create("s")
    left = of_the_session(redis, app)
    assert left
    assert all(40 < seconds <= 101 for seconds in left.values())


async def test_a_write_starts_the_lifetime_anew(opened, redis, app):
    desk = opened(ttl=100)
    session = await filled(desk)
    for key in of_the_session(redis, app):  # as if half of its life had passed
        redis.expire(key, 50)
        if redis.type(key) == "hash":
            redis.hset(key, "expires", int((time.time() + 50) * 1000))
    await desk.say(session, "again")
    left = of_the_session(redis, app)
    assert len(left) == 4
    assert all(90 < seconds <= 101 for seconds in left.values())


async def test_a_read_does_not_lengthen_a_session(opened, redis, app):
    desk = opened(ttl=100)
    await filled(desk)
    for key in of_the_session(redis, app):
        redis.expire(key, 50)
    await desk.get("s")
    assert all(seconds <= 51 for seconds in of_the_session(redis, app).values())


async def test_deletion_leaves_no_key_of_the_session(opened, redis, app):
    desk = opened()
    await filled(desk)
    await desk.delete("s")
    assert of_the_session(redis, app) == {}
    assert not any(redis.zcard(key) for key in redis.scan_iter(f"sessions:*{app}*"))


@ours
async def test_what_has_expired_is_gone_and_stays_gone(service, desk):
    session = await desk.create("s", ttl=0.02)
    await desk.create("t")
    with anyio.fail_after(5):
        while await desk.get("s") is not None:
            await anyio.lowlevel.checkpoint()
    with pytest.raises(SessionNotFoundError):
        await desk.say(session, "too late", state={"user:u": 1})
    assert [found.id for found in await desk.list("ada")] == ["t"]
    assert (await desk.create("s")).state == {}


@ours
@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 1e300])
async def test_a_lifetime_that_is_none_is_refused(desk, ttl):
    with pytest.raises(InvalidInput, match="ttl"):
        await desk.create("s", ttl=ttl)
    assert await desk.get("s") is None


async def test_options_of_the_store_may_stand_in_the_url(shared_server, redis, app):
    service = SessionService(f"{shared_server.url}?session_ttl=100&namespace=mine-{app}")
    await filled(Desk(service, app))
    await service.close()
    left = lifetimes(redis, app)
    assert left
    assert all(key.startswith(f"mine-{app}:") for key in left)
    assert max(v for k, v in left.items() if k.startswith(f"mine-{app}:session:")) <= 101


async def test_close_leaves_a_lent_store_open(shared_server, app):
    async with sojourn.open(shared_server.url) as store:
        lent = SessionService(store)
        await Desk(lent, app).create("s")
        await lent.close()
        await store.ping()
        assert await Desk(SessionService(store), app).get("s") is not None


async def test_close_closes_a_store_of_its_own(shared_server, app):
    service = SessionService(shared_server.url)
    desk = Desk(service, app)
    await desk.create("s")
    await service.close()
    await service.close()
    with pytest.raises(Closed):
        await desk.get("s")


async def test_a_lent_client_lends_its_address(shared_server, app):
    import redis.asyncio

    async with redis.asyncio.Redis.from_url(shared_server.url, decode_responses=True) as client:
        service = SessionService(client)
        desk = Desk(service, app)
        await desk.say(await desk.create("s"), "hello")
        assert texts(await desk.get("s")) == ["hello"]
        await service.close()
        assert await client.ping()


async def test_options_beside_a_lent_store_are_refused():
    async with sojourn.open("memory://") as store:
        with pytest.raises(InvalidInput, match=r"sojourn\.open"):
            SessionService(store, namespace="mine")
