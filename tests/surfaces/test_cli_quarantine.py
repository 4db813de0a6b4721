"""`sojourn quarantine ls`, `show` and `rm`, and what the other commands make of damaged records."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from cli_kit import Cli, Ran

from servers import Server
from sojourn import Event, SessionKey
from sojourn.ids import escape

HOSTILE = b'{"id":"\x1b]0;title\x07","time":\xff\n#9  forged\r\x9b31m [bold]x[/bold] \xe2\x80\xae'


@pytest.fixture
def client(shared_server: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(shared_server.url) as client:
        yield client


def damage(cli: Cli, client: redis.Redis, key: SessionKey, row: bytes = HOSTILE) -> None:
    """A session of three events, the second of which cannot be read."""
    cli.create(*key, state={"n": 1})
    cli.append(key, *(Event(author="user", payload=n) for n in range(3)))
    client.lset(f"{head_of(cli, key)}:events", 1, row)


def head_of(cli: Cli, key: SessionKey) -> str:
    app, user, session = map(escape, key)
    return f"{cli.namespace}:session:{{{app}:{user}}}:{session}"


def notes(ran: Ran) -> list[str]:
    """What stands on stderr behind the line that says what is used."""
    return [line for line in ran.err.splitlines() if not line.startswith("sojourn: using ")]


@pytest.fixture
def ada() -> SessionKey:
    return SessionKey.of("shop", "ada", "s1")


@pytest.fixture
def record(cli: Cli, client: redis.Redis, ada: SessionKey) -> Any:
    """What `ls --json` says of a damaged event of ada's."""
    damage(cli, client, ada)
    assert cli.run("sessions", "show", *ada).code == 0
    (document,) = cli.run("quarantine", "ls", "--json").documents
    return document


# ── ls ─────────────────────────────────────────────────────────────────────────────────────────


def test_ls_shows_what_could_not_be_read(cli: Cli, record: Any) -> None:
    assert record == {
        "app": "shop",
        "user": "ada",
        "id": record["id"],
        "key": f"{cli.namespace}:session:{{shop:ada}}:s1:events",
        "field": "2",
        "reason": "its checksum is missing or wrong",
        "time": record["time"],
        "size": len(HOSTILE),
    }
    ran = cli.run("quarantine", "ls")
    assert ran.code == 0
    row = ran.out.splitlines()[1]
    assert row.split()[:5] == ["shop", "ada", record["id"], record["key"], "2"]
    assert "its checksum is missing or wrong" in row
    assert notes(ran) == ["sojourn: 1 record"]


def test_ls_narrows_to_an_app_and_a_user(cli: Cli, client: redis.Redis) -> None:
    for app, user in (("shop", "ada"), ("shop", ""), ("travel", "ada")):
        key = SessionKey.of(app, user, "s")
        damage(cli, client, key)
        cli.run("sessions", "show", *key)

    def listed(*words: str) -> set[tuple[str, str]]:
        ran = cli.run("quarantine", "ls", "--json", *words)
        return {(each["app"], each["user"]) for each in ran.documents}

    assert listed() == {("shop", "ada"), ("shop", ""), ("travel", "ada")}
    assert listed("--app", "shop") == {("shop", "ada"), ("shop", "")}
    assert listed("--app", "shop", "--user", "") == {("shop", "")}
    assert listed("--user", "ada") == {("shop", "ada"), ("travel", "ada")}
    assert listed("--app", "nobody's") == set()


def test_ls_of_nothing_says_so(cli: Cli) -> None:
    ran = cli.run("quarantine", "ls")
    assert (ran.code, ran.out, notes(ran)) == (0, "", ["sojourn: no records"])


def test_ls_never_scans(cli: Cli, client: redis.Redis, record: Any) -> None:
    client.config_resetstat()
    assert cli.run("quarantine", "ls").code == 0
    used = {*client.info("commandstats")}
    assert not {"cmdstat_keys", "cmdstat_scan", "cmdstat_hscan", "cmdstat_zscan"} & used


# ── show ───────────────────────────────────────────────────────────────────────────────────────


