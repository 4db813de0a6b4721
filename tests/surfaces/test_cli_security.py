"""`sojourn security`: what was refused, for all processes."""

from __future__ import annotations

import asyncio

from cli_kit import Cli

import sojourn
from sojourn.security import Principal


def test_failed_attempts_and_flagged_sessions_of_all_processes_are_shown(cli: Cli) -> None:
    async def attack() -> None:
        async with sojourn.open(cli.url, namespace=cli.namespace) as store:
            ada, bob = (store.guard().user(Principal.of("shop", user)) for user in ("ada", "bob"))
            made = await ada.sessions.create()
            for session in (made.key.session, made.key.session, "never-was"):
                await bob.sessions.get(session)

    asyncio.run(attack())
    (document,) = cli.run("security", "shop", "--json").documents
    assert document == {
        "app": "shop",
        "total_failed_attempts": 3,
        "flagged_sessions": 1,
        "reasons": {"not_found:foreign": 2, "not_found:unknown": 1},
    }
    shown = cli.run("security", "shop").out
    assert "3 failed attempts, about 1 flagged sessions" in shown
    assert "foreign" in shown
    assert "0 failed attempts" in cli.run("security", "other").out


def test_an_app_that_cannot_be_one_is_refused(cli: Cli) -> None:
    assert cli.run("security", "").code == 2
