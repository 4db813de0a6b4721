"""The index of a log's event ids on a server."""

from __future__ import annotations

import pytest
from corruption_kit import Bench, sealed
from msgspec.structs import replace

import sojourn
from servers import Server
from sojourn import Event, EventExists, SessionKey

KEY = SessionKey.of("shop", "ada", "s")


def named(*ids: str) -> list[Event]:
    return [replace(Event(author="a", payload=1), id=name) for name in ids]


async def test_an_index_that_was_evicted_is_made_again(bench: Bench) -> None:
    ids = f"{bench.head}:ids"
    assert dict(bench.client.zrange(ids, 0, -1, withscores=True)) == {
        b"": 0,
        b"e0": 1,
        b"e1": 2,
        b"e2": 3,
    }
    for again in (["e1"], ["x", "e2"]):
        bench.client.delete(ids)
        with pytest.raises(EventExists):
            await bench.store.sessions.append(bench.key, *named(*again))
        assert bench.client.zrange(ids, 0, -1) == [b"", b"e0", b"e1", b"e2"]
        assert bench.client.pexpiretime(ids) == bench.client.pexpiretime(bench.events)
    bench.client.delete(ids)
    await bench.store.sessions.append(bench.key, *named("new"))
    assert bench.client.zscore(ids, "new") == 4
    assert bench.client.pexpiretime(ids) == bench.client.pexpiretime(bench.events)


async def test_of_a_log_that_has_lost_events_the_newest_are_left(bench: Bench) -> None:
    bench.client.ltrim(bench.events, 1, -1)
    bench.client.delete(f"{bench.head}:ids")
    await bench.store.sessions.append(bench.key, *named("new"))
    found = bench.client.zrange(f"{bench.head}:ids", 0, -1, withscores=True)
    assert found == [(b"", 0), (b"e1", 2), (b"e2", 3), (b"new", 4)]


async def test_an_index_of_another_type_stops_a_write(bench: Bench) -> None:
    for key in (f"{bench.head}:ids", bench.index):
        whole = bench.client.dump(key)
        bench.client.delete(key)
        bench.client.set(key, "mine")
        before = {each: bench.client.dump(each) for each in bench.client.keys(f"*{bench.key.app}*")}
        with pytest.raises(sojourn.CorruptRecord):
            await bench.store.sessions.append(bench.key, *named("new"))
        after = {each: bench.client.dump(each) for each in bench.client.keys(f"*{bench.key.app}*")}
        assert after == before
        bench.client.restore(key, 100_000, whole, replace=True)
    await bench.store.sessions.append(bench.key, *named("new"))


async def test_an_id_of_an_encoded_event_is_known(bench: Bench) -> None:
    from sojourn.codecs.growth import encoded

    row = encoded(1, ("zip",), b'"sealed \\u00e9"\n\x00\xff')
    bench.client.rpush(bench.events, row, sealed('{"id":"plain","time":1,"author":"a"'))
    bench.client.hincrby(bench.head, "seq", 2)
    bench.client.delete(f"{bench.head}:ids")
    for name in ("sealed é", "plain"):
        with pytest.raises(EventExists):
            await bench.store.sessions.append(bench.key, *named(name))


async def test_a_log_with_a_cap_forgets_the_ids_that_it_drops(server: Server) -> None:
    async with sojourn.open(server.url, max_events=3) as store:
        await store.sessions.create(*KEY)
        await store.sessions.append(KEY, *named("a", "b"))
        for name in ("c", "d", "e"):
            await store.sessions.append(KEY, *named(name))
        await store.sessions.append(KEY, *named("a"))
        with pytest.raises(EventExists):
            await store.sessions.append(KEY, *named("d"))
        with server.client() as client:
            found = client.zrange("session:{shop:ada}:s:ids", 0, -1)
        assert found == ["", "d", "e", "a"]


