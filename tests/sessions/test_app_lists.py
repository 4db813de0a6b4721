"""Lists of an app cost round trips by pages, not by users, and miss nobody."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import Event, SessionKey
from sojourn.transfer import export


async def filled(store: sojourn.Sojourn, users: int) -> str:
    """An app with users of one session, one with many, and one with none any more."""
    app = secrets.token_hex(4)
    owners = [*(f"u{number}" for number in range(users)), *["many"] * 120, "none"]
    made = await asyncio.gather(*(store.sessions.create(app, owner) for owner in owners))
    await store.sessions.delete(made[-1].key)
    return app


async def walk(store: sojourn.Sojourn, app: str, limit: int) -> list[SessionKey]:
    found: list[SessionKey] = []
    cursor = None
    while True:
        page = await store.sessions.list(app, limit=limit, cursor=cursor)
        assert len(page.sessions) <= limit
        found += [session.key for session in page.sessions]
        cursor = page.cursor
        if cursor is None:
            return found


async def test_every_session_of_an_app_is_listed_once(url: str) -> None:
    async with sojourn.open(url) as store:
        app = await filled(store, 40)
        for limit in (7, 100, 1000):
            found = await walk(store, app, limit)
            assert len(found) == len(set(found)) == 160
            owners = [key.user for key in found]
            assert owners.count("many") == 120
            assert set(owners[owners.index("many") :][:120]) == {"many"}, "users stay together"


async def test_a_page_of_an_app_takes_three_round_trips(shared_server: Server) -> None:
    async with Proxy(shared_server.port) as proxy, sojourn.open(proxy.url) as store:
        app = await filled(store, 60)
        await walk(store, app, 10)
        before = len(proxy.requests)
        page = await store.sessions.list(app, limit=50)
        assert len(page.sessions) == 50
        assert len(proxy.requests) - before == 3


async def test_revoking_an_app_takes_round_trips_by_pages(shared_server: Server) -> None:
    async with Proxy(shared_server.port) as proxy, sojourn.open(proxy.url) as store:
        app = await filled(store, 60)
        before = len(proxy.requests)
        done = await store.admin.revoke_app(app)
        assert (done.sessions, done.cursor) == (180, None)
        assert len(proxy.requests) - before < 12
        assert await walk(store, app, 100) == []


async def test_sweeping_an_app_takes_round_trips_by_pages(shared_server: Server) -> None:
    async with Proxy(shared_server.port) as proxy, sojourn.open(proxy.url) as store:
        app = await filled(store, 60)
        before = len(proxy.requests)
        done = await store.admin.sweep(app)
        assert (done.users, done.cursor) == (62, None)
        assert len(proxy.requests) - before < 10


async def test_exporting_an_app_takes_round_trips_by_pages(
    shared_server: Server, tmp_path: Path
) -> None:
    async with Proxy(shared_server.port) as proxy, sojourn.open(proxy.url) as store:
        rounds: list[int] = []
        for users in (60, 160):
            app = await filled(store, users)
            before = len(proxy.requests)
            done = await export(store, tmp_path / app, app=app)
            assert done.counts.sessions == users + 120
            rounds.append(len(proxy.requests) - before)
        assert rounds[1] - rounds[0] < 8, "for a hundred users more"


async def test_a_list_comes_newest_first_when_asked(url: str) -> None:
    async with sojourn.open(url) as store:
        app = secrets.token_hex(4)
        made = [await store.sessions.create(app, "ada", labels={"flow": "tea"}) for _ in range(7)]
        for session in made[:3]:  # in an order of its own
            await store.sessions.append(session.key, Event(author="a", payload=1))
        expected = [each.key for each in (*reversed(made[:3]), *reversed(made[3:]))]
        for labels in (None, {"flow": "tea"}):
            for limit in (1, 3, 7, 100):
                found: list[SessionKey] = []
                cursor = None
                while True:
                    page = await store.sessions.list(
                        app, "ada", labels=labels, newest_first=True, limit=limit, cursor=cursor
                    )
                    found += [each.key for each in page.sessions]
                    cursor = page.cursor
                    if cursor is None:
                        break
                assert found == expected
        oldest = await store.sessions.list(app, "ada")
        assert [each.key for each in oldest.sessions] == expected[::-1]


async def test_what_changes_meanwhile_is_on_top_and_not_on_the_next_page(url: str) -> None:
    async with sojourn.open(url) as store:
        app = secrets.token_hex(4)
        made = [(await store.sessions.create(app, "ada")).key for _ in range(4)]
        first = await store.sessions.list(app, "ada", newest_first=True, limit=2)
        await store.sessions.append(made[0], Event(author="a", payload=1))
        rest = await store.sessions.list(
            app, "ada", newest_first=True, limit=2, cursor=first.cursor
        )
        again = await store.sessions.list(app, "ada", newest_first=True, limit=1)
        assert [each.key for each in rest.sessions] == [made[1]]
        assert [each.key for each in again.sessions] == [made[0]]


async def test_an_app_comes_newest_first_when_asked(url: str) -> None:
    async with sojourn.open(url) as store:
        app = secrets.token_hex(4)
        made = [(await store.sessions.create(app, f"u{n}")).key for n in range(5)]
        page = await store.sessions.list(app, newest_first=True, limit=3)
        rest = await store.sessions.list(app, newest_first=True, cursor=page.cursor)
        assert [each.key for each in (*page.sessions, *rest.sessions)] == made[::-1]
