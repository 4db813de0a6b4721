"""Search over sessions and events: nothing missed, nothing twice, within a time and round trips."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from time import perf_counter
from typing import Any

import pytest

import sojourn
from proxy import Proxy
from sealing import TestKeys, open_sealed
from servers import Server
from sojourn import Event, InvalidInput, KeyMissing, SessionKey, SessionNotFound, Sojourn
from sojourn.security import Principal
from sojourn.sessions import SearchPage, SessionPage, searching


@pytest.fixture
async def store(url: str) -> AsyncIterator[Sojourn]:
    async with sojourn.open(url) as store:
        yield store


@pytest.fixture
def app() -> str:
    return secrets.token_hex(4)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a search is over when it begins: it takes one step."""
    monkeypatch.setattr(searching, "SECONDS", 0.0)


def said(*texts: Any, start: float = 1.5e9) -> Iterator[Event]:
    for number, each in enumerate(texts):
        payload = {"role": "user", "parts": [{"text": each}]}
        yield Event(author="user", payload=payload, time=start + number)


async def listed(store: Sojourn, app: str, user: str | None = None, **wanted: Any) -> list[str]:
    """The ids on all pages, each of which is as short as may be."""
    found: list[str] = []
    cursor = None
    while True:
        page: SessionPage = await store.sessions.list(app, user, cursor=cursor, **wanted)
        assert len(page.sessions) <= wanted.get("limit", 100)
        found += [session.key.session for session in page.sessions]
        if (cursor := page.cursor) is None:
            return found


async def searched(store: Sojourn, *of: str, **wanted: Any) -> list[tuple[str, int]]:
    """What all pages have."""
    found: list[tuple[str, int]] = []
    cursor = None
    while True:
        page: SearchPage = await store.sessions.search(*of, cursor=cursor, **wanted)
        assert len(page.hits) <= wanted.get("limit", 20)
        assert page.partial == (
            page.cursor is not None and len(page.hits) < wanted.get("limit", 20)
        )
        found += [(hit.session, hit.seq) for hit in page.hits]
        if (cursor := page.cursor) is None:
            return found


async def test_a_list_finds_words_of_id_title_summary_and_metadata(
    store: Sojourn, app: str
) -> None:
    create = store.sessions.create
    await create(app, "ada", "by-Order-id")
    await create(app, "ada", "t", title="My ORDER is late")
    await create(app, "ada", "s", summary="an order of tea", metadata={"number": 4711})
    await create(app, "bob", "m", metadata={"of": {"what": ["Straße", "order"]}, "order": "x"})
    await create(app, "ada", "none", metadata={"order": 1}, labels={"order": "order"})
    assert {*await listed(store, app, "ada", query="order")} == {"by-Order-id", "t", "s"}
    assert await listed(store, app, "ada", query=" LATE  order ") == ["t"]
    assert await listed(store, app, "ada", query="4711 tea") == ["s"]
    assert await listed(store, app, query="STRASSE") == ["m"]
    assert {*await listed(store, app, query="order", limit=1)} == {"by-Order-id", "t", "s", "m"}
    for wrong in ("", " \n", "x" * 600):
        with pytest.raises((InvalidInput, sojourn.TooLarge)):
            await store.sessions.list(app, query=wrong)


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_pages_of_what_is_found_have_each_once(store: Sojourn, app: str, limit: int) -> None:
    names = [f"{number:02}" for number in range(30)]
    for number, name in enumerate(names):
        created = 1e9 + number // 2
        title = "found" if number % 3 else ""
        await store.sessions.create(app, "ada", name, title=title, created=created)
    wanted = sorted((name for name in names if int(name) % 3), reverse=True)
    found = await listed(store, app, "ada", query="found", newest_first=True, limit=limit)
    assert found == wanted
    assert await listed(store, app, "ada", query="found", limit=limit) == wanted[::-1]
    assert await listed(store, app, query="found", limit=limit) == wanted


async def test_times_of_the_last_change_bound_a_list(store: Sojourn, app: str) -> None:
    names = [f"{number:02}" for number in range(20)]
    for number, name in enumerate(names):
        await store.sessions.create(app, "ada", name, created=1e9 + number * 100)
    between: dict[str, Any] = {"updated_since": 1e9 + 500, "updated_until": 1e9 + 900}
    for limit in (2, 100):
        old_first = await listed(store, app, "ada", limit=limit, **between)
        assert old_first == names[5:10]
        new_first = await listed(store, app, "ada", limit=limit, newest_first=True, **between)
        assert new_first == names[9:4:-1]
        assert await listed(store, app, limit=limit, **between) == names[9:4:-1]
    assert await listed(store, app, "ada", updated_since=1e9 + 1900) == ["19"]
    assert await listed(store, app, "ada", updated_until=1e9 - 1) == []