async def test_a_full_server_leaves_nothing_behind(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        await store.sessions.create(*KEY)
        server.ask("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(sojourn.ServerOutOfMemory):
            await store.sessions.append(KEY, *named("a"))
        server.ask("CONFIG", "SET", "maxmemory", "0")
        await store.sessions.append(KEY, *named("a"))


async def test_many_events_are_appended_at_once(server: Server) -> None:
    names = [f"n{n}" for n in range(5000)]
    async with sojourn.open(server.url) as store:
        await store.sessions.create(*KEY)
        await store.sessions.append(KEY, *named(*names))
        with pytest.raises(EventExists) as raised:
            await store.sessions.append(KEY, *named(*names))
        assert raised.value.ids == 5000
        with server.client() as client:
            client.delete("session:{shop:ada}:s:ids")
        with pytest.raises(EventExists):
            await store.sessions.append(KEY, *named("x", "n4999"))


@pytest.mark.parametrize(
    ("labels", "evicted"), [(None, True), ({"flow": "x"}, False), ({"flow": "x"}, True)]
)
async def test_an_append_that_an_index_stops_can_be_repeated(
    bench: Bench, labels: dict[str, str | None] | None, evicted: bool
) -> None:
    if labels:
        await bench.store.sessions.update(bench.key, labels=labels)
    expiry = f"{bench.index}:expiry"
    bench.client.delete(expiry, *[bench.index] * evicted)
    bench.client.set(expiry, "mine")
    for _ in range(2):
        with pytest.raises(sojourn.CorruptRecord):
            await bench.store.sessions.append(bench.key, *named("new"))
    assert bench.client.zscore(f"{bench.head}:ids", "new") is None
    bench.client.delete(expiry)
    await bench.store.sessions.append(bench.key, *named("new"))
    assert [event.id for event in (await bench.get()).events] == ["e0", "e1", "e2", "new"]
    assert bench.client.zscore(bench.index, bench.key.session) is not None


async def test_an_append_that_a_log_of_another_type_stops_can_be_repeated(bench: Bench) -> None:
    log = bench.client.dump(bench.events)
    bench.client.delete(f"{bench.head}:ids")
    bench.client.set(bench.events, "mine")
    for events in (named("new"), named("new"), named("new", "newer")):
        with pytest.raises(sojourn.CorruptRecord):
            await bench.store.sessions.append(bench.key, *events)
    bench.client.restore(bench.events, 100_000, log, replace=True)
    await bench.store.sessions.append(bench.key, *named("new"))
    assert [event.id for event in (await bench.get()).events] == ["e0", "e1", "e2", "new"]


@pytest.mark.parametrize("place", ["ids", "events", "index", "expiry", "evicted ids"])
async def test_an_append_that_was_refused_is_not_remembered(bench: Bench, place: str) -> None:
    ids, expiry = f"{bench.head}:ids", f"{bench.index}:expiry"
    keys = {"ids": ids, "events": bench.events, "index": bench.index, "expiry": expiry}
    key = keys.get(place, bench.events)
    whole = bench.client.dump(key)
    bench.client.delete(key, *[bench.index] * (place == "expiry"), *[ids] * ("evicted" in place))
    bench.client.set(key, "mine")
    for _ in range(2):
        with pytest.raises(sojourn.CorruptRecord):
            await bench.store.sessions.append(bench.key, *named("new"), operation_id="one")
    bench.client.restore(key, 100_000, whole, replace=True)
    with pytest.raises(EventExists):
        await bench.store.sessions.append(bench.key, *named("e1"), operation_id="one")
    bench.client.delete(ids)
    with pytest.raises(EventExists):
        await bench.store.sessions.append(bench.key, *named("e1"), operation_id="one")
    done = await bench.store.sessions.append(bench.key, *named("new"), operation_id="one")
    assert not done.repeated
    done = await bench.store.sessions.append(bench.key, *named("new"), operation_id="one")
    assert done.repeated


async def test_a_full_server_knows_what_was_done(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        await store.sessions.create(*KEY)
        done = await store.sessions.append(KEY, *named("a"), operation_id="one")
        server.ask("CONFIG", "SET", "maxmemory", "1")
        again = await store.sessions.append(KEY, *named("a"), operation_id="one")
        assert (again.repeated, again.version) == (True, done.version)
        server.ask("CONFIG", "SET", "maxmemory", "0")
