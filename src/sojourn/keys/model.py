"""Data keys as they are stored, and results of the calls for operators."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from sojourn.codecs.codec import Place
from sojourn.codecs.growth import check_format
from sojourn.errors import CorruptRecord
from sojourn.keys.ring import WrappedSecret

_KEY = b"key:"
_VALUE = re.compile(rb"([0-9a-f]{16}) ([A-Za-z0-9+/]+=*) (\d{1,15})(?: .*)?", re.DOTALL)
_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


class KeyOwner(NamedTuple):
    """Whose data keys: a user's of an app, or those of an app for records of no user.

    Attributes:
        app: the application.
        user: the user; None for the app's own.
    """

    app: str
    user: str | None

    def bound(self, key: str) -> bytes:
        """What a wrapped key is bound to, so that nobody else's opens in its place."""
        return msgspec.json.encode(Place("keys", "key", self.app, self.user, "", key))

    def __str__(self) -> str:
        return "this app" if self.user is None else "this user"


class StoredKey(NamedTuple):
    """A data key as it is stored.

    Attributes:
        wrapped: the key, sealed by a master key.
        made: when, milliseconds since the epoch.
        value: all of it, as it stands there.
    """

    wrapped: WrappedSecret
    made: int
    value: bytes

    def rewrapped(self, wrapped: WrappedSecret) -> bytes:
        """The value with the same key, sealed by another master key."""
        rest = self.value.split(b" ", 2)[2]
        return b"%b %b" % (value_of(wrapped), rest)


class StoredKeys(NamedTuple):
    """The data keys of an owner as they are stored.

    Attributes:
        active: the id of the one that seals; empty for none.
        keys: by id.
        erased: when they were destroyed, milliseconds since the epoch; 0 if they were not.
    """

    active: str
    keys: Mapping[str, StoredKey]
    erased: int


def value_of(wrapped: WrappedSecret) -> bytes:
    """A wrapped key as it is stored, without the time."""
    return b"%b %b" % (wrapped.master.encode(), b64encode(wrapped.data))


def stored_keys(name: str, erased: int, fields: Mapping[bytes, bytes]) -> StoredKeys:
    """What the fields of a hash say.

    Args:
        name: of the key that holds them.
        erased: when they were destroyed.
        fields: the fields.

    Raises:
        NewerFormat: a newer version wrote them, in a way that this one cannot read.
        CorruptRecord: they cannot be read.
    """
    try:
        check_format(fields.get(b"format"), f"The data keys in {name}")
        keys = {
            field[len(_KEY) :].decode(): _stored(value)
            for field, value in fields.items()
            if field.startswith(_KEY)
        }
        active = fields.get(b"active", b"").decode()
        _check_ids(active, keys)
    except ValueError as error:
        raise CorruptRecord(
            f"The data keys in {name} cannot be read ({error}): another program wrote them, or "
            "they were damaged. Restore the key from a backup: without it what it sealed is lost.",
            key=name,
            raw=b"",
        ) from error
    return StoredKeys(active, keys, erased)


def _check_ids(active: str, keys: Mapping[str, StoredKey]) -> None:
    if ((keys or active) and active not in keys) or not all(map(_ID.fullmatch, keys)):
        raise ValueError("the active one is missing")


def _stored(value: bytes) -> StoredKey:
    found = _VALUE.fullmatch(value)
    if found is None:
        raise ValueError("one of them is no wrapped key")
    master, data, made = found.groups()
    return StoredKey(WrappedSecret(master.decode(), b64decode(data)), int(made), value)


class DataKeyInfo(NamedTuple):
    """What is known of a data key without opening it.

    Attributes:
        id: its id, as it stands in the headers of what it sealed.
        master: the id of the master key that wraps it.
        made: when, seconds since the epoch.
        active: whether it seals what is written now.
    """

    id: str
    master: str
    made: float
    active: bool


class MasterKeyUsage(NamedTuple):
    """How many data keys each master key wraps.

    Attributes:
        active: the id of the master key that wraps new ones.
        wraps: by the id of a master key: those of the ring, and others that keys are wrapped by.
        missing: ids of the others: what these have wrapped cannot be opened here.
        owners: how many users and apps have data keys, of those that were looked at.
        unreadable: how many of them have keys that are damaged or of a newer format.
        migrating: whether the ring says that plain text is accepted.
    """

    active: str
    wraps: Mapping[str, int]
    missing: frozenset[str]
    owners: int
    unreadable: int
    migrating: bool


class Rewrapped(NamedTuple):
    """What a rotation has done.

    Attributes:
        owners: how many users and apps it has looked at.
        rewrapped: data keys that the active master key wraps now, and did not before.
        already: data keys that it wrapped before.
        failed: data keys that cannot be opened: their master key is not in the ring, or they were
            damaged. They are as they were.
        masters: ids of master keys that these need.
    """

    owners: int = 0
    rewrapped: int = 0
    already: int = 0
    failed: int = 0
    masters: frozenset[str] = frozenset()

    def plus(self, more: Rewrapped) -> Rewrapped:
        """Both together."""
        return Rewrapped(
            self.owners + more.owners,
            self.rewrapped + more.rewrapped,
            self.already + more.already,
            self.failed + more.failed,
            self.masters | more.masters,
        )


class KeySweep(NamedTuple):
    """What a sweep of data keys has done.

    Attributes:
        looked: how many users and apps have data keys.
        idle: how many of them have no record any more, and keep their keys for some time yet.
        removed: how many had none for long enough: their keys are gone.
    """

    looked: int
    idle: int
    removed: int
