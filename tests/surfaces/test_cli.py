"""`sojourn sessions ls`, `show` and `rm`, and what all commands share."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cli_kit import Cli

import sojourn
from sojourn import Event

HOSTILE = ("a\nb:[bold]", "\x1b]0;title\x07\u202e", "😀 \x1b[2J[red]\\")
"""An app, a user and a session that would like to run the terminal."""


# ── ls ─────────────────────────────────────────────────────────────────────────────────────────


def test_ls_shows_the_sessions_of_all_apps(cli: Cli) -> None:
    key = cli.create("shop", "ada", "s1", title="Buying shoes")
    cli.append(key, Event(author="user", payload=1), Event(author="user", payload=2))
    cli.create("shop", "", "s2", ttl=None, status="closed")
    cli.create("travel", "bob", "s3")

    ran = cli.run("sessions", "ls")

    assert ran.code == 0
    rows = {row.split()[2]: row.rstrip() for row in ran.out.splitlines()}
    assert set(rows) == {"session", "s1", "s2", "s3"}
    assert "Buying shoes" in rows["s1"]
    assert rows["s1"].split()[-6:-4] == ["active", "2"]  # before "1s ago" and "in 1d"
    assert rows["s1"].endswith("in 1d")
    assert rows["s2"].split()[:2] == ["shop", "''"]
    assert "closed" in rows["s2"]
    assert rows["s2"].split()[-1] == "never"
    assert "3 sessions" in ran.err


def test_ls_narrows_to_an_app_and_a_user(cli: Cli) -> None:
    for app, user in (("shop", "ada"), ("shop", ""), ("travel", "ada"), ("travel", "bob")):
        cli.create(app, user, f"{app}-{user}")

    def listed(*words: str) -> set[str]:
        return {each["session"] for each in cli.run("sessions", "ls", "--json", *words).documents}

    assert listed("--app", "shop") == {"shop-ada", "shop-"}
    assert listed("--app", "shop", "--user", "ada") == {"shop-ada"}
    assert listed("--app", "shop", "--user", "") == {"shop-"}
    assert listed("--user", "ada") == {"shop-ada", "travel-ada"}
    assert listed("--app", "nobody's") == set()


def test_ls_pages_through_more_than_a_page(cli: Cli) -> None:
    async def many(store: sojourn.Sojourn) -> None:
        for number in range(450):
            await store.sessions.create("shop", f"user {number % 3}", f"s{number}")

    cli.fill(many)

    everything = cli.run("sessions", "ls", "--json")
    some = cli.run("sessions", "ls", "--json", "--limit", "7")

    assert {each["session"] for each in everything.documents} == {f"s{n}" for n in range(450)}
    assert "450 sessions\n" in everything.err
    assert len(some.documents) == 7
    assert "7 sessions; there are more" in some.err
    assert len(cli.run("sessions", "ls").out.splitlines()) == 450 + 3  # three batches have heads


def test_ls_shows_the_newest_first(cli: Cli) -> None:
    for number in range(3):
        cli.create("shop", "ada", f"s{number}")

    for scope in ([], ["--app", "shop"], ["--app", "shop", "--user", "ada"]):
        ran = cli.run("sessions", "ls", "--limit", "2", "--json", *scope)
        oldest = cli.run("sessions", "ls", "--oldest", "--limit", "2", "--json", *scope)

        assert [each["session"] for each in ran.documents] == ["s2", "s1"]
        assert [each["session"] for each in oldest.documents] == ["s0", "s1"]


def test_ls_json_has_the_fields_of_a_session(cli: Cli) -> None:
    cli.create("shop", "ada", "s1", title="t", metadata={"k": [1, None]}, ttl=60, state={"x": 1})

    (document,) = cli.run("sessions", "ls", "--json").documents

    assert (document["app"], document["user"], document["session"]) == ("shop", "ada", "s1")
    assert document["metadata"] == {"k": [1, None]}
    assert document["ttl"] == 60
    assert 50 < document["expires_in"] < 70  # the store may set a little more
    assert (document["title"], document["status"], document["length"]) == ("t", "active", 0)
    assert "events" not in document
    assert "state" not in document


@pytest.mark.parametrize("width", ["40", "80", "140"])
def test_ls_shows_ids_whole_on_one_line(
    cli: Cli, width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never folded, never cut: also where the terminal is narrower than an id."""
    session = "0123456789abcdef" * 4
    key = cli.create("a_shop_with_a_name", "ada@example.com", session, title="A title " * 9)
    cli.create("shop", "ada", "s1")
    monkeypatch.setenv("COLUMNS", width)

    ran = cli.run("sessions", "ls")

    rows = [row.split() for row in ran.out.splitlines()]
    assert list(key) in [row[:3] for row in rows]
    assert ["shop", "ada", "s1"] in [row[:3] for row in rows]
    for row in ran.out.splitlines():
        assert len(row) <= int(width) or session in row
    assert "…" in ran.out  # of the title


