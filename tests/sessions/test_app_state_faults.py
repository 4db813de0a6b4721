"""The second step of an `app:` delta fails: the write stands, and no call speaks for another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

import sojourn
from cluster import ClusterSet
from proxy import Proxy
from servers import Server, any_binary
from sojourn import Event, OutcomeUnknown, Session
from sojourn.sessions.shared_state import APPLY_DELTA


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(proxy.url, operation_timeout=1) as store:
        yield store


@pytest.fixture
def full(server: Server, proxy: Proxy) -> None:
    """From the first apply on, the server has no memory left."""

    def on_request(data: bytes) -> str:
        if APPLY_DELTA.digest in data:
            with server.client() as admin:
                admin.config_set("maxmemory", 1)
        return "pass"

    proxy.on_request = on_request


def said(text: str, **delta: object) -> Event:
    return Event(author="user", payload=text, state_delta=delta)


async def test_an_append_that_is_stored_is_never_reported_as_refused(
    store: sojourn.Sojourn, full: None, server: Server, proxy: Proxy
) -> None:
    made = await store.sessions.create("shop", "ada")
    done = await store.sessions.append(made.key, said("one", **{"app:motd": "hi"}))
    assert done.seqs == range(1, 2)
    seen = await store.sessions.get(made.key)  # the delta still waits: it is shown all the same
    assert isinstance(seen, Session)
    assert seen.state == {"app:motd": "hi"}
    with server.client() as admin:
        proxy.on_request = lambda _: "pass"
        admin.config_set("maxmemory", 0)
    other = await store.sessions.get(made.key)
    assert isinstance(other, Session)
    assert other.state == {"app:motd": "hi"}
    with server.client() as admin:
        assert admin.hgetall("state:{shop}")["state:motd"] == '"hi"'


async def test_a_read_names_no_operation_of_another(
    store: sojourn.Sojourn, proxy: Proxy, server: Server
) -> None:
    made = await store.sessions.create("shop", "ada")
    proxy.on_request = lambda data: "stall" if APPLY_DELTA.digest in data else "pass"
    done = await store.sessions.append(
        made.key, said("one", **{"app:motd": "hi"}), operation_id="theirs"
    )
    assert done.version == 2
    seen = await store.sessions.get(made.key)
    assert isinstance(seen, Session)
    assert seen.state == {"app:motd": "hi"}


async def test_a_create_whose_state_could_not_be_read_is_of_unknown_outcome(
    tmp_path: Path,
) -> None:
    nodes = ClusterSet(tmp_path, any_binary()).start()
    try:
        async with sojourn.open(nodes.url, operation_timeout=3) as store:
            app = nodes.owner_of("state:{shop}")
            user = next(
                name for name in "abcdefgh" if nodes.owner_of(f"state:{{shop:{name}}}") is not app
            )
            await store.sessions.create("shop", user)
            app.pause()
            with pytest.raises(OutcomeUnknown) as caught:
                await store.sessions.create("shop", user)
            app.resume()
            name = caught.value.operation_id
            nodes.settle()
            async with asyncio.timeout(30):
                while True:
                    try:
                        await store.sessions.create("shop", user, operation_id=name)
                        break
                    except sojourn.Unavailable:
                        await asyncio.sleep(0.05)
            assert len((await store.sessions.list("shop", user)).sessions) == 2
    finally:
        nodes.close()


async def test_a_create_without_an_id_can_be_repeated(server: Server) -> None:
    async with sojourn.open(server.url, operation_timeout=0.3) as store:
        await store.sessions.create("shop", "ada")
        server.pause()
        with pytest.raises(OutcomeUnknown) as caught:
            await store.sessions.create("shop", "ada")
        server.resume()
        name = caught.value.operation_id
        made = [await store.sessions.create("shop", "ada", operation_id=name) for _ in range(2)]
        assert made[0].key == made[1].key
        assert len((await store.sessions.list("shop", "ada")).sessions) == 2


AHEAD = 5_000_000
"""How far another node's clock is ahead, µs."""


