"""Keys of sealed archives: each has one of its own, wrapped by a passphrase or a master key.

docs/guides/moving-data.md documents the first line.
"""

from __future__ import annotations

import math
import os
import stat
from base64 import b64decode, b64encode
from contextlib import suppress
from hashlib import blake2b
from os import urandom
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import sojourn
from sojourn.codecs.encryption import KEY_BYTES, DataKey, aead, key_id
from sojourn.codecs.growth import major_of
from sojourn.errors import ConfigurationError, CorruptRecord, InvalidInput, KeyMissing, NewerFormat
from sojourn.keys.ring import KeyRing, WrappedSecret
from sojourn.transfer.sealing import sealed

SEALED_FORMAT = 2
"""The major version of a sealed archive: no version before could read one."""
LONGEST = 4096
"""Bytes of the first line at most."""

_COST = 2**17
_BLOCK = 8
_PARALLEL = 1
"""Of scrypt: half a second and 128 MiB (OWASP, Password Storage)."""
_MEMORY = 2**30
"""Bytes that scrypt may need for an archive that somebody else has made,"""
_WORK = 2**24
"""and blocks that it may mix: a minute."""
_SALT_BYTES = 16


class ArchiveSecret(NamedTuple):
    """What opens and locks archives.

    Attributes:
        passphrase: of the archive; None for none.
        ring: of master keys; None for none.
    """

    passphrase: str | None = None
    ring: KeyRing | None = None


