"""`sojourn user export`, `user forget` and `sessions revoke`."""

from __future__ import annotations

import json
import re
import stat
from base64 import b64decode
from pathlib import Path

import pytest
from cli_kit import Cli

import sojourn
from sojourn import UserKey
from sojourn.testing.forgetting import fill, of_user


@pytest.fixture
def filled(cli: Cli) -> Cli:
    async def work(store: sojourn.Sojourn) -> None:
        for owner in (UserKey.of("shop", "ada"), UserKey.of("travel", "ada")):
            await fill(store, owner)
        await fill(store, UserKey.of("shop", "bob"), "bobs")

    cli.fill(work)
    return cli


def kept(cli: Cli, app: str, user: str) -> int:
    return len(cli.fill(lambda store: of_user(store, UserKey.of(app, user))))


def test_everything_about_a_user_is_exported(filled: Cli) -> None:
    ran = filled.run("user", "export", "ada", "--json")
    assert "exported of user ada: session " in ran.err
    assert ran.code == 0
    kinds = [each["kind"] for each in ran.documents]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "session": 4,
        "event": 4,
        "user_state": 2,
        "memory": 6,
        "artifact": 6,
        "cached": 2,
    }
    assert {each["key"]["app"] for each in ran.documents} == {"shop", "travel"}
    assert "bobs" not in ran.out
    first = {each["kind"]: each for each in reversed(ran.documents)}
    assert first["event"]["value"]["payload"] == "secret"
    assert first["session"]["value"]["state"] == {"own": "secret"}
    assert first["user_state"]["value"] == {"theirs": "secret"}
    assert b64decode(first["artifact"]["value"]["data"]) == b"secret"
    assert first["memory"]["value"]["value"] == "secret"
    assert first["cached"]["value"] == "secret"
    assert len(filled.run("user", "export", "ada", "--app", "shop", "--json").documents) == 12


def test_an_export_goes_into_a_new_file_that_only_its_owner_reads(
    filled: Cli, tmp_path: Path
) -> None:
    path = tmp_path / "ada.jsonl"
    ran = filled.run("user", "export", "ada", "-o", str(path))
    assert (ran.code, ran.out) == (0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len([json.loads(line) for line in path.open()]) == 24
    assert filled.run("user", "export", "ada", "-o", str(path)).code == 2
    assert len(list(path.open())) == 24
    assert filled.run("user", "export", "nobody").out == ""


def test_a_user_is_forgotten_with_a_receipt(filled: Cli) -> None:
    assert filled.call("user", "forget", "ada").code == 2  # nobody is there to confirm it
    assert kept(filled, "shop", "ada") == 13
    ran = filled.run("user", "forget", "ada", "--app", "shop", "--yes", "--json")
    (receipt,) = ran.documents
    assert (receipt["apps"], receipt["erased"]["sessions"]) == (1, 2)
    assert not {"ada", "shop", "secret"} & set(ran.out.replace('"', " ").split())
    assert kept(filled, "shop", "ada") == 0
    assert kept(filled, "travel", "ada") == 13
    (receipt,) = filled.run("user", "forget", "ada", "-y", "--json").documents
    assert receipt["apps"] == 1
    assert kept(filled, "travel", "ada") == 0
    assert kept(filled, "shop", "bob") == 10  # a search for another word finds nothing


def test_people_read_an_export_and_a_receipt(filled: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = filled.run("user", "export", "ada", "--app", "shop")
    assert (ran.code, "bobs" in ran.out) == (0, False)
    heads = [line for line in ran.out.splitlines() if not line.startswith(" ")]
    assert [head.split("  ")[0] for head in heads].count("session") == 2
    assert "memory  shop  user  secret" in heads
    assert all(len(line) <= 80 for line in ran.out.splitlines())
    assert "bytes: --output and --json have them)" in ran.out
    assert re.search(r'"created": "\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"', ran.out)
    ran = filled.run("user", "forget", "ada", "--app", "shop", "--yes")
    lines = ran.out.splitlines()
    assert lines[0].startswith("Forgot user ada in app shop on ")
    assert ["sessions", "2"] in [line.split() for line in lines]
    assert any(line.startswith("who ") for line in lines)
    assert "secret" not in ran.out


def test_sessions_are_revoked(filled: Cli) -> None:
    one = filled.run("sessions", "revoke", "shop", "ada", "secret-0")
    assert one.code == 0
    assert "Revoked 1 session " in one.out
    assert "with 1 artifact." in one.out
    assert filled.run("sessions", "revoke", "shop", "ada", "secret-0").code == 1
    assert filled.call("sessions", "revoke", "shop", "ada").code == 2
    ran = filled.run("sessions", "revoke", "shop", "ada", "--yes", "--json")
    assert ran.documents == [{"users": 1, "sessions": 1, "artifacts": 1}]
    ran = filled.run("sessions", "revoke", "shop", "--yes", "--json")
    assert ran.documents == [{"users": 2, "sessions": 2, "artifacts": 2}]
    left = filled.run("sessions", "ls", "--json").documents
    assert {each["app"] for each in left} == {"travel"}
