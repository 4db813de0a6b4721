"""Bearer tokens of users: kept as hashes, looked up in constant time."""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, cast

from sojourn.errors import ConfigurationError, InvalidInput
from sojourn.security.principal import Principal

MIN_TOKEN = 32
"""Characters of a token that is not of our making: 192 random bits in base64."""
_HASH = re.compile(r"[0-9a-f]{64}")
_TABLE = "tokens"


class Holder(NamedTuple):
    """Who has a token.

    Attributes:
        user: the user, not empty.
        apps: the apps that the token is for; None for all.
    """

    user: str
    apps: frozenset[str] | None = None

    def may(self, app: str) -> bool:
        """Whether the token is for this app."""
        return self.apps is None or app in self.apps


class Tokens:
    """Who has which token.

    Args:
        holders: SHA-256 of a token → who has it.
    """

    def __init__(self, holders: Mapping[bytes, Holder]) -> None:
        self._holders = dict(holders)

    def holder(self, token: bytes) -> Holder | None:
        """Who has a token; None for nobody. Takes as long whichever token it is, or none."""
        digest = sha256(token).digest()
        found: Holder | None = None
        for each, holder in self._holders.items():
            if hmac.compare_digest(each, digest):
                found = holder
        return found


def tokens_from(source: str) -> Tokens:
    """Read tokens.

    Args:
        source: `env:NAME`, whose value is `USER:TOKEN`; or the path of a TOML file, whose table
            `[tokens]` has lines `"SHA-256 of the token" = "USER"`, or
            `= { user = "USER", apps = ["APP"] }`.

    Raises:
        ConfigurationError: they cannot be read or are none. No message names a token.
    """
    if source.startswith("env:"):
        return _from_variable(source.removeprefix("env:"))
    path = Path(source)
    try:
        if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigurationError(
                f"Others may write to {path}, so anyone could add a token: chmod 600 it."
            )
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError:  # its cause holds the whole text
        raise ConfigurationError(f"{path} is no TOML file in UTF-8.") from None
    table = document.get(_TABLE)
    if set(document) != {_TABLE} or not isinstance(table, dict) or not table:
        raise ConfigurationError(f"{path} needs one table, [tokens], with at least one token.")
    lines = enumerate(cast("dict[str, Any]", table).items(), 1)
    return Tokens(dict(_line(path, number, *line) for number, line in lines))


def new_token(user: str, apps: Sequence[str] = ()) -> tuple[str, str]:
    """A new token of 256 random bits, and the line for the file that makes it a user's.

    Args:
        user: whose.
        apps: the apps that it is for; all if none are given.

    Raises:
        InvalidInput: no such user or app.
    """
    for app in apps or ("any",):
        Principal.of(app, user)
    token = f"sojourn_{secrets.token_urlsafe(32)}"
    who = _quoted(user)
    if apps:
        who = f"{{ user = {who}, apps = [{', '.join(map(_quoted, apps))}] }}"
    return token, f'"{sha256(token.encode()).hexdigest()}" = {who}'


def _from_variable(name: str) -> Tokens:
    value = os.environ.get(name, "")
    user, _, token = value.rpartition(":")
    if not user or len(token) < MIN_TOKEN:
        raise ConfigurationError(
            f"The variable {name} must be USER:TOKEN, with a token of at least {MIN_TOKEN} "
            "characters: sojourn token USER makes one."
        )
    return Tokens({sha256(token.encode()).digest(): _holder(user, None, f"The variable {name}")})


def _line(path: Path, number: int, digest: str, who: object) -> tuple[bytes, Holder]:
    where = f"Token {number} in {path}"
    if not _HASH.fullmatch(digest):
        raise ConfigurationError(
            f"{where} is no SHA-256 in small hexadecimal digits. Never keep tokens themselves "
            "there: sojourn token USER prints the line."
        )
    if isinstance(who, str):
        return bytes.fromhex(digest), _holder(who, None, where)
    if isinstance(who, dict):
        entry = cast("dict[str, Any]", who)
        user, apps = entry.get("user"), entry.get("apps")
        if set(entry) == {"user", "apps"} and isinstance(user, str) and isinstance(apps, list):
            return bytes.fromhex(digest), _holder(user, cast("Any", apps), where)
    raise ConfigurationError(f'{where} needs = "USER", or = {{ user = "USER", apps = ["APP"] }}.')


def _holder(user: str, apps: list[Any] | None, where: str) -> Holder:
    try:
        for app in ["any"] if apps is None else apps:
            Principal.of(app, user)
    except InvalidInput as error:
        raise ConfigurationError(f"{where}: {error}") from error
    return Holder(user, None if apps is None else frozenset(apps))


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
