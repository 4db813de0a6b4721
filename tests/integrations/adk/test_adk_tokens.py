"""Files of tokens, and what is asked for on the command line."""

from __future__ import annotations

import hmac
import stat
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path

import click
import pytest

from sojourn.errors import ConfigurationError, InvalidInput
from sojourn.integrations.adk import guarded, tokens
from sojourn.integrations.adk.endpoints import Endpoint
from sojourn.integrations.adk.tokens import Holder, new_token, tokens_from

HASH = sha256(b"t").hexdigest()


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "tokens.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("user", ["ada", 'o"neil\\', "ü 🦀", "a\nb\x7f"])
@pytest.mark.parametrize("apps", [(), ("shop", 'b"ank')])
def test_a_new_token_is_its_users_once_its_line_is_in_the_file(
    tmp_path: Path, user: str, apps: tuple[str, ...]
) -> None:
    token, line = new_token(user, apps)
    assert len(token) >= 51
    assert token not in line
    found = tokens_from(write(tmp_path, f"[tokens]\n{line}\n"))
    assert found.holder(token.encode()) == Holder(user, frozenset(apps) if apps else None)
    assert found.holder(token.encode() + b"x") is None
    assert found.holder(b"") is None


@pytest.mark.parametrize(("user", "apps"), [("", ()), ("*", ()), ("ada", ("",)), ("ada", ("*",))])
def test_nobody_gets_no_token(user: str, apps: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput):
        new_token(user, apps)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 1",
        "[tokens]",
        f'[tokens]\n"{HASH}" = "ada"\n[more]',
        f'[tokens]\n"{HASH}" = ""',
        f'[tokens]\n"{HASH}" = "*"',
        f'[tokens]\n"{HASH}" = 7',
        f'[tokens]\n"{HASH.upper()}" = "ada"',
        '[tokens]\n"sojourn_a-plain-token" = "ada"',
        f'[tokens]\n"{HASH}" = {{ user = "ada" }}',
        f'[tokens]\n"{HASH}" = {{ user = "ada", apps = "shop" }}',
        f'[tokens]\n"{HASH}" = {{ user = "ada", apps = [7] }}',
        f'[tokens]\n"{HASH}" = {{ user = "ada", apps = ["shop"], admin = true }}',
        f'[tokens]\n"{HASH}" = "ada"\n"{HASH}" = "bob"',
        b"[tokens]\n\xff",
    ],
)
def test_a_file_with_anything_else_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        tokens_from(write(tmp_path, text))
    assert "a-plain-token" not in str(refusal.value)


def test_a_token_for_no_app_is_for_none(tmp_path: Path) -> None:
    found = tokens_from(write(tmp_path, f'[tokens]\n"{HASH}" = {{ user = "ada", apps = [] }}'))
    assert found.holder(b"t") == Holder("ada", frozenset())


@pytest.mark.parametrize("mode", [stat.S_IWOTH, stat.S_IWGRP])
def test_a_file_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    path = Path(write(tmp_path, f'[tokens]\n"{HASH}" = "ada"'))
    path.chmod(0o600 | mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        tokens_from(str(path))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        tokens_from(str(tmp_path / "none.toml"))


def test_one_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADK_TOKEN", "team:ada:" + "t" * 32)
    assert tokens_from("env:ADK_TOKEN").holder(b"t" * 32) == Holder("team:ada")
    for value in ("", "ada", "ada:", ":" + "t" * 32, "ada:" + "t" * 31, "*:" + "t" * 32):
        monkeypatch.setenv("ADK_TOKEN", value)
        with pytest.raises(ConfigurationError) as refusal:
            tokens_from("env:ADK_TOKEN")
        assert "ttt" not in str(refusal.value)


def test_every_token_is_compared_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [new_token(f"user{n}") for n in range(5)]
    found = tokens_from(write(tmp_path, "\n".join(["[tokens]", *(line for _, line in made)])))
    compared: list[bytes] = []
    real = hmac.compare_digest
    monkeypatch.setattr(
        tokens.hmac, "compare_digest", lambda a, b: (compared.append(a), real(a, b))[1]
    )
    for token in (made[0][0], made[4][0], "none"):
        compared.clear()
        found.holder(token.encode())
        assert len(set(compared)) == 5


# ── the command line ───────────────────────────────────────────────────────────────────────────


def test_our_options_are_taken_out_of_adks(tmp_path: Path) -> None:
    file = write(tmp_path, f'[tokens]\n"{HASH}" = "ada"')
    ours = ["--auth", file, "--allow=GET /docs", "--allow", "GET /redoc", "--max-body=9"]
    theirs = ["--port", "8001", "--session_service_uri=redis://h", "-v", "agents"]
    for arguments in (["web", *ours, *theirs], ["web", *theirs, *ours]):
        others, options = guarded.options_of(arguments)
        assert others == ["web", *theirs]
        assert options is not None
        assert options.allow == (Endpoint("GET", "/docs"), Endpoint("GET", "/redoc"))
        assert options.max_body == 9
    assert guarded.options_of(["web", *theirs]) == (["web", *theirs], None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--auth", "env:X"],
        ["web", "--allow", "GET /docs"],
        ["web", "--access-log=x"],
        ["web", "--auth", "env:NOT_SET"],
        ["web", "--auth"],
        ["web", "--auth", "env:X", "--max-body", "0"],
        ["web", "--auth", "env:X", "--allow", "docs"],
    ],
)
def test_options_that_cannot_be_are_refused(arguments: list[str]) -> None:
    with pytest.raises(click.ClickException):
        guarded.options_of(arguments)


def test_the_command_prints_a_token_once_and_its_line_for_the_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sojourn", "adk", "token", "ada", "--app", "shop"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    token = next(word for word in done.stderr.split() if word.startswith("sojourn_"))
    assert token not in done.stdout
    ((digest, who),) = tomllib.loads(done.stdout).items()
    assert digest == sha256(token.encode()).hexdigest()
    assert who == {"user": "ada", "apps": ["shop"]}
    refused = subprocess.run([*command[:5], ""], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "somebody" in refused.stderr