def test_show_has_the_bytes_as_text_and_in_hexadecimal(cli: Cli, record: Any) -> None:
    ran = cli.run("quarantine", "show", "shop", "ada", record["id"])

    assert ran.code == 0
    shown = ran.out.splitlines()
    assert any(line.split() == ["key", record["key"]] for line in shown)
    assert r'    {"id":"\x1b]0;title\x07","time":\xff' in shown
    assert any(line.startswith("    00000000  7b 22 69 64 22 3a 22 1b ") for line in shown)
    assert (
        b"".join(bytes.fromhex(line[14:61]) for line in shown[shown.index("hexadecimal") + 1 :])
        == HOSTILE
    )


def test_show_json_has_all_bytes(cli: Cli, client: redis.Redis, ada: SessionKey) -> None:
    row = bytes(range(256)) * 100
    damage(cli, client, ada, row)
    cli.run("sessions", "show", *ada)
    (listed,) = cli.run("quarantine", "ls", "--json").documents

    (document,) = cli.run("quarantine", "show", "shop", "ada", listed["id"], "--json").documents

    assert b64decode(document.pop("raw")) == row
    assert document == listed
    shown = cli.run("quarantine", "show", "shop", "ada", listed["id"]).out
    assert "25,600; the first 4,096 are shown" in shown
    assert "00000ff0" in shown
    assert "00001000" not in shown