def test_ls_at_80_columns_is_a_table(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    key = cli.create("shop", "ada", None)
    cli.create("shop", "ada", None)
    monkeypatch.setenv("COLUMNS", "80")

    head, _, second = cli.run("sessions", "ls").out.splitlines()

    assert head.split() == ["app", "user", "session", "events", "updated", "expires"]
    assert second.split()[:4] == [*key, "0"]
    assert len(head) <= 80


def test_a_lifetime_is_shown_as_it_was_asked_for(cli: Cli) -> None:
    """The store may set a hundredth more."""
    for ttl, words in ((3600, "1h"), (86_400, "1d"), (60, "1m"), (7200, "2h")):
        key = cli.create("shop", "ada", f"s{ttl}", ttl=ttl)
        assert f"\nttl          {words} left, until " in cli.run("sessions", "show", *key).out
        assert f", {words} after each change" in cli.run("sessions", "show", *key).out


def test_times_have_their_zone(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    key = cli.create("shop", "ada", "s1")
    cli.append(key, Event(author="user", payload=1, time=0.0))
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert "#1  1970-01-01 05:30:00+05:30" in cli.run("sessions", "show", *key).out
    finally:
        monkeypatch.undo()
        time.tzset()


# ── show ───────────────────────────────────────────────────────────────────────────────────────


def test_show_has_fields_state_by_scope_and_events(cli: Cli) -> None:
    state = {"cart": ["shoe"], "user:lang": "en", "app:motd": "hello"}
    key = cli.create("shop", "ada", "s1", title="Shoes", state=state, metadata={"m": 1})
    first = Event(author="user", payload={"text": "hi"}, time=0.0)
    cli.append(key, first, Event(author="agent", payload="yo", state_delta={"x": 1}))

    shown = cli.run("sessions", "show", *key).out

    blocks = [block.splitlines() for block in shown.split("\n\n")]
    assert blocks[0][0].split() == ["app", "shop"]
    assert any(line.startswith("ttl") and "1d left" in line for line in blocks[0])
    assert blocks[1] == ["state", '    {"cart": ["shoe"], "x": 1}']
    assert blocks[2] == ["user state", '    {"lang": "en"}']
    assert blocks[3] == ["app state", '    {"motd": "hello"}']
    assert blocks[4][0] == "2 events"
    assert blocks[4][1].startswith("#1  19")
    assert blocks[4][1].endswith("  user  message")
    assert blocks[4][2] == "    hi"
    assert blocks[4][-2:] == ["    yo", '    state {"x": 1}']


def test_show_last_and_json(cli: Cli) -> None:
    key = cli.create("shop", "ada", "s1", state={"user:lang": "en"})
    cli.append(key, *(Event(author="user", payload=n) for n in range(5)))

    (document,) = cli.run("sessions", "show", *key, "--last", "2", "--json").documents

    assert [event["seq"] for event in document["events"]] == [4, 5]
    assert [event["payload"] for event in document["events"]] == [3, 4]
    assert document["length"] == 5
    assert document["state"] == {"user:lang": "en"}
    assert "5 events, the last 2" in cli.run("sessions", "show", *key, "--last", "2").out
    assert "5 events, none shown" in cli.run("sessions", "show", *key, "--last", "0").out


def test_show_reads_the_parts_of_adk_content(cli: Cli) -> None:
    parts = [
        {"text": "two\nlines"},
        {"thought": True, "text": "hm"},
        {"function_call": {"name": "get", "args": {"k": "v"}}},
        {"function_response": {"name": "get", "response": {"r": 1}}},
        {"inline_data": {"mime_type": "image/png", "data": "aGVsbG8="}},
        {"file_data": {"file_uri": "gs://b"}},
    ]
    key = cli.create("shop", "ada", "s1")
    content = {"content": {"role": "model", "parts": parts}, "error_message": "bad"}
    cli.append(key, Event(author="agent", kind="adk", payload=content))
    cli.append(key, Event(author="agent", kind="adk", payload={"actions": {}}))

    events = cli.run("sessions", "show", *key).out.partition("2 events\n")[2].splitlines()

    assert [line.strip() for line in events[1:9]] == [
        "two",
        "lines",
        "(thought) hm",
        '→ get {"k": "v"}',
        '← get {"r": 1}',
        "image/png 5 bytes",
        "application/octet-stream gs://b",
        "bad",
    ]
    assert events[10] == '    {"actions": {}}'


def test_show_reads_messages_of_other_frameworks(cli: Cli) -> None:
    """As the dashboard does: by the same renderers."""
    calls = [{"id": "c1", "name": "get", "args": {"k": 1}}]
    answer = {"content": '{"r": 1}', "metadata": {"langchain": {"tool_call_id": "c1"}}}
    key = cli.create("shop", "ada", "s1")
    cli.append(key, Event(author="user", kind="message", payload={"content": "Hello"}))
    cli.append(key, Event(author="ai", payload={"role": "ai", "content": "", "tool_calls": calls}))
    cli.append(key, Event(author="tool", kind="message", payload=answer))
    moved = {"actions": {"transfer_to_agent": "billing"}}
    cli.append(key, Event(author="agent", kind="adk", payload=moved))

    events = cli.run("sessions", "show", *key).out.partition("4 events\n")[2].splitlines()

    assert [line.strip() for line in events if line.startswith("    ")] == [
        "Hello",
        '→ get {"k": 1}',
        '← {"r": 1}',
        "Transferred to billing.",
    ]


def test_odd_times_are_shown(cli: Cli) -> None:
    key = cli.create("shop", "ada", "s1")
    cli.append(key, Event(author="user", payload=1, time=1e300))

    assert "#1  1e+300" in cli.run("sessions", "show", *key).out
    assert cli.run("sessions", "ls").code == 0


# ── hostile text ───────────────────────────────────────────────────────────────────────────────


def test_nothing_hostile_reaches_the_terminal(cli: Cli) -> None:
    text = "a\n#9  forged  user\x1b[31m\x9b31m [bold]x[/bold] \u202e:smile:"
    key = cli.create(*HOSTILE, title=text, status=text, metadata={text: text}, state={text: text})
    payload = {"content": {"parts": [{"text": text}, {"function_call": {"name": text}}]}}
    cli.append(key, Event(author=text, kind="adk", payload=payload))
    cli.append(key, Event(author="user", kind=text, payload=text, state_delta={text: text}))

    for words in (["ls"], ["show", *key], ["ls", "--json"], ["show", *key, "--json"], ["rm", *key]):
        ran = cli.run("sessions", *words)
        assert ran.code == 0
        for character in (ran.out + ran.err).replace("\n", ""):
            assert character.isprintable(), (words, character)
        assert "[bold]" in ran.out
        assert not any(line.startswith("#9") for line in ran.out.splitlines())


@pytest.mark.parametrize("width", ["40", "80"])
def test_no_text_poses_as_an_event(cli: Cli, width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = cli.create("shop", "ada", "s1")
    forged = "x\n" + "#9 2020-01-01 user " * 20
    payload = {"content": {"parts": [{"text": forged}, {"function_call": {"name": forged}}]}}
    cli.append(key, Event(author=forged, kind="adk", payload=payload, state_delta={"k": forged}))
    monkeypatch.setenv("COLUMNS", width)

    lines = cli.run("sessions", "show", *key).out.splitlines()

    after = lines[lines.index("1 event") + 1 :]
    assert [line[:2] for line in after if not line.startswith("    ")] == ["#1"]


def test_hostile_ids_can_be_told_apart(cli: Cli) -> None:
    for session in ("a\nb", "a\\nb", "a\\\nb", "''", " "):
        cli.create("shop", "ada", session)

    rows = cli.run("sessions", "ls").out.splitlines()[1:]

    assert len({row.split("active")[0] for row in rows}) == 5


# ── rm ─────────────────────────────────────────────────────────────────────────────────────────


def test_rm_deletes_one_session_and_keeps_shared_state(cli: Cli) -> None:
    key = cli.create("shop", "ada", "s1", state={"user:lang": "en"})
    other = cli.create("shop", "ada", "s2")

    ran = cli.run("sessions", "rm", *key)

    assert ran.code == 0
    assert ran.out.startswith("Deleted session s1 of user ada of app shop.")
    assert not cli.exists(key)
    assert cli.exists(other)
    assert cli.fill(lambda store: store.sessions.user_state("shop", "ada")) == {"lang": "en"}
    assert cli.run("sessions", "rm", *key, "--yes").code == 1


# ── what all commands share ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", ["show", "tail", "rm"])
def test_what_is_not_there_is_one_line_and_1(cli: Cli, command: str) -> None:
    ran = cli.run("sessions", command, "shop", "", "x\ny")

    assert ran.code == 1
    assert ran.out == ""
    assert ran.err.splitlines()[1:] == [
        r"sojourn: error: there is no session x\ny of user '' of app shop"
    ]


def test_ids_with_a_dash_stand_behind_two(cli: Cli) -> None:
    key = cli.create("-a", "--user", "-")

    assert cli.run("sessions", "show", "--json", "--", *key).documents[0]["app"] == "-a"
    assert cli.run("sessions", "rm", "--", *key).code == 0
    assert cli.run("sessions", "show", *key).code == 2


def test_the_real_command(cli: Cli) -> None:
    key = cli.create("shop", "", "s1", title="Sändung 😀")

    ran = cli.call("sessions", "ls", PYTHONIOENCODING="latin-1")

    assert ran.code == 0
    assert r"Sändung \U0001f600" in ran.out
    assert cli.call("sessions", "show", *key, "--json").documents[0]["title"] == "Sändung 😀"
    assert cli.call("sessions", "show", "shop", "ada", "s1").code == 1


def test_each_command_says_what_it_uses(cli: Cli) -> None:
    where = cli.url
    assert cli.run("sessions", "ls").err.startswith(
        f"sojourn: using {where}, namespace {cli.namespace} (SOJOURN_URL)\n"
    )
    ran = Cli("redis://wrong:1", "wrong").run(
        "sessions", "ls", "--url", f"{where}", "--namespace", cli.namespace
    )
    assert ran.err.startswith(f"sojourn: using {where}, namespace {cli.namespace} (--url)\n")


def test_the_environment_is_the_applications(cli: Cli) -> None:
    """A command reads what `sojourn.default()` reads, but for the outage buffer."""
    key = cli.create("shop", "ada", "s1")
    words = ("sessions", "show", *key, "--json", "--namespace", cli.namespace)
    buffer = {"REDIS_FALLBACK_TO_MEMORY": "true", "SOJOURN_JOURNAL": "/dev/null/journal"}

    ran = Cli("", "").call(*words, REDIS_URL=cli.url, **buffer)

    assert ran.documents[0]["session"] == "s1"
    assert f"using {cli.url}, namespace {cli.namespace} (REDIS_URL)" in ran.err


def test_the_default_is_embedded(tmp_path: Path) -> None:
    cli = Cli("", "")

    ran = cli.call("sessions", "ls", cwd=tmp_path)

    assert (ran.code, ran.out) == (0, "")
    assert "sojourn: using embedded:.sojourn (the default" in ran.err
    assert "nothing was there" in ran.err
    assert "no sessions" in ran.err
    cli.url = f"embedded:{tmp_path / '.sojourn'}"
    key = cli.create("shop", "ada", "s1")
    assert cli.exists(key)
    cli.url = ""
    assert cli.call("sessions", "ls", "--json", cwd=tmp_path).documents[0]["session"] == "s1"


def test_a_reader_that_leaves_is_no_error(cli: Cli) -> None:
    async def many(store: sojourn.Sojourn) -> None:
        metadata = {"fill": "x" * 1000}
        for number in range(300):
            await store.sessions.create("shop", "ada", f"s{number}", metadata=metadata)

    cli.fill(many)
    for words in (["ls", "--json"], ["ls"]):
        process = cli.start("sessions", *words)
        with process:
            process.stdout.readline()
            process.stdout.close()
            errors = process.stderr.read()
        assert process.returncode == 0
        assert len(errors.splitlines()) <= 2, errors


def test_help_and_version() -> None:
    cli = Cli("", "")

    assert cli.run("--version") == (0, f"sojourn {sojourn.__version__}\n", "")
    assert cli.call() == cli.call("--help")
    assert "Exit codes" in cli.run().out
    for command in ("ls", "show", "tail", "rm", "clear"):
        assert command in cli.run("sessions").out
        assert "Exit codes" in cli.run("sessions", command, "--help").out
