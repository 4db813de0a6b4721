"""`sojourn sessions`: sweep, filters, and the words of a session."""

from __future__ import annotations

import asyncio

from cli_kit import Cli

import sojourn


def test_all_apps_are_swept(cli: Cli) -> None:
    async def prepare() -> None:
        async with sojourn.open(cli.url, namespace=cli.namespace) as store:
            for app in ("one", "two"):
                await store.sessions.create(app, "ada", "lives")
                await store.sessions.create(app, "ada", "short", ttl=0.01)
                async with asyncio.timeout(5):
                    while len((await store.sessions.list(app, "ada")).sessions) == 2:
                        await asyncio.sleep(0.01)

    asyncio.run(prepare())
    (done,) = cli.run("sessions", "sweep", "--json").documents
    assert done["users"] == 2
    assert set(done) == {"users", "expired", "dropped", "restored", "carried", "corrupt"}
    ran = cli.run("sessions", "sweep", "--app", "one")
    assert ran.code == 0
    assert "1 users" in ran.out


def test_sessions_are_listed_by_pattern_and_status_and_shown_with_their_words(cli: Cli) -> None:
    async def prepare() -> None:
        async with sojourn.open(cli.url, namespace=cli.namespace) as store:
            for name, status in (("order-1", "open"), ("order-2", "closed"), ("call-1", "open")):
                await store.sessions.create(
                    "one", "ada", name, status=status, labels={"flow": "greeting"}
                )

    asyncio.run(prepare())
    ran = cli.run("sessions", "ls", "--pattern", "order-*", "--status", "open", "--json")
    assert [each["session"] for each in ran.documents] == ["order-1"]
    assert ran.documents[0]["labels"] == {"flow": "greeting"}
    assert "greeting" in cli.run("sessions", "show", "one", "ada", "order-1").out
    for label, count in (("flow=greeting", 3), ("flow=checkout", 0)):
        for owner in (["--user", "ada"], []):
            ran = cli.run("sessions", "ls", *owner, "--label", label, "--json")
            assert len(ran.documents) == count
    assert cli.run("sessions", "ls", "--label", "flow").code == 2