async def test_what_is_written_after_another_was_acknowledged_wins_whatever_clocks_say(
    server: Server,
) -> None:
    async with sojourn.open(server.url) as store, sojourn.open(server.url) as other:
        ada = await store.sessions.create("shop", "ada")
        bob = await other.sessions.create("shop", "bob")
        await store.sessions.append(ada.key, said("one", **{"app:price": 1}))
        with server.client() as admin:  # as from a node, or at a time, whose clock was ahead
            seconds, micros = admin.time()
            ahead = seconds * 1_000_000 + micros + AHEAD
            admin.hset("state:{shop}", "at:price", f"{ahead}:x")
        await other.sessions.append(bob.key, said("two", **{"app:price": 2, "app:new": 1}))
        for reader in store, other:
            seen = await reader.sessions.get(ada.key)
            assert isinstance(seen, Session)
            assert seen.state == {"app:price": 2, "app:new": 1}
        with server.client() as admin:
            assert int(admin.hget("state:{shop}", "at:price").split(":")[0]) == ahead + 1


@pytest.mark.parametrize("second", ["stall", "pass"])
async def test_of_a_user_s_two_deltas_the_later_one_wins_though_the_clock_stepped_back(
    store: sojourn.Sojourn, server: Server, proxy: Proxy, second: str
) -> None:
    """The first waits in the outbox, the second perhaps."""
    made = await store.sessions.create("shop", "ada")
    with server.client() as admin:
        for number in (1, 2):
            what = "stall" if number == 1 else second
            proxy.on_request = lambda data, what=what: (
                what if APPLY_DELTA.digest in data else "pass"
            )
            event = said("one", **{"app:price": number})
            with suppress(OutcomeUnknown):
                await store.sessions.append(made.key, event)
            if number == 1:  # as it is when the clock stepped back 30 s since
                ((name, entry),) = admin.hgetall("outbox:{shop:ada}").items()
                stamp = int(entry.split(":")[1].split(",")[0])
                later = entry.replace(str(stamp), str(stamp + 6 * AHEAD))
                admin.hset("outbox:{shop:ada}", name, later)
    proxy.on_request = lambda _: "pass"
    seen = await store.sessions.get(made.key)
    assert isinstance(seen, Session)
    assert seen.state == {"app:price": 2}


async def test_an_apply_that_arrives_twice_does_not_undo_what_came_between(
    store: sojourn.Sojourn, proxy: Proxy, server: Server
) -> None:
    made = await store.sessions.create("shop", "ada")
    requests: list[bytes] = []

    def on_request(data: bytes) -> str:
        if APPLY_DELTA.digest in data:
            requests.append(data)
        return "pass"

    proxy.on_request = on_request
    await store.sessions.append(made.key, said("one", **{"app:motd": "old"}))
    (first,) = requests
    await store.sessions.append(made.key, said("two", **{"app:motd": "new"}))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(first)
    assert b"ok" in await reader.read(64)
    writer.close()
    await writer.wait_closed()
    with server.client() as admin:
        assert admin.hget("state:{shop}", "state:motd") == '"new"'


async def test_an_outbox_entry_is_not_laid_over_what_was_set_after_it(
    store: sojourn.Sojourn, full: None, server: Server, proxy: Proxy
) -> None:
    """The server is full, so the entry cannot be applied while it is read."""
    made = await store.sessions.create("shop", "ada")
    await store.sessions.append(made.key, said("one", **{"app:motd": "old", "app:mood": "good"}))
    with server.client() as admin:
        proxy.on_request = lambda _: "pass"
        admin.config_set("maxmemory", 0)
        async with sojourn.open(server.url) as other:
            bob = await other.sessions.create("shop", "bob")
            await other.sessions.append(bob.key, said("two", **{"app:motd": "new"}))
        admin.config_set("maxmemory", 1)
    seen = await store.sessions.get(made.key)
    assert isinstance(seen, Session)
    assert seen.state == {"app:motd": "new", "app:mood": "good"}
