"""`sojourn export` and `sojourn import`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Cli

import sojourn
from servers import Server
from sojourn.keys.ring import KeyRing
from sojourn.transfer.sealing import sealed


@pytest.fixture
def other(shared_server: Server) -> Cli:
    return Cli(shared_server.url, f"cli-{secrets.token_hex(4)}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def _filled(cli: Cli) -> sojourn.SessionKey:
    key = cli.create("shop", "ada", "one", state={"user:n": 1})
    cli.append(key, *(sojourn.Event(author="user", payload=n) for n in range(3)))
    return key


def test_a_store_goes_into_a_file_and_out_of_it(cli: Cli, other: Cli, file: Path):
    key = _filled(cli)
    out = cli.run("export", str(file))
    assert (out.code, out.out.startswith("Exported 1 sessions with 3 events, 1 states")) == (
        0,
        True,
    )
    assert cli.run("import", "--check", str(file)).out.startswith(f"{file} is whole")
    assert other.run("import", str(file)).code == 0
    found = other.fill(lambda store: store.sessions.get(key))
    assert [event.payload for event in found.events] == [0, 1, 2]
    again = other.run("import", str(file), "--json").documents[0]
    assert (again["identical"], again["sessions"]) == (2, 0)


def test_an_export_is_narrowed_on_the_command_line(cli: Cli, file: Path):
    _filled(cli)
    cli.create("blog", "bob", "two")
    words = ("export", str(file), "--json", "--app", "blog", "--since", "2020-01-31T12:00")
    assert cli.run(*words).documents[0]["sessions"] == 1
    late = cli.run("export", str(file) + "2", "--json", "--until", "1000")
    assert late.documents[0]["sessions"] == 0
    assert cli.run("export", str(file) + "3", "--since", "yesterday").code == 2


def test_a_conflict_is_named_and_told_by_the_exit_code(cli: Cli, other: Cli, file: Path):
    key = _filled(cli)
    cli.run("export", str(file))
    other.create(*key)
    ran = other.run("import", str(file))
    assert ran.code == 1
    assert "session 'one'" in ran.err
    failed = other.run("import", str(file), "--existing", "fail")
    assert failed.code == 1
    assert "error: There is another session 'one'" in failed.err
    assert other.run("import", str(file), "--existing", "replace").code == 0
    found = other.fill(lambda store: store.sessions.get(key))
    assert len(found.events) == 3


def test_what_cannot_be_read_is_named_and_told_by_the_exit_code(
    cli: Cli, shared_server: Server, file: Path
):
    _filled(cli)
    log = f"{cli.namespace}:session:{{shop:ada}}:one:events"
    shared_server.client().lset(log, 1, "damaged")
    ran = cli.run("export", str(file))
    assert ran.code == 1
    assert "event 2" in ran.err
    assert "1 record could not be read" in ran.err
    assert cli.run("export", f"{file}2", "--skip-corrupt").code == 0


def test_a_damaged_file_is_wrong_input_and_says_its_line(cli: Cli, other: Cli, file: Path):
    _filled(cli)
    cli.run("export", str(file))
    data = bytearray(file.read_bytes())
    data[data.index(b"\n") + 40] ^= 1
    file.write_bytes(data)
    for words in (("import", str(file)), ("import", "--check", str(file))):
        ran = other.run(*words)
        assert ran.code == 2
        assert "Line 2" in ran.err
    assert not other.fill(lambda store: store.admin.apps()).names


def test_a_complete_file_is_not_written_again(cli: Cli, file: Path):
    _filled(cli)
    assert cli.run("export", str(file)).code == 0
    ran = cli.run("export", str(file))
    assert ran.code == 2
    assert "complete" in ran.err


def _rewritten(file: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the lines of an archive as a newer version may have written them."""
    bodies = [json.loads(line) for line in file.read_bytes().splitlines()]
    for each in bodies:
        del each["sum"]
    change(bodies)
    before, out = "", b""
    for each in bodies:
        data, before = sealed(json.dumps(each, separators=(",", ":")).encode()[:-1], before)
        out += data + b"\n"
    file.write_bytes(out)


