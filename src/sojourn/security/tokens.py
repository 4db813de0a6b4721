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
from typing import Any, Literal, NamedTuple, cast, get_args

from sojourn.errors import ConfigurationError, InvalidInput
from sojourn.security.principal import Principal

MIN_TOKEN = 32
"""Characters of a token that is not of our making: 192 random bits in base64."""
_HASH = re.compile(r"[0-9a-f]{64}")
_TABLE = "tokens"
_INLINE = f"[{_TABLE}]"

KeyScope = Literal["read", "write", "admin"]
"""What a token allows; each allows what stands before it, too."""
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)


class Holder(NamedTuple):
    """Who has a token.

    Attributes:
        user: the user, not empty; of a token for all users the name of who has it.
        apps: the apps that the token is for; None for all.
        scope: what it allows: to read, also to write, also what operators do.
        all_users: whether it is for all users.
    """

    user: str
    apps: frozenset[str] | None = None
    scope: KeyScope = "write"
    all_users: bool = False

    def may(self, app: str) -> bool:
        """Whether the token is for this app."""
        return self.apps is None or app in self.apps

    def is_for(self, app: str, user: str) -> bool:
        """Whether the token is for this user of this app."""
        return self.may(app) and (self.all_users or user == self.user)

    def allows(self, scope: KeyScope) -> bool:
        """Whether the token allows as much."""
        return SCOPES.index(scope) <= SCOPES.index(self.scope)

    @property
    def is_plain(self) -> bool:
        """Whether the token is one user's to read and write: all that MCP and ADK know of."""
        return not self.all_users and self.scope == "write"


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
        source: the path of a TOML file, whose table `[tokens]` has lines
            `"SHA-256 of the token" = "USER"`, or `= { user = "USER", apps = ["APP"] }`, and there
            also `scope = "read"`, `"write"` (if not given) or `"admin"`, and `all_users = true`;
            or `env:NAME`, a variable with `USER:TOKEN`, or with such a table.

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
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError:  # its cause holds the whole text
        raise ConfigurationError(f"{path} is no TOML file in UTF-8.") from None
    return _from_text(str(path), text)


def new_token(
    user: str,
    apps: Sequence[str] = (),
    *,
    scope: KeyScope = "write",
    all_users: bool = False,
) -> tuple[str, str]:
    """A new token of 256 random bits, and the line for the file that makes it a user's.

    Args:
        user: whose; for all users the name of who has it.
        apps: the apps that it is for; all if none are given.
        scope: what it allows.
        all_users: whether it is for all users.

    Raises:
        InvalidInput: no such user or app.
    """
    for app in apps or ("any",):
        Principal.of(app, user)
    token = f"sojourn_{secrets.token_urlsafe(32)}"
    members = {"user": _quoted(user)}
    if apps:
        members["apps"] = f"[{', '.join(map(_quoted, apps))}]"
    if scope != "write":
        members["scope"] = _quoted(scope)
    if all_users:
        members["all_users"] = "true"
    who = members["user"]
    if len(members) > 1:
        who = f"{{ {', '.join(f'{name} = {value}' for name, value in members.items())} }}"
    return token, f'"{sha256(token.encode()).hexdigest()}" = {who}'


def token_of_this_run(user: str) -> tuple[str, Tokens]:
    """A new token for all users that allows everything, kept nowhere but in this process.

    Args:
        user: the name of who has it.
    """
    token = f"sojourn_{secrets.token_urlsafe(32)}"
    holder = Holder(user, None, "admin", all_users=True)
    return token, Tokens({sha256(token.encode()).digest(): holder})


def _from_variable(name: str) -> Tokens:
    value = os.environ.get(name, "")
    if value.lstrip().startswith(_INLINE):
        return _from_text(f"The variable {name}", value)
    user, _, token = value.rpartition(":")
    if not user or len(token) < MIN_TOKEN:
        raise ConfigurationError(
            f"The variable {name} must be USER:TOKEN, with a token of at least {MIN_TOKEN} "
            "characters: sojourn token USER makes one."
        )
    holder = _holder({"user": user}, f"The variable {name}")
    return Tokens({sha256(token.encode()).digest(): holder})


def _from_text(source: str, text: str) -> Tokens:
    try:
        document = tomllib.loads(text)
    except ValueError:  # its cause holds the whole text
        raise ConfigurationError(f"{source} is no TOML file in UTF-8.") from None
    table = document.get(_TABLE)
    if set(document) != {_TABLE} or not isinstance(table, dict) or not table:
        raise ConfigurationError(f"{source} needs one table, [tokens], with at least one token.")
    lines = enumerate(cast("dict[str, Any]", table).items(), 1)
    return Tokens(dict(_line(source, number, *line) for number, line in lines))


def _line(source: str, number: int, digest: str, who: object) -> tuple[bytes, Holder]:
    where = f"Token {number} in {source}"
    if not _HASH.fullmatch(digest):
        raise ConfigurationError(
            f"{where} is no SHA-256 in small hexadecimal digits. Never keep tokens themselves "
            "there: sojourn token USER prints the line."
        )
    if isinstance(who, str):
        return bytes.fromhex(digest), _holder({"user": who}, where)
    if isinstance(who, dict) and len(entry := cast("dict[str, Any]", who)) > 1:
        return bytes.fromhex(digest), _holder(entry, where)
    raise ConfigurationError(f"{where} {_FORMS}")


_FORMS = (
    'needs = "USER", or = { user = "USER", … } with apps = ["APP"], scope = "read", "write" or '
    '"admin", or all_users = true.'
)


def _holder(entry: dict[str, Any], where: str) -> Holder:
    user, apps = entry.get("user"), entry.get("apps")
    scope, all_users = entry.get("scope", "write"), entry.get("all_users", False)
    if (
        not entry.keys() <= {"user", "apps", "scope", "all_users"}
        or not isinstance(user, str)
        or not (apps is None or isinstance(apps, list))
        or scope not in SCOPES
        or not isinstance(all_users, bool)
    ):
        raise ConfigurationError(f"{where} {_FORMS}")
    names = cast("Any", apps)
    try:
        for app in ["any"] if names is None else names:
            Principal.of(app, user)
    except InvalidInput as error:
        raise ConfigurationError(f"{where}: {error}") from error
    return Holder(user, None if names is None else frozenset(names), scope, all_users)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
