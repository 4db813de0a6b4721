"""Fields of the hash that has the dictionaries of an app."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from sojourn.codecs import decode
from sojourn.codecs.codec import Place
from sojourn.errors import CorruptRecord

LARGEST = 1024 * 1024
"""Bytes of a dictionary."""

ACTIVE = "active"
"""The id of the one that new values get; empty or absent for the shipped one."""
SINCE = "since"
"""Since when that is the active one, seconds since the epoch."""
CONTENT, ABOUT = "content:", "about:"
"""Stand before an id: the bytes of a dictionary, sealed where keys are set; and what it is."""

_DIGEST_BYTES = 8


class DictionaryRecord(msgspec.Struct, frozen=True):
    """What is known of a dictionary beside its bytes.

    Attributes:
        size: its bytes.
        made: when, seconds since the epoch.
        seen_by: how many users must have had each piece of it; 1 for no such limit.
        users: how many users' values it was trained on.
        salt: random, of this dictionary.
        digests: of each of these users, in base64: BLAKE2b, of eight bytes and keyed with the salt.
    """

    size: int
    made: float
    seen_by: int = 1
    users: int = 0
    salt: str = ""
    digests: str = ""

    def is_of(self, user: str) -> bool:
        """Whether it was trained on values of this user."""
        all_of_them = b64decode(self.digests, validate=True)
        wanted = _digest(self.salt, user)
        steps = range(0, len(all_of_them), _DIGEST_BYTES)
        return any(all_of_them[at : at + _DIGEST_BYTES] == wanted for at in steps)


def digests_of(salt: str, users: Iterable[str]) -> str:
    """The digests of users, as `DictionaryRecord` has them. Their order tells nothing."""
    return b64encode(b"".join(sorted(_digest(salt, user) for user in users))).decode()


def _digest(salt: str, user: str) -> bytes:
    return blake2b(user.encode(), digest_size=_DIGEST_BYTES, key=salt.encode()).digest()


def place_of(app: str, name: str) -> Place:
    """Where the content of a dictionary stands."""
    return Place("dictionaries", "content", app, None, "", name)


def parse_record(app: str, name: str, value: bytes) -> DictionaryRecord:
    """What is known of a dictionary.

    Raises:
        CorruptRecord: it cannot be read.
    """
    try:
        found = msgspec.convert(decode(value), DictionaryRecord)
        b64decode(found.digests, validate=True)
    except (ValueError, msgspec.ValidationError) as error:
        raise CorruptRecord(
            f"What is known of the dictionary {name} of {app} cannot be read: others wrote it, or "
            "it was damaged. Train another one, then retire this one.",
            key=ABOUT + name,
            raw=value,
        ) from error
    return found