def test_what_an_import_passes_over_is_named(cli: Cli, other: Cli, file: Path):
    _filled(cli)
    cli.run("export", str(file))

    def change(bodies: list[dict[str, Any]]) -> None:
        bodies[1].update(colour="red", more={"mood": "blue"})
        bodies.insert(1, {"kind": "holo\x1bgram"})
        bodies[-1]["lines"] += 1

    _rewritten(file, change)
    for words in (("import", "--check", str(file)), ("import", str(file))):
        ran = other.run(*words)
        assert ran.code == 0
        assert r"lines: holo\x1bgram (1); members: state.colour (1); fields: " in ran.err
        (document,) = other.run(*words, "--json").documents
        assert document["passed_over"] == {
            "lines": {"holo\x1bgram": 1},
            "members": {"state.colour": 1},
            "fields": {"state.mood": 1},
        }


def test_an_archive_of_a_newer_format_is_wrong_input(cli: Cli, other: Cli, file: Path):
    _filled(cli)
    cli.run("export", str(file))
    _rewritten(file, lambda bodies: bodies[0].update(format=2))
    for words in (("import", str(file)), ("import", "--check", str(file)), ("export", str(file))):
        ran = other.run(*words)
        assert ran.code == 2
        assert "the format 2" in ran.err


def test_what_only_a_newer_version_can_read_is_named_and_told_by_the_exit_code(
    cli: Cli, shared_server: Server, file: Path
):
    _filled(cli)
    whole = f"{file}0"
    cli.run("export", whole)
    client = shared_server.client()
    client.hset(f"{cli.namespace}:session:{{shop:ada}}:one", "format", "2")
    ran = cli.run("export", str(file))
    assert ran.code == 1
    assert "session 'one'" in ran.err
    assert "1 record can only be read by a newer version" in ran.err
    assert cli.run("export", f"{file}2", "--skip-corrupt", "--json").documents[0]["newer"] == 1
    ran = cli.run("import", whole, "--existing", "replace", "--json")
    assert (ran.code, ran.documents[0]["newer_there"]) == (1, 1)


def test_a_store_with_keys_goes_into_a_sealed_file(
    cli: Cli, other: Cli, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sojourn.transfer.locking._COST", 2**10)
    _filled(cli)
    for name in ("ring", "others"):
        KeyRing.new(migrating=True).save(tmp_path / name)
    words, loose = tmp_path / "words", tmp_path / "loose"
    for path in (words, loose):
        path.write_text("correct horse\n")
    words.chmod(0o600)
    ring, others = str(tmp_path / "ring"), str(tmp_path / "others")
    done = cli.run("export", str(file), "--keys", ring)
    assert (done.code, "sealed with master key" in done.out) == (0, True)
    assert b"shop" not in file.read_bytes()
    assert (
        cli.run("export", str(file) + "2", "--keys", ring, "--plain", "--json").documents[0][
            "sealed_by"
        ]
        is None
    )
    assert b"shop" in Path(f"{file}2").read_bytes()
    for wrong in ((), ("--archive-keys", others)):
        refused = other.run("import", str(file), *wrong)
        assert (refused.code, "master key" in refused.err) == (2, True)
    assert other.run("import", "--check", str(file), *wrong).code == 2
    assert other.run("import", "--check", str(file), "--keys", ring).code == 0
    done = other.run("import", str(file), "--archive-keys", ring, "--keys", others, "--json")
    assert (done.code, done.documents[0]["events"]) == (0, 3)

    phrase = ("--passphrase-file", str(words))
    assert cli.run("export", str(file) + "3", *phrase).code == 0
    found = cli.run("import", "--check", str(file) + "3", *phrase, "--json").documents[0]
    assert (found["events"], found["sealed_by"]) == (3, "a passphrase")
    refused = cli.run("import", str(file) + "3", "--passphrase-file", str(loose))
    assert (refused.code, "chmod 600" in refused.err) == (2, True)
    assert "correct" not in refused.err


def test_what_is_sealed_with_a_key_that_is_not_here_is_named(
    cli: Cli, other: Cli, file: Path, tmp_path: Path
):
    _filled(cli)
    KeyRing.new().save(tmp_path / "ring")
    cli.run("export", str(file))
    assert other.run("import", str(file), "--keys", str(tmp_path / "ring")).code == 0
    done = other.run("export", str(file) + "2")
    assert done.code == 1
    assert "sealed with the key" in done.err
    assert "--keys" in done.err
