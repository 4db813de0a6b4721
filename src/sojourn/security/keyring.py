"""The secrets that tokens are signed with, by id; several while they are changed."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from hashlib import sha256
from typing import Self

from sojourn.errors import ConfigurationError, InvalidInput

MIN_SECRET = 32
"""Bytes."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,16}", re.ASCII)
_FORM = "ID:SECRET, older ones behind commas or spaces, each secret 32 bytes or more in base64"


class Keyring:
    """Secrets by id. Tokens are signed with the current one; what another of them signed is valid.

    To change a secret: add a new one as the current, keep the old one for as long as its tokens may
    live, then take it out. Neither `repr()` nor an error shows a secret.

    Args:
        secrets: by id: 1 to 16 letters, digits, `-` and `_`; each secret at least 32 bytes.
        current: the id of the one to sign with; the first if not given.

    Raises:
        InvalidInput: no secret, one that is too short or no bytes, or an id that is none.

    Attributes:
        current: the id of the one to sign with.
    """

    def __init__(self, secrets: Mapping[str, bytes], current: str | None = None) -> None:
        for name, secret in secrets.items():
            if not isinstance(name, str) or not _ID.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidInput("The id of a secret is 1 to 16 letters, digits, - and _.")
            if not isinstance(secret, bytes) or len(secret) < MIN_SECRET:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidInput(
                    f"The secret {name!r} must be at least {MIN_SECRET} bytes: "
                    "secrets.token_bytes(32) makes one."
                )
        current = next(iter(secrets), "") if current is None else current
        if current not in secrets:
            raise InvalidInput("A keyring needs a secret that is the current one.")
        self.current = current
        self._secrets = dict(secrets)
        self._nobody = os.urandom(MIN_SECRET)

    @classmethod
    def parse(cls, text: str) -> Self:
        """A keyring from text, such as a variable holds.

        Args:
            text: `ID:SECRET`, the current one first, with commas or spaces between; the secrets in
                base64, either alphabet, with or without `=` at their ends.

        Raises:
            ConfigurationError: it is no such text; the message does not repeat it.
        """
        found: dict[str, bytes] = {}
        for entry in re.split(r"[,\s]+", text.strip(", \t\r\n")):
            name, colon, secret = entry.partition(":")
            if not colon or name in found:
                raise ConfigurationError(f"A keyring is written {_FORM}.")
            found[name] = _decoded(secret)
        wrong = ""
        try:
            return cls(found)
        except InvalidInput:
            wrong = f"A keyring is written {_FORM}."
        raise ConfigurationError(wrong)  # here: what was wrong may have a secret in it

    @classmethod
    def from_environment(cls, variable: str = "SOJOURN_BINDING_KEYS") -> Self:
        """A keyring from a variable of the environment, in the form that `parse` takes.

        Raises:
            ConfigurationError: it is not set, or wrong; the message has its name and no value.
        """
        text = os.environ.get(variable, "")
        if not text.strip():
            raise ConfigurationError(f"{variable} is not set: it must be {_FORM}.")
        wrong = ""
        try:
            return cls.parse(text)
        except ConfigurationError:
            wrong = f"{variable} is wrong: it must be {_FORM}."
        raise ConfigurationError(wrong)

    @staticmethod
    def new_secret() -> str:
        """A new secret of 32 random bytes, as `parse` reads it."""
        return secrets.token_urlsafe(MIN_SECRET)

    def __contains__(self, name: object) -> bool:
        return name in self._secrets

    def __repr__(self) -> str:
        return f"Keyring(current={self.current!r}, ids={sorted(self._secrets)!r})"

    def sign(self, name: str, purpose: bytes, *fields: bytes) -> bytes:
        """`signature` under a secret; an id that is unknown costs the same.

        Args:
            name: the id of the secret. Of one that is not here, what nobody can have signed.
            purpose: what it is signed for.
            fields: what is signed.

        Returns:
            32 bytes.
        """
        return signature(self._secrets.get(name, self._nobody), purpose, *fields)


def signature(secret: bytes, purpose: bytes, *fields: bytes) -> bytes:
    """HMAC-SHA256 of fields, put together so that no others give the same bytes.

    Args:
        secret: what signs.
        purpose: what it is signed for; valid for nothing else.
        fields: what is signed.

    Returns:
        32 bytes.
    """
    mac = hmac.new(secret, digestmod=sha256)
    for field in (purpose, *fields):
        mac.update(len(field).to_bytes(8, "big"))
        mac.update(field)
    return mac.digest()


def _decoded(secret: str) -> bytes:
    """The bytes of a secret; none at all if it is no base64."""
    plain = secret.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (NotBase64, ValueError):
        return b""
