"""What notices leave on a server, what they cost, and whom the server lets listen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from notices_kit import heard, said, until, versions, write

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import AccessDenied, Closed, ConfigurationError, CorruptRecord, InvalidInput
from sojourn.doctor.checks.access import acl_rule

STREAM = "notices:{shop:ada}"
DAY = 86_400_000


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url, notices=True, health_check_interval=3600) as store:
        yield store


def calls(server: Server) -> dict[str, int]:
    """How often the server has run each command."""
    stats = server.ask("INFO", "commandstats")
    ignored = ("info", "ping", "script|load", "hello")
    names = {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}
    return {name: number for name, number in names.items() if name not in ignored}


async def test_the_stream_is_readable_by_a_human(server: Server, store: sojourn.Sojourn) -> None:
    key = (await store.sessions.create("shop", "ada", "s é")).key
    await store.sessions.append(key, said())
    (first, made), (second, appended) = server.ask("XRANGE", STREAM, "-", "+")
    assert made == {"kind": "created", "session": "s é", "version": "1"}
    assert appended == {"kind": "appended", "session": "s é", "version": "2"}
    (at, number), (later, next_number) = (map(int, each.split("-")) for each in (first, second))
    assert number // 1000 == at <= later
    assert next_number == number + 1


async def test_the_stream_lives_as_long_as_the_longest_state(server: Server) -> None:
    for days, left in ((2, 2), (1, 2), (3, 3)):
        async with sojourn.open(server.url, notices=True, state_ttl=days * 86_400.0) as store:
            await store.sessions.create("shop", "ada")
            assert left * DAY * 0.99 < server.ask("PTTL", STREAM) < left * DAY * 1.02
    async with sojourn.open(server.url, notices=True, state_ttl=None) as store:
        key = (await store.sessions.create("shop", "ada")).key
        assert server.ask("PTTL", STREAM) == -1
        assert server.ask("PTTL", "sessions:{shop:ada}") > 0
        server.ask("DEL", STREAM)
        for change in (
            store.sessions.update(key, title="t"),
            store.sessions.trim(key, keep=0),
            store.sessions.delete(key),
        ):
            await change
            assert server.ask("DEL", STREAM) == 1


@pytest.mark.parametrize("change", ["update", "trim", "delete"])
async def test_every_change_gives_the_stream_its_lifetime(
    server: Server, store: sojourn.Sojourn, change: str
) -> None:
    key = (await store.sessions.create("shop", "ada")).key
    server.ask("DEL", STREAM)
    options: dict[str, Any] = {"update": {"title": "t"}, "trim": {"keep": 0}, "delete": {}}[change]
    await getattr(store.sessions, change)(key, **options)
    assert 29 * DAY < server.ask("PTTL", STREAM) < 31 * DAY


async def test_a_delete_leaves_the_indexes_until_the_last_has_expired(
    server: Server, store: sojourn.Sojourn
) -> None:
    key = (await store.sessions.create("shop", "ada", ttl=None)).key
    await store.sessions.create("shop", "ada", "short", ttl=10)
    await store.sessions.delete(key)
    for index in ("sessions:{shop:ada}", "sessions:{shop:ada}:expiry"):
        assert 29 * DAY < server.ask("PTTL", index) < 31 * DAY


async def test_who_does_not_use_them_pays_nothing(server: Server) -> None:
    costs: list[dict[str, int]] = []
    numkeys: list[int] = []
    for notices in (False, True):
        async with Proxy(server.port) as proxy:
            async with sojourn.open(proxy.url, notices=notices) as store:
                key = (await store.sessions.create("shop", "ada")).key
                await store.sessions.append(key, said())
                await store.ping()
                proxy.requests.clear()
                before = calls(server)
                await store.sessions.append(key, said())
                after = calls(server)
            sent = next(each for each in proxy.requests if b"EVALSHA" in each).split(b"\r\n")
            numkeys.append(int(sent[sent.index(b"EVALSHA") + 4]))
        costs.append({k: n - before.get(k, 0) for k, n in after.items() if n > before.get(k, 0)})
        assert server.ask("EXISTS", STREAM) == notices
    off, on = costs
    assert numkeys == [8, 9]
    assert not {"xadd", "xrevrange", "publish", "spublish"} & set(off)
    assert on.pop("xadd") == on.pop("xrevrange") == 1
    assert on.pop("spublish", 0) + on.pop("publish", 0) >= 1
    on["pttl"] -= 3
    assert {name: n for name, n in on.items() if n} == off


async def test_subscribers_share_one_connection_and_leave_none(
    server: Server, store: sojourn.Sojourn
) -> None:
    def listening() -> list[dict[str, str]]:
        with server.client() as client:
            return client.client_list(_type="pubsub")

    for user in ("ada", "eve"):
        await store.sessions.create("shop", user)
    subscriptions = [store.notices.subscribe("shop", f"u{n % 7}") for n in range(50)]
    waiting = [asyncio.ensure_future(anext(each)) for each in subscriptions]
    await until(lambda: [int(each.get("ssub", each["sub"])) for each in listening()] == [7])
    for n in range(7):
        await store.sessions.create("shop", f"u{n}")
    assert {notice.kind for notice in await asyncio.gather(*waiting)} == {"created"}
    waiting = [asyncio.ensure_future(anext(each)) for each in subscriptions]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await until(lambda: listening() == [])
    assert store.stats().lost_connections == 0


async def test_a_slow_subscriber_holds_a_page(store: sojourn.Sojourn) -> None:
    key = (await store.sessions.create("shop", "ada")).key
    await write(store, key, 300)
    names: list[str] = []
    store.on_call(lambda fact: names.append(fact.name))
    async with aclosing(store.notices.subscribe("shop", "ada", after="0")) as notices:
        seen = [await anext(notices) for _ in range(100)]
        assert names == ["notices.read"]
        seen += [await anext(notices) for _ in range(201)]
    assert versions(seen) == [*range(1, 302)]
    assert names.count("notices.read") == 4


@pytest.mark.parametrize("url", ["memory://", ""])
async def test_closing_ends_what_waits(server: Server, url: str) -> None:
    async with sojourn.open(url or server.url, notices=True) as store:
        notices = store.notices.subscribe("shop", "ada")
        waiting = asyncio.ensure_future(anext(notices))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    async with asyncio.timeout(10):
        with pytest.raises(Closed):
            await waiting
    for call in (store.notices.read("shop", "ada"), store.notices.latest("shop", "ada")):
        with pytest.raises(Closed):
            await call


async def test_disconnecting_is_no_end(server: Server, store: sojourn.Sojourn) -> None:
    key = (await store.sessions.create("shop", "ada")).key
    listening = asyncio.create_task(heard(store, key, "0", 21))
    await write(store, key, 10)
    await store.disconnect()
    await write(store, key, 10)
    assert versions(await listening) == [*range(1, 22)]


# ── what is damaged or gone ────────────────────────────────────────────────────────────────────


async def test_a_stream_that_was_evicted_is_said_to_be_missed(
    server: Server, store: sojourn.Sojourn
) -> None:
    key = (await store.sessions.create("shop", "ada", "s")).key
    listening = asyncio.create_task(heard(store, key, "0", 4))
    await write(store, key, 1)
    cursor = await store.notices.latest("shop", "ada")
    server.ask("DEL", STREAM)
    gone = await store.notices.read("shop", "ada", after=cursor)
    assert [each.kind for each in gone] == ["missed"]
    assert await store.notices.read("shop", "ada", after=gone[0].id) == []
    await write(store, key, 2)
    told = await store.notices.read("shop", "ada", after=gone[0].id)
    assert [each.kind for each in told] == ["appended", "appended"]
    kinds = [each.kind for each in await listening]
    assert kinds[-2:] == ["appended", "appended"]
    assert "missed" in kinds


async def test_a_server_that_knows_less_than_the_subscriber(
    server: Server, store: sojourn.Sojourn
) -> None:
    """As after a failover that has lost what the old primary had told."""
    key = (await store.sessions.create("shop", "ada", "s")).key
    await write(store, key, 3)
    told = await store.notices.read("shop", "ada")
    for lost in told[2:]:
        server.ask("XDEL", STREAM, lost.id)
    back = await store.notices.read("shop", "ada", after=told[-1].id)
    assert [each.kind for each in back] == ["missed"]
    assert back[0].id == told[1].id


async def test_what_others_write_into_the_stream_counts_as_missed(
    server: Server, store: sojourn.Sojourn, caplog: pytest.LogCaptureFixture
) -> None:
    key = (await store.sessions.create("shop", "ada", "s")).key
    for fields in (("a", "b"), ("kind", "created", "session", "s")):
        server.ask("XADD", STREAM, "*", *fields)
    await write(store, key, 1)
    with caplog.at_level(logging.WARNING, "sojourn.notices"):
        told = await store.notices.read("shop", "ada")
    kinds = [each.kind for each in told]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("created", "appended", {"missed"})
    assert len(caplog.records) == 2


async def test_a_key_of_another_type_stops_readers_and_no_writer(
    server: Server, store: sojourn.Sojourn
) -> None:
    server.ask("SET", STREAM, "foreign", "EX", 1000)
    key = (await store.sessions.create("shop", "ada", "s")).key
    assert (await store.sessions.append(key, said())).version == 2
    assert server.ask("GET", STREAM) == "foreign"
    assert server.ask("TTL", STREAM) <= 1000
    with pytest.raises(CorruptRecord):
        await store.notices.read("shop", "ada")
    with pytest.raises(CorruptRecord):
        await anext(store.notices.subscribe("shop", "ada"))


# ── who may ────────────────────────────────────────────────────────────────────────────────────


async def test_a_user_who_may_not_use_the_channel(server: Server) -> None:
    server.ask(*acl_rule("eve", ("*",)).split(), "+@pubsub")
    url = server.url.replace("//", "//eve:secret@")
    async with sojourn.open(url, notices=True) as store:
        key = (await store.sessions.create("shop", "ada")).key
        await write(store, key, 3)
        assert versions(await store.notices.read("shop", "ada")) == [1, 2, 3, 4]
        async with asyncio.timeout(10), aclosing(store.notices.subscribe("shop", "ada")) as notices:
            with pytest.raises(AccessDenied):
                await anext(notices)


async def test_a_user_without_the_commands(server: Server) -> None:
    server.ask(*acl_rule("eve", ("*",)).split(), "allchannels")
    url = server.url.replace("//", "//eve:secret@")
    async with sojourn.open(url, notices=True) as store:
        await store.sessions.create("shop", "ada")
        async with asyncio.timeout(10), aclosing(store.notices.subscribe("shop", "ada")) as notices:
            with pytest.raises(AccessDenied):
                await anext(notices)


async def test_the_rule_of_the_guide_is_enough(server: Server) -> None:
    rule = [*acl_rule("eve", ("shop:*",)).split(), "&shop:*", "+@pubsub"]
    server.ask(*rule)
    url = server.url.replace("//", "//eve:secret@")
    async with sojourn.open(
        url, namespace="shop", notices=True, health_check_interval=3600
    ) as store:
        key = (await store.sessions.create("shop", "ada")).key
        listening = asyncio.create_task(heard(store, key, "0", 11))
        await write(store, key, 10)
        assert versions(await listening) == [*range(1, 12)]


# ── how it is opened ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("url", ["memory://", ""])
async def test_without_the_option_nobody_waits_in_vain(server: Server, url: str) -> None:
    async with sojourn.open(url or server.url) as store:
        await store.sessions.create("shop", "ada")
        with pytest.raises(ConfigurationError, match="notices=True"):
            store.notices.subscribe("shop", "ada")
        for call in (store.notices.read("shop", "ada"), store.notices.latest("shop", "ada")):
            with pytest.raises(ConfigurationError, match="notices=True"):
                await call


@pytest.mark.parametrize("word", ["true", "1", "yes", "ON"])
async def test_the_option_in_a_url(word: str) -> None:
    async with sojourn.open(f"memory://?notices={word}") as store:
        await store.sessions.create("shop", "ada")
        assert len(await store.notices.read("shop", "ada")) == 1


def test_wrong_options() -> None:
    with pytest.raises(ConfigurationError):
        sojourn.open("memory://?notices=maybe")
    wrong: Any = "yes"
    with pytest.raises(InvalidInput):
        sojourn.open("memory://", notices=wrong)
    store = sojourn.open("memory://?notices=off", notices=True)
    with pytest.raises(ConfigurationError):
        store.notices.subscribe("shop", "ada")