def test_nothing_hostile_reaches_the_terminal(
    cli: Cli, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = SessionKey.of("a\nb:[bold]", "\x1b]0;title\x07\u202e", "😀 \x1b[2J[red]\\")
    damage(cli, client, key)
    client.hset(head_of(cli, key), b"state:\x1b[2J\xff\n#9", HOSTILE)
    client.hset(head_of(cli, key), b"state:n", HOSTILE)
    monkeypatch.setenv("COLUMNS", "100")

    for words in (["sessions", "show", *key], ["sessions", "ls"], ["quarantine", "ls"]):
        check_harmless(cli.run(*words))
    records = cli.run("quarantine", "ls", "--json").documents
    assert len(records) == 3
    for each in records:
        for words in (["show"], ["show", "--json"], ["rm"]):
            check_harmless(cli.run("quarantine", *words, "--", *key[:2], each["id"]))


def check_harmless(ran: Ran) -> None:
    assert ran.code == 0
    for character in (ran.out + ran.err).replace("\n", ""):
        assert character.isprintable(), character
    assert not any(line.startswith("#9") for line in ran.out.splitlines())


# ── rm ─────────────────────────────────────────────────────────────────────────────────────────


def test_rm_takes_one_record_out(cli: Cli, client: redis.Redis, record: Any) -> None:
    words = ("quarantine", "rm", "shop", "ada", record["id"])

    ran = cli.run(*words)

    assert ran.code == 0
    assert ran.out.startswith(f"Removed record {record['id']} of user ada of app shop.")
    assert cli.run("quarantine", "ls", "--json").documents == []
    assert client.lindex(record["key"], 1) == HOSTILE
    assert cli.run(*words, "--yes").code == 1


@pytest.mark.parametrize("command", ["show", "rm"])
def test_what_is_not_there_is_one_line_and_1(cli: Cli, command: str) -> None:
    ran = cli.run("quarantine", command, "shop", "", "x\ny")

    assert (ran.code, ran.out) == (1, "")
    assert notes(ran) == [
        r"sojourn: error: there is no record x\ny of user '' of app shop in the quarantine"
    ]


# ── the other commands ─────────────────────────────────────────────────────────────────────────


def test_a_damaged_session_is_shown_without_what_cannot_be_read(
    cli: Cli, client: redis.Redis, ada: SessionKey
) -> None:
    damage(cli, client, ada)

    ran = cli.call("sessions", "show", *ada)

    assert ran.code == 0
    assert "3 events, 2 shown" in ran.out
    assert "complete     no: " in ran.out
    assert notes(ran) == ["sojourn: 1 stored record cannot be read: see sojourn quarantine ls"]
    (document,) = cli.call("sessions", "show", *ada, "--json").documents
    assert (document["complete"], [event["seq"] for event in document["events"]]) == (False, [1, 3])
    assert len(cli.call("quarantine", "ls", "--json").documents) == 1


def test_a_session_that_cannot_be_read_is_named_and_no_other_is_hidden(
    cli: Cli, client: redis.Redis, ada: SessionKey
) -> None:
    other = cli.create("shop", "ada", "s2")
    cli.create(*ada)
    client.hset(head_of(cli, ada), "seq", "mine")

    for words in (["--app", "shop"], ["--app", "shop", "--user", "ada"], []):
        ran = cli.call("sessions", "ls", "--json", *words)
        assert ran.code == 0
        assert [each["session"] for each in ran.documents] == ["s2"]
        named = "sojourn: cannot be read and not listed: session s1 of user ada of app shop"
        assert named in notes(ran)
    ran = cli.call("sessions", "show", *ada)
    assert ran.code == 3
    assert len(notes(ran)) == 1
    ran = cli.run("sessions", "clear", "--app", "shop", "--yes")
    named = "sojourn: cannot be read and not deleted: session s1 of user ada of app shop"
    assert named in notes(ran)
    assert not cli.exists(other)
    assert cli.run("sessions", "rm", *ada).code == 0
    assert cli.run("sessions", "ls", "--json").documents == []
    assert [each["field"] for each in cli.run("quarantine", "ls", "--json").documents] == ["seq"]


def test_a_session_of_a_newer_format_is_named_and_no_other_is_hidden(
    cli: Cli, client: redis.Redis, ada: SessionKey
) -> None:
    other = cli.create("shop", "ada", "s2")
    cli.create(*ada)
    client.hset(head_of(cli, ada), "format", "2")
    why = "can only be read by a newer version of Sojourn"
    ran = cli.call("sessions", "ls", "--json")
    assert [each["session"] for each in ran.documents] == ["s2"]
    assert f"sojourn: {why} and not listed: session s1 of user ada of app shop" in notes(ran)
    ran = cli.run("sessions", "clear", "--app", "shop", "--yes")
    assert f"sojourn: {why} and not deleted: session s1 of user ada of app shop" in notes(ran)
    assert not cli.exists(other)
    assert cli.run("sessions", "rm", *ada).code == 0


def test_a_user_whose_index_is_foreign_is_named_and_no_other_is_hidden(
    cli: Cli, client: redis.Redis, ada: SessionKey
) -> None:
    cli.create(*ada)
    index = f"{cli.namespace}:sessions:{{shop:ada}}"
    assert client.delete(index) == 1
    client.set(index, "mine")
    who = "the sessions of user ada of app shop, whose index is a key of another type"
    ran = cli.run("sessions", "clear", "--app", "shop", "--yes")
    assert "There are no sessions that can be read of app shop" in ran.out
    assert f"sojourn: not deleted: {who}" in notes(ran)
    other = cli.create("shop", "bob", "s2")
    ran = cli.run("sessions", "ls", "--json", "--app", "shop", "--oldest")
    assert [each["session"] for each in ran.documents] == ["s2"]
    assert f"sojourn: not listed: {who}" in notes(ran)
    ran = cli.run("sessions", "ls", "--json", "--app", "shop")  # by another index
    assert [each["session"] for each in ran.documents] == ["s2", "s1"]
    cli.run("sessions", "clear", "--app", "shop", "--yes")
    assert not cli.exists(other)


def test_help_names_the_commands() -> None:
    cli = Cli("", "")
    assert "quarantine" in cli.run().out
    for command in ("ls", "show", "rm"):
        assert command in cli.run("quarantine").out
        assert "Exit codes" in cli.run("quarantine", command, "--help").out


def test_json_is_ascii(cli: Cli, client: redis.Redis) -> None:
    key = SessionKey.of("shöp", "😀", "s")
    damage(cli, client, key)
    cli.run("sessions", "show", *key)
    ran = cli.run("quarantine", "ls", "--json")
    assert ran.out.isascii()
    assert json.loads(ran.out)["user"] == "😀"
