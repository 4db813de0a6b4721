"""Bearer tokens that a server knows: a TOML file with their SHA-256, and never with themselves.

[tokens]
"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8" = "ada"
"""

from __future__ import annotations

import os
import re
import tomllib
from hashlib import sha256
from typing import Any, cast

from mcp.server.auth.provider import AccessToken

from sojourn.errors import ConfigurationError, InvalidId
from sojourn.ids import parse_user

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


class Tokens:
    """A `TokenVerifier` of the SDK: whose a token is.

    Args:
        users: by the SHA-256 of their tokens, in lower-case hexadecimal digits.
    """

    def __init__(self, users: dict[str, str]) -> None:
        self._users = users

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Tokens:
        """Read the file.

        Raises:
            ConfigurationError: it cannot be read, or has no tokens of that form.
        """
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - one line less
                found: Any = tomllib.load(file).get("tokens")
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"The token file {path} cannot be read: {error}") from error
        if not isinstance(found, dict) or not found:
            raise ConfigurationError(f"The token file {path} has no table [tokens] with tokens.")
        users: dict[str, str] = {}
        for digest, user in cast("dict[str, Any]", found).items():
            users[_checked(path, digest).lower()] = _user(path, user)
        return cls(users)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Whose token it is; None when nobody's. Asks nobody."""
        user = self._users.get(sha256(token.encode("utf-8", "surrogateescape")).hexdigest())
        if user is None:
            return None
        return AccessToken(token="", client_id=user, subject=user, scopes=[])


def _checked(path: object, digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ConfigurationError(
            f"A token in {path} is not given by its SHA-256, which has 64 hexadecimal digits."
        )
    return digest


def _user(path: object, user: object) -> str:
    try:
        parsed = parse_user(cast("str", user))
    except InvalidId as error:
        raise ConfigurationError(f"A user in {path} cannot be one: {error}") from error
    if not parsed or parsed == "*":
        raise ConfigurationError(f"A user in {path} is empty or '*': a token is somebody's.")
    return parsed
