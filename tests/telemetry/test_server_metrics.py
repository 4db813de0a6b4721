"""Figures that a server knows: counted by indexes, measured by a sample, on every topology."""

from __future__ import annotations

import secrets

import pytest

import sojourn
from servers import Server
from sojourn import CallFact, Event, InvalidInput


async def test_figures_of_every_topology(url: str) -> None:
    options = {} if url.startswith("memory") else {"namespace": f"n{secrets.token_hex(4)}"}
    async with sojourn.open(url, **options) as store:
        for app in ("shop", "bank"):
            for user in ("ada", "bob", "eve"):
                for _ in range(2):
                    made = await store.sessions.create(app, user)
        await store.sessions.append(made.key, Event(author="a", payload="x" * 2000))
        await store.sessions.delete(made.key)
        await store.memory.user("ada", app="shop").put("tea", {"kind": "green"})
        await store.disconnect()  # what is told in the background has arrived
        found = await store.admin.metrics(keys=100_000)
        assert (found.apps, found.users, found.sessions) == (2, 6, 11)
        if options:
            assert found.exact
            assert found.looked_at == found.keys
            kinds = {each.kind: each for each in found.kinds}
            assert kinds["session"].keys == 11
            assert kinds["remembered"].keys == 1
            rooms = found.rooms()
            assert (rooms["sessions"] or 0) > (rooms["memory"] or 0) > 0
            assert found.used is not None
        else:
            assert (found.kinds, found.keys) == ([], 0)


async def test_a_fact_names_the_server_that_was_asked(url: str) -> None:
    async with sojourn.open(url) as store:
        facts: list[CallFact] = []
        store.on_call(facts.append)
        for _ in range(3):
            await store.sessions.create("shop", secrets.token_hex(4))
        nodes = {node.where for node in (await store.health()).nodes}
        assert {fact.where.partition(" (")[0] for fact in facts if fact.attempts} <= nodes
        assert facts or url.startswith("memory")


async def test_a_sample_is_an_estimate_and_no_more_keys_are_looked_at(server: Server) -> None:
    times, most = 300, 500
    async with sojourn.open(server.url) as store:
        for number in range(times):
            await store.sessions.create("shop", f"user{number}")
        await store.disconnect()
        whole = await store.admin.metrics()
        with server.client() as client:
            client.config_resetstat()
            part = await store.admin.metrics(keys=most)
            asked = client.info("commandstats")
        assert asked["cmdstat_memory|usage"]["calls"] == part.looked_at == most
        assert (whole.exact, part.exact) == (True, False)
        assert (part.users, part.sessions) == (whole.users, whole.sessions) == (times, times)
        assert part.keys == whole.keys
        estimated = {each.kind: each.keys for each in part.kinds}
        assert times / 2 < estimated["session"] < 2 * times
        assert sum(estimated.values()) == pytest.approx(whole.keys, rel=0.05)
        sizes = sum(each.size or 0 for each in whole.kinds)
        assert sum(each.size or 0 for each in part.kinds) == pytest.approx(sizes, rel=0.5)
        with pytest.raises(InvalidInput):
            await store.admin.metrics(keys=-1)


async def test_what_the_server_does_not_tell_is_left_out(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        await store.sessions.create("shop", "ada")
    with server.client() as client:
        client.execute_command("ACL SETUSER default -info -memory")
        async with sojourn.open(server.url) as store:
            found = await store.admin.metrics()
            assert (found.sessions, found.used, found.most) == (1, None, None)
            assert found.rooms() == {"sessions": None}
            client.execute_command("ACL SETUSER default -scan")
            with pytest.raises(sojourn.AccessDenied, match="SCAN"):
                await store.admin.metrics()