async def test_times_are_looked_up_and_not_walked_to(shared_server: Server, app: str) -> None:
    async with Proxy(shared_server.port) as proxy, sojourn.open(proxy.url) as store:
        for number in range(300):
            await store.sessions.create(app, "ada", created=1e9 + number * 100)
        wanted: dict[str, Any] = {"updated_since": 1e9 + 10_000, "updated_until": 1e9 + 10_300}
        for user in ("ada", None):
            before = len(proxy.requests)
            page = await store.sessions.list(app, user, newest_first=True, limit=50, **wanted)
            assert (len(page.sessions), len(proxy.requests) - before) == (4, 2), user


@pytest.mark.usefixtures("hurried")
async def test_a_list_goes_on_where_its_time_was_over(store: Sojourn, app: str) -> None:
    for number in range(450):
        title = "found" if number in (3, 211, 449) else ""
        await store.sessions.create(app, "ada", f"{number}", title=title, created=1e9 + number)
    page = await store.sessions.list(app, "ada", query="found", newest_first=True)
    assert [each.key.session for each in page.sessions] == ["449"]
    assert page.cursor is not None
    found = await listed(store, app, "ada", query="found", newest_first=True)
    assert found == ["449", "211", "3"]


async def test_events_of_a_session_are_found_newest_first(store: Sojourn, app: str) -> None:
    key = (await store.sessions.create(app, "ada", "s")).key
    texts = [f"Nothing here {number}" for number in range(200)]
    for place in (0, 63, 64, 150, 199):
        texts[place] = f'I want "green"\nTEA and/or Müsli, number {place}'
    await store.sessions.append(key, *said(*texts))
    places = [("s", seq + 1) for seq in (199, 150, 64, 63, 0)]
    for limit in (1, 2, 20):
        assert await searched(store, app, "ada", "tea", session="s", limit=limit) == places
    for query in ('"GREEN"', "and/or tea", "müsli", "want number green"):
        assert await searched(store, app, "ada", query, session="s") == places, query
    assert await searched(store, app, "ada", "number 150", session="s") == [("s", 151)]
    for query in ("role", "text", "user", "xyz", "tea 3000", "\\n"):
        assert await searched(store, app, "ada", query, session="s") == [], query
    hit = (await store.sessions.search(app, "ada", "tea", session="s", limit=1)).hits[0]
    assert hit.snippet == 'I want "green" TEA and/or Müsli, number 199'
    assert (hit.author, hit.time) == ("user", 1.5e9 + 199)


async def test_encoded_data_is_not_searched_and_snippets_are_short(
    store: Sojourn, app: str
) -> None:
    key = (await store.sessions.create(app, "ada", "s")).key
    await store.sessions.append(key, *said("tea" * 5000, "x " * 5000 + "tea " + "y " * 5000))
    page = await store.sessions.search(app, "ada", "tea", session="s")
    assert [hit.seq for hit in page.hits] == [2]
    snippet = page.hits[0].snippet
    assert "tea" in snippet
    assert len(snippet) < 250


async def test_events_of_all_sessions_of_a_user_are_found(store: Sojourn, app: str) -> None:
    wanted: list[tuple[str, int]] = []
    for number in range(40):
        key = (await store.sessions.create(app, "ada", f"{number:02}", created=1e9)).key
        texts = ["tea"] * (number % 3) + ["coffee"] * (number % 70)
        if texts:
            await store.sessions.append(key, *said(*texts, start=1.5e9 + number * 1000))
            wanted += [(key.session, seq) for seq in range(1, number % 3 + 1)]
    await store.sessions.append(
        (await store.sessions.create(app, "bob", "his")).key, *said("tea of another")
    )
    await store.sessions.append(
        (await store.sessions.create(app, "", "nobody")).key, *said("tea of nobody")
    )
    wanted.reverse()
    for limit in (1, 7, 100):
        assert await searched(store, app, "ada", "tea", limit=limit) == wanted
    assert await searched(store, app, "", "tea") == [("nobody", 1)]
    assert await searched(store, app, "carl", "tea") == []


@pytest.mark.usefixtures("hurried")
async def test_a_search_goes_on_where_its_time_was_over(store: Sojourn, app: str) -> None:
    wanted: list[tuple[str, int]] = []
    for number in range(20):
        key = (await store.sessions.create(app, "ada", f"{number:02}", created=1e9)).key
        await store.sessions.append(
            key, *said("tea", *["x"] * 150, "tea", start=1.5e9 + number * 1000)
        )
        wanted += [(key.session, 1), (key.session, 152)]
    first = await store.sessions.search(app, "ada", "tea")
    assert (len(first.hits), first.partial) == (1, True)
    assert await searched(store, app, "ada", "tea") == wanted[::-1]
    assert await searched(store, app, "ada", "tea", session="07") == [("07", 152), ("07", 1)]


async def test_a_search_ends_in_time(
    shared_server: Server, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "SECONDS", 0.05)
    async with sojourn.open(shared_server.url) as store:
        key = (await store.sessions.create(app, "ada", "s")).key
        for _ in range(3):
            await store.sessions.append(key, *said(*["tea"] * 8000))
        began = perf_counter()
        page = await store.sessions.search(app, "ada", "role", session="s")
        assert perf_counter() - began < 1
        assert page.partial, "24,000 events take longer to decode"


