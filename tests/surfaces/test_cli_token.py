"""`sojourn token`: shown once, and its line for the file."""

from __future__ import annotations

from pathlib import Path

from cli_kit import Cli

from sojourn.security.tokens import Holder, tokens_from


def test_a_token_is_shown_once_and_its_line_makes_it_its_users(cli: Cli, tmp_path: Path) -> None:
    ran = cli.run("token", "ada", "--app", "shop", "--app", "bank")
    token = next(word for word in ran.err.split() if word.startswith("sojourn_"))
    assert token not in ran.out
    file = tmp_path / "tokens.toml"
    file.write_text(f"[tokens]\n{ran.out}")
    file.chmod(0o600)
    holder = tokens_from(str(file)).holder(token.encode())
    assert holder == Holder("ada", frozenset({"shop", "bank"}))


def test_nobody_gets_none(cli: Cli) -> None:
    assert cli.run("token", "*").code == 2
    assert cli.run("token", "ada", "--app", "").code == 2


def test_a_token_may_be_for_all_users_and_of_another_scope(cli: Cli, tmp_path: Path) -> None:
    ran = cli.run("token", "ops", "--all-users", "--scope", "admin")
    token = next(word for word in ran.err.split() if word.startswith("sojourn_"))
    file = tmp_path / "tokens.toml"
    file.write_text(f"[tokens]\n{ran.out}")
    file.chmod(0o600)
    assert tokens_from(str(file)).holder(token.encode()) == Holder(
        "ops", None, "admin", all_users=True
    )
    assert cli.run("token", "ops", "--scope", "root").code == 2
