"""An operation ends by its deadline, however many round trips it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import Event, OutcomeUnknown, Unavailable
from sojourn.resilience.deadline import Deadline, from_now

TIMEOUT = 0.5
SLOW = 0.3


@pytest.fixture
async def proxy(shared_server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(shared_server.port) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[sojourn.Sojourn]:
    url = f"{proxy.url}?namespace=deadline&operation_timeout={TIMEOUT}"
    async with sojourn.open(url) as store:
        await store.ping()
        yield store


@pytest.fixture
def ends(store: sojourn.Sojourn) -> dict[str, str]:
    """How calls end, by name."""
    ends: dict[str, str] = {}
    store.on_call(lambda fact: ends.setdefault(fact.name, fact.outcome))
    return ends


async def test_a_create_of_several_round_trips(
    proxy: Proxy, store: sojourn.Sojourn, ends: dict[str, str]
) -> None:
    proxy.on_request = lambda _: SLOW
    with pytest.raises(OutcomeUnknown):
        await store.sessions.create("shop", "ada", state={"app:a": 1})
    assert ends["sessions.register"] == "ok"


async def test_a_create_that_was_done_and_cannot_be_read_again(
    proxy: Proxy, store: sojourn.Sojourn
) -> None:
    await store.sessions.create("shop", "ada")  # so that the next one is a single round trip
    sent = 0

    def on_request(data: bytes) -> str:
        nonlocal sent
        sent += b"done-once" in data
        if b"done-once" in data:
            return "lose" if sent == 1 else "pass"
        return "pass" if sent < 2 else "drop"

    proxy.on_request = on_request
    with pytest.raises(OutcomeUnknown) as caught:
        await store.sessions.create("shop", "ada", operation_id="done-once")
    assert (caught.value.operation_id, sent) == ("done-once", 2)


async def test_an_append_leaves_app_state_behind_when_its_time_is_over(
    proxy: Proxy, store: sojourn.Sojourn, ends: dict[str, str]
) -> None:
    made = await store.sessions.create("shop", "eve")
    event = Event(author="a", payload=1, state_delta={"app:left": 1})
    proxy.on_request = lambda _: SLOW
    await store.sessions.append(made.key, event)
    assert (ends["sessions.append"], ends["sessions.apply_delta"]) == ("ok", "OutcomeUnknown")
    proxy.on_request = lambda _: "pass"
    found = await store.sessions.get(made.key)
    assert found is not None
    assert found.state["app:left"] == 1


async def test_a_read_that_carries_over_app_state(
    proxy: Proxy, store: sojourn.Sojourn, ends: dict[str, str], shared_server: Server
) -> None:
    made = await store.sessions.create("shop", "fay")
    assert await store.sessions.get(made.key)  # both connections stand
    with shared_server.client() as client:
        client.hset("deadline:outbox:{shop:fay}", "op", '{"stamp":1,"delta":{"x":"1"}}')
    ends.clear()
    proxy.on_request = lambda _: SLOW
    with pytest.raises(Unavailable):
        await store.sessions.get(made.key)
    assert (ends["sessions.read"], ends["sessions.outbox"]) == ("ok", "Unavailable")


async def test_what_has_no_time_left_is_not_sent_and_costs_no_connection(
    store: sojourn.Sojourn,
) -> None:
    made = await store.sessions.create("shop", "zoe")
    lost = store.stats().lost_connections
    with Deadline(from_now(-1)), pytest.raises(Unavailable) as caught:
        await store.sessions.append(made.key, Event(author="a", payload=1))
    assert not isinstance(caught.value, OutcomeUnknown)
    found = await store.sessions.get(made.key)
    assert found is not None
    assert found.length == 0
    assert store.stats().lost_connections == lost
