"""Requests that are held back, cut off, half answered or swallowed, under load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
import redis

from faults.client import Ways
from faults.inject import PROXY_FAULTS, hurt
from faults.load import Load
from proxy import Proxy
from servers import Server
from sojourn.calls.call import Script
from sojourn.sessions.operations import append, update

HASTY = Ways(timeout=0.5, pause=0.01)


@pytest.fixture
async def proxies(shared_server: Server) -> AsyncIterator[list[Proxy]]:
    """One for each process that the clients play."""
    async with Proxy(shared_server.port) as one, Proxy(shared_server.port) as two:
        yield [one, two]


@pytest.fixture
def direct(shared_server: Server) -> AsyncIterator[redis.Redis]:
    with shared_server.client() as client:
        client.flushall()
        yield client


@pytest.mark.parametrize("fault", list(PROXY_FAULTS))
async def test_a_network_that_hurts(proxies: list[Proxy], direct: redis.Redis, fault: str) -> None:
    urls = (proxy.url for proxy in proxies)
    enough = 6 if "stall" in fault else 25
    async with Load(*urls, ways=HASTY, namespace="network") as load:
        with hurt(proxies, Random(fault), fault) as hits:
            while hits[fault] < enough:
                await load.written(50)
        await load.written(50)
    assert load.report([direct]).problems() == []
    cut = fault in ("cut after the request", "cut in the reply")
    assert load.repeated > 0 or not cut


async def test_a_network_that_hurts_in_every_way(proxies: list[Proxy], direct: redis.Redis) -> None:
    urls = (proxy.url for proxy in proxies)
    async with Load(*urls, ways=HASTY, namespace="network", seed=2) as load:
        with hurt(proxies, Random(2), *PROXY_FAULTS) as hits:
            await load.written(600, within=60)
        await load.written(50)
    assert sum(hits.values()) > 20
    report = load.report([direct])
    assert report.problems() == []
    assert report.resolved > 0


async def test_in_doubt_and_not_repeated_is_done_once_or_not_at_all(
    proxies: list[Proxy], direct: redis.Redis
) -> None:
    urls = (proxy.url for proxy in proxies)
    ways = HASTY._replace(repeat=False)
    async with Load(*urls, ways=ways, namespace="network") as load:
        with hurt(proxies, Random(1), "stall", "stall after the request"):
            while sum("OutcomeUnknown" in entry.error for entry in load.entries) < 10:
                await load.written(20)
    assert load.report([direct]).problems() == []


async def test_without_operation_ids_writes_are_not_once_and_that_is_seen(
    proxies: list[Proxy], direct: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for operation in (append, update):
        script = operation.SCRIPT
        blind = script.body.decode().replace("if done then", "if false then")
        assert blind != script.body.decode()
        blind = blind.replace("if done ~= 1 then", "if done ~= 1 and done ~= 0 then")  # `append`
        monkeypatch.setattr(operation, "SCRIPT", Script(script.name, blind))
    urls = (proxy.url for proxy in proxies)
    async with Load(*urls, ways=HASTY, namespace="network") as load:
        with hurt(proxies, Random(1), "cut after the request") as hits:
            while sum(hits.values()) < 40:
                await load.written(50)
    kinds = set(load.report([direct]).kinds)
    assert kinds & {"doubled change", "done though refused", "forgotten"}
    assert "doubled event" not in kinds  # no id is twice in a log


async def test_a_stall_before_the_load_begins_is_no_finding(
    proxies: list[Proxy], direct: redis.Redis
) -> None:
    """The sessions that all share are there before anybody looks for them."""
    proxies[0].on_request = lambda _: "stall"

    def heal() -> None:
        proxies[0].on_request = lambda _: "pass"

    asyncio.get_running_loop().call_later(3 * HASTY.timeout, heal)
    async with Load(*(proxy.url for proxy in proxies), ways=HASTY, namespace="network") as load:
        await load.written(50)
    assert load.report([direct]).problems() == []