class _Wrapping(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the key of an archive is wrapped; what is for one way of it is absent in the other."""

    key: str
    by: str
    wrapped: str
    master: str = ""
    salt: str = ""
    n: int = 0
    r: int = 0
    p: int = 0


class _FirstLine(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a sealed archive."""

    kind: Any = None
    format: Any = 1
    sojourn: Any = ""
    sealed: _Wrapping


class ArchiveLock(NamedTuple):
    """The key of an archive.

    Attributes:
        key: seals its frames.
        first: the first line of the file, with its end.
        by: what the key is wrapped by, for people.
    """

    key: DataKey
    first: bytes
    by: str

    def bound(self, number: int) -> bytes:
        """What a frame is bound to: this archive, and its place."""
        whole = blake2b(self.first, digest_size=32, person=b"sojourn archive").digest()
        return b"frame %b %d" % (whole, number)


def new_lock(secret: ArchiveSecret) -> ArchiveLock:
    """A key for a new archive. With a passphrase it takes half a second.

    Raises:
        ConfigurationError: the extra `crypto` is not installed.
    """
    made = urandom(KEY_BYTES)
    key = DataKey(made)
    if secret.passphrase is not None:
        salt = urandom(_SALT_BYTES)
        derived = DataKey(_derived(secret.passphrase, salt, _COST, _BLOCK, _PARALLEL))
        wrapping = _Wrapping(
            key=key.id,
            by="passphrase",
            salt=b64encode(salt).decode(),
            n=_COST,
            r=_BLOCK,
            p=_PARALLEL,
            wrapped=b64encode(derived.seal(made, _bound(key.id))).decode(),
        )
    elif secret.ring is not None:
        master, data = secret.ring.wrap(made, _bound(key.id))
        wrapping = _Wrapping(
            key=key.id, by="master", master=master, wrapped=b64encode(data).decode()
        )
    else:
        raise InvalidInput("A sealed archive needs a passphrase or a ring of master keys.")
    line = {
        "kind": "archive",
        "format": SEALED_FORMAT,
        "sojourn": sojourn.__version__,
        "sealed": wrapping,
    }
    first = sealed(msgspec.json.encode(line)[:-1], "")[0] + b"\n"
    return ArchiveLock(key, first, _shown(wrapping))


def lock_of(first: bytes, secret: ArchiveSecret) -> ArchiveLock | None:
    """The key of an archive that begins with this line; None when it is not a sealed one.

    With a passphrase it takes half a second.

    Args:
        first: the line, with its end.
        secret: opens it.

    Raises:
        ValueError: it was damaged.
        KeyMissing: the secret is missing, or another one.
        NewerFormat: a newer version wrote it.
        ConfigurationError: the extra `crypto` is not installed.
    """
    try:
        line = msgspec.json.decode(first, type=_FirstLine)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    body = first.rpartition(b',"sum":')[0]
    if line.kind != "archive" or first != sealed(body, "")[0] + b"\n":
        return None  # reading its first line says what is wrong
    if (major := major_of(str(line.format))) != SEALED_FORMAT:
        raise NewerFormat(
            f"The archive has the format {major}; this version of Sojourn reads {SEALED_FORMAT}. "
            "Upgrade it; nothing was written.",
            found=str(major),
            known=str(SEALED_FORMAT),
        )
    made = _unwrapped(line.sealed, secret)
    if len(made) != KEY_BYTES or key_id(made) != line.sealed.key:
        raise ValueError("its key is another one")
    return ArchiveLock(DataKey(made), first, _shown(line.sealed))


def _unwrapped(wrapping: _Wrapping, secret: ArchiveSecret) -> bytes:
    data, bound = b64decode(wrapping.wrapped, validate=True), _bound(wrapping.key)
    if wrapping.by == "passphrase":
        if secret.passphrase is None:
            raise KeyMissing(
                "The archive is sealed with a passphrase, which is not given here: name its file "
                "with --passphrase-file. Nothing was written.",
                key_id=wrapping.key,
            )
        salt = b64decode(wrapping.salt, validate=True)
        _check_cost(wrapping)
        try:
            secret_key = _derived(secret.passphrase, salt, wrapping.n, wrapping.r, wrapping.p)
        except MemoryError:
            raise ValueError("it asks for more memory than this machine has") from None
        try:
            return DataKey(secret_key).unseal(data, bound)
        except ValueError:
            raise KeyMissing(
                "The archive is sealed with another passphrase, or its first line was changed. "
                "Nothing was written.",
                key_id=wrapping.key,
            ) from None
    if wrapping.by != "master":
        raise NewerFormat(
            "The archive is sealed in a way that this version of Sojourn does not know. Upgrade "
            "it; nothing was written.",
            found=str(SEALED_FORMAT),
            known=str(SEALED_FORMAT),
        )
    if secret.ring is None or wrapping.master not in secret.ring:
        raise KeyMissing(
            f"The archive is sealed with the master key {wrapping.master[:32]!r}, which is not "
            "given here: name the file of its ring with --keys. Nothing was written.",
            key_id=wrapping.master[:32],
        )
    try:
        return secret.ring.unwrap(WrappedSecret(wrapping.master, data), bound)
    except CorruptRecord:
        raise ValueError("its key was changed") from None


def _check_cost(wrapping: _Wrapping) -> None:
    """Refuse what would take this machine's memory, or hours."""
    n, r, p = wrapping.n, wrapping.r, wrapping.p
    # As RFC 7914 has it; and OpenSSL calls what breaks its second rule a lack of memory.
    if n < 2 or n & (n - 1) or r < 1 or p < 1 or n.bit_length() > 16 * r:  # noqa: PLR2004
        raise ValueError("it says nothing that scrypt could do")
    if 128 * n * r > _MEMORY or math.prod((n, r, p)) > _WORK:
        raise ValueError("it asks for more memory or time than a passphrase is worth")


def _derived(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    aead(bytes(KEY_BYTES))  # it tells how to install the extra
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: PLC0415 - an extra

    return Scrypt(salt=salt, length=KEY_BYTES, n=n, r=r, p=p).derive(passphrase.encode())


def _bound(of: str) -> bytes:
    return b"sojourn archive %b" % of.encode()


def _shown(wrapping: _Wrapping) -> str:
    return f"master key {wrapping.master}" if wrapping.by == "master" else "a passphrase"


def check_passphrase(value: object) -> str:
    """A passphrase that a caller gave.

    Raises:
        InvalidInput: it is no text, or empty.
    """
    if isinstance(value, str) and value.strip():
        return value
    raise InvalidInput("A passphrase is text, and not empty.")


def read_passphrase(path: Path) -> str:
    """The passphrase in a file; a line end behind it does not belong to it.

    Raises:
        ConfigurationError: it cannot be read, is empty or no text, or others may read it. No
            message repeats what stands in it.
    """
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The passphrase in {path} cannot be read ({error.strerror})."
        ) from error
    if os.name == "posix" and stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"{path} has a passphrase in it, and others may read or write it: chmod 600 {path}"
        )
    text = ""
    with suppress(UnicodeDecodeError):
        text = data.decode().removesuffix("\n").removesuffix("\r")
    if not text.strip() or "\n" in text:
        raise ConfigurationError(f"{path} is no passphrase: it must be one line of text.")
    return text


def ring_of(keys: object) -> KeyRing:
    """A ring that a caller gave, or the one in a file.

    Raises:
        ConfigurationError: it cannot be read, or is no ring.
    """
    if isinstance(keys, KeyRing):
        return keys
    if isinstance(keys, str):
        return KeyRing.load(keys)
    raise ConfigurationError("keys is a KeyRing, the path of a file of one, or env:VARIABLE.")
