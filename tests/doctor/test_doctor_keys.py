"""Keys that never expire: by choice, or by accident."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from doctor_kit import OK, WARNING, Finding, examined, read
from hypothesis import given
from hypothesis import strategies as st

import sojourn
from servers import Server
from sojourn import Event, SessionKey
from sojourn.calls.call import Call
from sojourn.doctor.reading import KeyLifetimes
from sojourn.rooms import StoreKeys
from sojourn.sessions.keys import SessionRoomKeys

names = st.text(min_size=1, max_size=20)


@given(names, names, names, st.sampled_from(["", "shop", "a.b"]))
def test_every_key_is_known_by_its_kind(app: str, user: str, session: str, namespace: str) -> None:
    try:
        key = SessionKey.of(app, user, session)
    except sojourn.InvalidId:
        return
    keys = SessionRoomKeys(namespace)
    known = StoreKeys(namespace)
    head, events, ops, ids = keys.session(key)
    by_update, by_expiry, state, outbox, operations, quarantine, notices = keys.user(key)

    latest = keys.recent_of(key)
    kinds = {
        head: ("session", head),
        events: ("events", head),
        ops: ("ops", ops),
        ids: ("ids", head),
        by_update: ("sessions", by_expiry),
        by_expiry: ("expiry", by_expiry),
        state: ("state", state),
        outbox: ("outbox", outbox),
        operations: ("operations", operations),
        quarantine: ("quarantine", quarantine),
        notices: ("notices", notices),
        keys.apps(): ("apps", keys.apps()),
        keys.app_state(app): ("state", keys.app_state(app)),
        keys.users_of(key.owner): ("users", keys.users_of(key.owner)),
        keys.labelled(by_update, (user, session)): ("label", by_expiry),
        latest.by_update: ("recent", latest.by_expiry),
        latest.by_expiry: ("recent", latest.by_expiry),
        keys.labelled(latest.by_update, (user, session)): ("recent", latest.by_expiry),
    }

    assert {each: known.kind_of(each) for each in kinds} == kinds
    assert not [each for each in kinds if StoreKeys("other").kind_of(each)]
    if namespace:
        assert not [each for each in kinds if StoreKeys("x" * len(namespace)).kind_of(each)]
    assert not [each for each in kinds if StoreKeys().kind_of(f"other:{each}")]


@pytest.mark.parametrize(
    "key", ["", "session", "session:x", "apps:x", "myapps", "users:{shop}", "session:{a:b}:\x1b[2J"]
)
def test_keys_of_others_are_not_ours(key: str) -> None:
    assert StoreKeys().kind_of(key) is None


async def fill(server: Server, namespace: str, **options: Any) -> sojourn.Session[Event]:
    """A session with events and all kinds of state."""
    async with sojourn.open(server.url, namespace=namespace, **options) as store:
        state = {"s": 1, "user:u": 1, "app:a": 1}
        made = await store.sessions.create("shop", "ada", "s1", state=state)
        await store.sessions.append(made.key, Event(author="a", payload=1))
        return made


@pytest.fixture
def namespace() -> str:
    return f"n{secrets.token_hex(4)}"


async def look(server: Server, namespace: str, query: str = "", **options: Any) -> Finding:
    async with sojourn.open(server.url + query, namespace=namespace) as store:
        report = await store.admin.doctor.examine(**options)
        return next(each for each in report.findings if each.check == "lifetimes")


async def test_keys_that_expire(server: Server, namespace: str) -> None:
    await fill(server, namespace)

    found = await look(server, namespace)

    assert found.level is OK
    assert found.what.startswith("All of Sojourn's 13 keys have a TTL")


async def test_nothing_of_ours(server: Server, namespace: str) -> None:
    await fill(server, "another")

    found = await look(server, namespace)

    assert found.level is OK
    assert found.what.startswith("There is no key of Sojourn's (looked at all 13 ")


@pytest.mark.parametrize(
    ("options", "endless"),
    [
        ({"session_ttl": None}, 9),  # session, events, ids, four indexes, users, apps
        ({"session_ttl": None, "state_ttl": None}, 11),
    ],
)
async def test_a_choice_is_no_accident(
    server: Server, namespace: str, options: Any, endless: int
) -> None:
    await fill(server, namespace, **options)

    query = "?state_ttl=none" if "state_ttl" in options else ""
    found = await look(server, namespace, query)

    assert found.level is OK
    assert found.what.startswith(f"{endless} of Sojourn's 13 keys never expire, by choice")


async def test_state_for_ever_is_a_choice_only_of_a_store_that_says_so(
    server: Server, namespace: str
) -> None:
    """No key tells whether the state was meant to stay."""
    await fill(server, namespace, state_ttl=None)

    silent, said = await look(server, namespace), await look(server, namespace, "?state_ttl=none")

    assert (silent.level, said.level) == (WARNING, OK)
    assert "?state_ttl=none" in silent.todo


async def test_every_kind_of_key_without_a_ttl_is_seen(server: Server, namespace: str) -> None:
    await fill(server, namespace)
    with server.client() as client:
        keys = list(client.scan_iter(f"{namespace}:*"))
        for key in keys:
            left = client.pttl(key)
            client.persist(key)
            found = await look(server, namespace)
            client.pexpire(key, left)
            assert found.level is WARNING, key
            assert f"nobody chose that: {key} (" in found.what
    assert len(keys) == 13
    assert (await look(server, namespace)).level is OK


async def test_events_that_lost_their_session_are_seen(server: Server, namespace: str) -> None:
    await fill(server, namespace, session_ttl=None)
    head = f"{namespace}:session:{{shop:ada}}:s1"
    with server.client() as client:
        client.delete(head)

    found = await look(server, namespace)

    assert found.level is WARNING
    assert f"{head}:events" in found.what


async def test_a_key_of_a_wrong_type_is_seen(server: Server, namespace: str) -> None:
    with server.client() as client:
        client.set(f"{namespace}:apps", "x")
        client.set(f"{namespace}:session:{{shop:ada}}:s1", "x")

    found = await look(server, namespace)

    assert found.what.startswith("2 of Sojourn's 2 keys")


def test_a_key_that_expires_meanwhile_is_no_stray(server: Server) -> None:
    with server.client() as client:
        client.set("session:{shop:ada}:s1", "x")

        def expire(call: Call[Any]) -> None:
            if call.commands[0] == ("PTTL", "session:{shop:ada}:s1"):
                client.delete("session:{shop:ada}:s1")

        lifetimes = read(server.url, before=expire).lifetimes

    assert isinstance(lifetimes, KeyLifetimes)
    assert (lifetimes.ours, lifetimes.strays) == (1, [])


async def test_the_sample_is_bounded_and_says_so(server: Server, namespace: str) -> None:
    with server.client() as client:
        client.mset({f"foreign:{number}": 1 for number in range(3000)})
        before = client.info("commandstats").get("cmdstat_scan", {}).get("calls", 0)
        found = await look(server, namespace, keys=700)
        after = client.info("commandstats")["cmdstat_scan"]["calls"]

    assert "(looked at 700 keys)" in found.what
    assert after - before == 3


async def test_a_thinned_out_database_costs_no_more(server: Server, namespace: str) -> None:
    with server.client() as client:
        client.mset({f"foreign:{number}": 1 for number in range(50_000)})
        client.config_set("activerehashing", "no")
        for start in range(0, 49_000, 1000):
            client.delete(*(f"foreign:{number}" for number in range(start, start + 1000)))
        before = client.info("commandstats").get("cmdstat_scan", {}).get("calls", 0)
        await look(server, namespace, keys=1000)
        after = client.info("commandstats")["cmdstat_scan"]["calls"]

    assert after - before <= 8


async def test_no_key_is_looked_at_when_none_is_wanted(server: Server, namespace: str) -> None:
    async with sojourn.open(server.url, namespace=namespace) as store:
        report = await store.admin.doctor.examine(keys=0)
    with server.client() as client:
        assert "cmdstat_scan" not in client.info("commandstats")

    assert "lifetimes" not in {each.check for each in report.findings}


# ── notifications ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flags", "level", "todo"),
    [
        ("''", WARNING, "notify-keyspace-events Ex"),
        ("K$", WARNING, "x"),
        ("E", WARNING, "x"),
        ("Ex", OK, ""),
        ("Kx", OK, ""),
        ("KEA", OK, ""),
    ],
)
def test_notifications_when_they_are_wanted(start, flags: str, level, todo: str) -> None:
    server = start(f"--notify-keyspace-events {flags}")

    found = examined(server.url, notifications=True)["notifications"]

    assert found.level is level
    assert todo in found.todo
    if level is WARNING:
        with server.client() as client:
            client.config_set(*found.todo.split())
        assert examined(server.url, notifications=True)["notifications"].level is OK


def test_notifications_when_nobody_asks(shared_server: Server) -> None:
    assert "notifications" not in examined(shared_server.url)
