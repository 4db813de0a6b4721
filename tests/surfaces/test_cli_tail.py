"""`sojourn sessions tail` while the session lives, and when it ends."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from cli_kit import SECONDS, Cli, Lines

import sojourn
from servers import Server
from sojourn import Event


@contextmanager
def tail(cli: Cli, *words: str) -> Iterator[tuple[subprocess.Popen[str], Lines]]:
    process = cli.start("sessions", "tail", "--interval", "0.05", *words)
    try:
        yield process, Lines(process.stdout)
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    code = process.wait(SECONDS)
    return code, process.stderr.read().splitlines()[-1]


def said(text: str) -> Event:
    return Event(author="user", payload=text)


def test_tail_shows_the_last_and_then_what_comes(cli: Cli) -> None:
    key = cli.create("shop", "ada", "s1")
    cli.append(key, *(said(f"old {number}") for number in range(5)))
    with tail(cli, "--last", "2", *key) as (_, lines):
        assert lines.next().startswith("#4 ")
        assert lines.next() == "    old 3\n"
        assert lines.next().startswith("#5 ")
        assert lines.next() == "    old 4\n"
        for number in range(6, 9):
            cli.append(key, said(f"new {number}"))
            assert lines.next().startswith(f"#{number} ")
            assert lines.next() == f"    new {number}\n"


def test_tail_json_has_every_event_once_and_in_order(cli: Cli) -> None:
    key = cli.create("shop", "", "s1")
    cli.append(key, said("before"), said("first"))
    with tail(cli, "--json", "--last", "1", *key) as (_, lines):
        assert json.loads(lines.next())["payload"] == "first"

        async def write(store: sojourn.Sojourn) -> None:
            for number in range(300):
                await store.sessions.append(key, said(str(number)), said("and"))

        cli.fill(write)
        seen = [json.loads(lines.next()) for _ in range(600)]
    assert [event["seq"] for event in seen] == list(range(3, 603))
    assert seen[2]["payload"] == "1"


def test_ctrl_c_ends_it_in_peace(cli: Cli) -> None:
    key = cli.create("shop", "ada", "s1")
    cli.append(key, said("hi"))
    with tail(cli, *key) as (process, lines):
        lines.until("hi")
        process.send_signal(signal.SIGINT)
        code, last = ended(process)
    assert code == 0
    assert last.startswith("sojourn: using")


def test_it_ends_with_the_session(cli: Cli) -> None:
    deleted = cli.create("shop", "ada", "deleted")
    expiring = cli.create("shop", "ada", "expiring", ttl=8)
    again = cli.create("shop", "ada", "again")
    for key in (deleted, expiring, again):
        cli.append(key, said("hi"))

    async def replace(store: sojourn.Sojourn) -> None:
        await store.sessions.delete(again)
        await store.sessions.create(*again)

    with (
        tail(cli, *deleted) as (of_deleted, lines),
        tail(cli, *expiring) as (of_expiring, more),
        tail(cli, *again) as (of_again, others),
    ):
        for each in (lines, more, others):
            each.until("hi")
        cli.fill(lambda store: store.sessions.delete(deleted))
        cli.fill(replace)
        code, last = ended(of_deleted)
        assert (code, "was deleted or has expired" in last) == (1, True)
        code, last = ended(of_again)
        assert code == 1
        assert "was deleted" in last
        code, last = ended(of_expiring)
        assert (code, "was deleted or has expired" in last) == (1, True)


def test_it_ends_with_the_server(server: Server) -> None:
    cli = Cli(server.url, "")
    key = cli.create("shop", "ada", "s1")
    cli.append(key, said("hi"))
    with tail(cli, *key) as (process, lines):
        lines.until("hi")
        server.stop(9)
        code, last = ended(process)
    assert code == 3
    assert last.startswith("sojourn: error: ")


def test_a_reader_that_leaves_ends_it(cli: Cli) -> None:
    key = cli.create("shop", "ada", "s1")
    cli.append(key, said("hi"))
    process = cli.start("sessions", "tail", "--json", "--interval", "0.05", *key)
    with process:
        assert "hi" in process.stdout.readline()
        process.stdout.close()
        cli.append(key, said("nobody reads this"))
        assert ended(process)[0] == 0
