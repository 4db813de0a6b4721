"""Files of tokens."""

from __future__ import annotations

import hmac
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from sojourn.errors import ConfigurationError, InvalidInput
from sojourn.security import tokens
from sojourn.security.tokens import Holder, new_token, tokens_from

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


@pytest.mark.parametrize("scope", ["read", "write", "admin"])
@pytest.mark.parametrize("all_users", [False, True])
@pytest.mark.parametrize("apps", [(), ("shop",)])
def test_a_token_allows_what_its_line_says(
    tmp_path: Path, scope: tokens.KeyScope, all_users: bool, apps: tuple[str, ...]
) -> None:
    token, line = new_token("ops", apps, scope=scope, all_users=all_users)
    holder = tokens_from(write(tmp_path, f"[tokens]\n{line}\n")).holder(token.encode())
    assert holder == Holder("ops", frozenset(apps) if apps else None, scope, all_users=all_users)
    assert [holder.allows(each) for each in tokens.SCOPES] == {
        "read": [True, False, False],
        "write": [True, True, False],
        "admin": [True, True, True],
    }[scope]
    assert holder.is_for("shop", "ada") is all_users
    assert holder.is_for("shop", "ops")
    assert holder.is_for("other", "ops") is (not apps)


@pytest.mark.parametrize(
    "members",
    ['scope = "root"', "scope = 7", 'all_users = "yes"', "all_users = 1", 'scope = "read", x = 1'],
)
def test_a_line_that_says_more_than_is_known_is_refused(tmp_path: Path, members: str) -> None:
    with pytest.raises(ConfigurationError, match="all_users"):
        tokens_from(write(tmp_path, f'[tokens]\n"{HASH}" = {{ user = "ada", {members} }}'))


def test_a_variable_may_have_a_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    token, line = new_token("ops", scope="admin", all_users=True)
    monkeypatch.setenv("KEYS", f"[tokens]\n{line}\n")
    assert tokens_from("env:KEYS").holder(token.encode()) == Holder(
        "ops", None, "admin", all_users=True
    )


async def test_mcp_and_adk_take_no_token_that_they_cannot_keep_to() -> None:
    from sojourn.integrations.adk.auth import _holder
    from sojourn.surfaces.mcp.verifier import Verifier

    for scope in tokens.SCOPES:
        for all_users in (False, True):
            holder = Holder("ada", None, scope, all_users=all_users)
            known = tokens.Tokens({sha256(b"t").digest(): holder})
            plain = scope == "write" and not all_users
            assert (await Verifier(known, "shop").verify_token("t") is not None) is plain
            asked = {"headers": [(b"authorization", b"Bearer t")]}
            assert (_holder(known, asked) is not None) is plain
