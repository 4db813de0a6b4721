"""What is asked for on the command line, beside ADK's own options."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path

import click
import pytest

from sojourn.integrations.adk import guarded
from sojourn.integrations.adk.endpoints import Endpoint

HASH = sha256(b"t").hexdigest()


def test_our_options_are_taken_out_of_adks(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(f'[tokens]\n"{HASH}" = "ada"')
    path.chmod(0o600)
    file = str(path)
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
    assert refused.returncode == 2
    assert "somebody" in refused.stderr
