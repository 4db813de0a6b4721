"""Bearer tokens that a server knows: a TOML file with their SHA-256, and never with themselves.

Its table `tokens` has a line for each, `"5e884898da280471…" = "ada"`, or for some apps only
`"…" = { user = "ada", apps = ["shop"] }`.
"""

from __future__ import annotations

import re
import stat
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from mcp.server.auth.provider import AccessToken

from sojourn.errors import ConfigurationError, InvalidInput
from sojourn.security import Principal

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Tokens:
    """A `TokenVerifier` of the SDK: whose a token is.

    Args:
        users: by the SHA-256 of their tokens.
    """

    def __init__(self, users: dict[bytes, str]) -> None:
        self._users = users

    @classmethod
    def read(cls, path: Path, app: str) -> Tokens:
        """Read the tokens that are good for an app.

        Raises:
            ConfigurationError: the file cannot be read, others may write to it, or it is of another
                form. No message quotes it.
        """
        try:
            loose = path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            found: Any = tomllib.loads(path.read_text("utf-8")).get("tokens")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
        except ValueError:
            raise ConfigurationError(f"{path} is no TOML file.") from None
        if loose:
            raise ConfigurationError(f"Others may add tokens to {path}: chmod 600 it.")
        if not isinstance(found, dict) or not found:
            raise ConfigurationError(f"{path} needs a table [tokens] with at least one token.")
        users: dict[bytes, str] = {}
        for number, (digest, who) in enumerate(cast("dict[str, Any]", found).items(), 1):
            user = _user(who, app, f"Token {number} in {path}")
            if not _DIGEST.fullmatch(digest):
                raise ConfigurationError(
                    f"Token {number} in {path} is no SHA-256 in small hexadecimal digits."
                )
            if user:
                users[bytes.fromhex(digest)] = user
        return cls(users)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Whose token it is; None when nobody's. Asks nobody."""
        user = self._users.get(sha256(token.encode("utf-8", "surrogateescape")).digest())
        if user is None:
            return None
        return AccessToken(token="", client_id=user, subject=user, scopes=[])


def _user(who: Any, app: str, where: str) -> str:
    """Whose it is; empty when it is not for this app."""
    apps: Any = [app]
    if isinstance(who, dict):
        entry = cast("dict[str, Any]", who)
        who, apps = entry.get("user"), entry.get("apps")
    if not isinstance(apps, list) or not isinstance(who, str):
        raise ConfigurationError(f'{where} needs = "USER", or {{ user = "USER", apps = ["APP"] }}.')
    try:
        Principal.of(app, who)
    except InvalidInput as error:
        raise ConfigurationError(f"{where}: {error}") from error
    good = cast("list[Any]", apps)  # type: ignore[redundant-cast]
    return who if app in good else ""