async def test_large_events_do_not_come_all_at_once(shared_server: Server, app: str) -> None:
    async with Proxy(shared_server.port) as proxy, sojourn.open(proxy.url) as store:
        key = (await store.sessions.create(app, "ada", "s")).key
        for number in range(30):
            await store.sessions.append(key, *said(f"tea {number} " + "a b " * 125_000))
        found = await searched(store, app, "ada", "tea 7", session="s")
        assert found == [("s", 28), ("s", 18), ("s", 8)]
        assert await searched(store, app, "ada", "tea 7") == found


async def test_what_is_not_there_and_what_is_wrong(store: Sojourn, app: str) -> None:
    await store.sessions.create(app, "ada", "s")
    with pytest.raises(SessionNotFound):
        await store.sessions.search(app, "ada", "tea", session="none")
    page = await store.sessions.search(app, "ada", "tea", session="s")
    assert (page.hits, page.cursor, page.partial, page.skipped) == ([], None, False, [])
    for wrong in ({"limit": 0}, {"cursor": "x"}, {"cursor": "bnVsbA=="}, {"limit": True}):
        with pytest.raises(InvalidInput):
            await store.sessions.search(app, "ada", "tea", **wrong)
    with pytest.raises(InvalidInput):
        await store.sessions.search(app, "ada", " ")


async def test_a_cursor_survives_trims_appends_and_deletes(store: Sojourn, app: str) -> None:
    for name in ("a", "b"):
        key = (await store.sessions.create(app, "ada", name)).key
        await store.sessions.append(key, *said(*["tea"] * 100))
    page = await store.sessions.search(app, "ada", "tea", session="a", limit=10)
    await store.sessions.trim(SessionKey.of(app, "ada", "a"), keep=20)
    await store.sessions.append(SessionKey.of(app, "ada", "a"), *said(*["tea"] * 5))
    rest = await store.sessions.search(app, "ada", "tea", session="a", cursor=page.cursor)
    assert [hit.seq for hit in rest.hits] == list(range(90, 80, -1))
    page = await store.sessions.search(app, "ada", "tea", limit=10)
    await store.sessions.delete(SessionKey.of(app, "ada", page.hits[0].session))
    rest = await store.sessions.search(app, "ada", "tea", cursor=page.cursor, limit=1000)
    assert len(rest.hits) + len(page.hits) in {35, 110}


async def test_a_guarded_handle_searches_its_own_only(store: Sojourn, app: str) -> None:
    for user in ("ada", "eve"):
        key = (await store.sessions.create(app, user, f"of-{user}")).key
        await store.sessions.append(key, *said("secret tea"))
    eve = store.guard().user(Principal.of(app, "eve"))
    assert [hit.session for hit in (await eve.sessions.search("tea")).hits] == ["of-eve"]
    with pytest.raises(SessionNotFound) as foreign:
        await eve.sessions.search("tea", session="of-ada")
    with pytest.raises(SessionNotFound) as none:
        await eve.sessions.search("tea", session="nothing")
    assert str(foreign.value) == str(none.value)


async def test_sealed_content_is_found_with_its_keys_only(shared_server: Server, app: str) -> None:
    keys = TestKeys()
    async with open_sealed(shared_server.url, keys) as store:
        key = (await store.sessions.create(app, "ada", "s", title="sealed tea")).key
        await store.sessions.append(key, *said("sealed tea", "x", 'SEALED\n"tea"'))
        assert await searched(store, app, "ada", "sealed tea") == [("s", 3), ("s", 1)]
        assert await listed(store, app, "ada", query="sealed") == ["s"]
    async with sojourn.open(shared_server.url) as store:
        page = await store.sessions.search(app, "ada", "sealed")
        assert (page.hits, page.skipped) == ([], [key])
        with pytest.raises(KeyMissing):
            await store.sessions.search(app, "ada", "sealed", session="s")
        found = await store.sessions.list(app, "ada", query="sealed")
        assert (found.sessions, found.newer) == ([], [key])


async def test_damaged_events_are_passed_over(shared_server: Server, app: str) -> None:
    async with sojourn.open(shared_server.url) as store:
        for name in ("a", "b"):
            key = (await store.sessions.create(app, "ada", name)).key
            await store.sessions.append(key, *said("tea", "tea", "tea"))
        with shared_server.client() as client:
            client.lset(f"session:{{{app}:ada}}:a:events", 1, b'{"tea"')
            client.hset(f"session:{{{app}:ada}}:b", "seq", b"no number")
        found = await store.sessions.search(app, "ada", "tea")
        assert [(hit.session, hit.seq) for hit in found.hits] == [("a", 3), ("a", 1)]
        assert [key.session for key in found.skipped] == ["b"]
