"""Data keys: AES-256-GCM over one value, bound to its place. Needs the extra `crypto`."""

from __future__ import annotations

import hmac
from hashlib import blake2b
from os import urandom
from typing import TYPE_CHECKING

from sojourn.errors import ConfigurationError
from sojourn.extras import how_to_install

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
"""Random: 2³² values may be sealed with a key until a repetition is likelier than 2⁻³²
(NIST SP 800-38D, 8.3)."""
_TAG_BYTES = 16
_ID_BYTES = 8


def key_id(secret: bytes) -> str:
    """The id of a key, derived from it: 16 hexadecimal digits."""
    return blake2b(secret, digest_size=_ID_BYTES, person=b"sojourn key id").hexdigest()


def aead(secret: bytes) -> AESGCM:
    """The cipher of a key of 32 bytes.

    Raises:
        ConfigurationError: the extra `crypto` is not installed.
    """
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            f"Encryption needs an extra: {how_to_install('crypto')}."
        ) from error
    return AESGCM(secret)


class DataKey:
    """A key that seals values.

    Args:
        secret: 32 random bytes.

    Attributes:
        id: derived from the key, so that a wrong key is told from a changed value.
    """

    __slots__ = ("_cipher", "_invalid", "_seal", "_secret", "id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(secret)}")
        self.id = key_id(secret)
        self._secret = secret
        self._cipher = aead(secret)
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra

        self._invalid = InvalidTag
        self._seal: Callable[[bytes, bytes, bytes], bytes] = self._cipher.encrypt

    def seal(self, value: bytes, bound: bytes) -> bytes:
        """A value, encrypted: nonce, ciphertext, tag.

        Args:
            value: what to encrypt.
            bound: where it stands; it must be the same when it is opened.
        """
        nonce = urandom(NONCE_BYTES)
        return nonce + self._seal(nonce, value, bound)

    def unseal(self, body: bytes, bound: bytes) -> bytes:
        """The inverse.

        Raises:
            ValueError: it was changed, cut, or sealed for another place.
        """
        if len(body) < NONCE_BYTES + _TAG_BYTES:
            raise ValueError("it is too short to be sealed")
        try:
            return self._cipher.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], bound)
        except self._invalid:
            raise ValueError("it was changed, or sealed for another place") from None

    def subkey(self, purpose: bytes) -> bytes:
        """32 bytes for another purpose than sealing: HKDF-Expand with SHA-256, of one block.

        A key is random already, so that nothing has to be extracted (RFC 5869, 3.3).
        """
        return hmac.digest(self._secret, purpose + b"\x01", "sha256")

    def __repr__(self) -> str:
        return f"<DataKey {self.id}>"
