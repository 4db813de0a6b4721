"""Rings of master keys, and the files that hold them."""

from __future__ import annotations

import os
import re
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, Self

import msgspec

from sojourn.codecs.encryption import KEY_BYTES, DataKey, key_id
from sojourn.codecs.growth import check_format
from sojourn.errors import ConfigurationError, InvalidInput, KeyMissing, NewerFormat, Tampered
from sojourn.keys.files import locked, named_file, write_file

ENVIRONMENT = "env:"
"""Starts the name of a variable where a path may stand."""
_SECRET = re.compile(r"[A-Za-z0-9_-]{42,}=?|[A-Za-z0-9+/]{42,}=")
"""A key as people write one: in hexadecimal or in base64."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class WrappedSecret(NamedTuple):
    """A secret that a master key has sealed.

    Attributes:
        master: the id of that master key.
        data: nonce, ciphertext, tag.
    """

    master: str
    data: bytes


class KeyRing:
    """Master keys. They seal no content: they wrap data keys, of which each user has one.

    A ring never changes; `add`, `activate`, `remove` and `migrate` make another. Neither `repr()`
    nor an error shows a key.

    Args:
        secrets: the keys, 32 random bytes each. Their ids are derived from them.
        active: the id of the key that wraps; the first if not given. Empty for none: nothing is
            sealed for users without a data key, and what is sealed can be read. So a ring is given
            to all processes before the first of them seals.
        migrating: whether content in plain text is accepted where sealed content is expected, as
            while a store with data is being sealed.

    Raises:
        InvalidInput: no key, one that is no 32 bytes, an active one that is not among them, or
            none that is active where plain text is refused.

    Attributes:
        active: the id of the key that wraps; empty for none.
        migrating: whether plain text is accepted.
    """

    __slots__ = ("_more", "_secrets", "active", "migrating")

    active: str
    migrating: bool
    _secrets: Mapping[str, bytes]
    _more: Mapping[str, Any]

    def __init__(
        self, secrets: Iterable[bytes], active: str | None = None, *, migrating: bool = False
    ) -> None:
        found: dict[str, bytes] = {}
        for secret in secrets:
            if not isinstance(secret, bytes) or len(secret) != KEY_BYTES:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidInput(
                    f"A master key is {KEY_BYTES} random bytes: secrets.token_bytes({KEY_BYTES})."
                )
            found[key_id(secret)] = secret
        active = next(iter(found), "") if active is None else active
        if not found or ((active or not migrating) and active not in found):
            raise InvalidInput(
                "A ring needs a master key that is the active one; without one nothing would be "
                "sealed, which migrating=True allows."
            )
        values = (dict[str, Any](), MappingProxyType(found), active, migrating)
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("A KeyRing does not change: add(), activate() and others make another")

    def __reduce__(self) -> tuple[Any, ...]:
        return _ring, (tuple(self._secrets.values()), self.active, self.migrating, {**self._more})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyRing) and self.__reduce__()[1] == other.__reduce__()[1]

    def __hash__(self) -> int:
        return hash((*self._secrets, self.active, self.migrating))

    def __repr__(self) -> str:
        state = ", migrating=True" if self.migrating else ""
        return f"KeyRing(active={self.active!r}, ids={[*self._secrets]!r}{state})"

    @classmethod
    def new(cls, *, migrating: bool = False, active: bool = True) -> Self:
        """A ring of one random key.

        Args:
            migrating: whether content in plain text is accepted, for a store that has some.
            active: whether it seals; False needs `migrating`.
        """
        secret = os.urandom(KEY_BYTES)
        return cls([secret], None if active else "", migrating=migrating)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """A ring from a file that `sojourn keys new` or `save` has written.

        Args:
            path: the file; or `env:VARIABLE`, for a variable that holds the text of one.

        Raises:
            ConfigurationError: it cannot be read, others may read it, or it is no ring; no message
                repeats what stands in it.
        """
        name = os.fspath(path)
        if _looks_secret(name):
            raise ConfigurationError(
                "A key, or the text of a ring, stands where a path belongs. Put the text in a file "
                "that only you may read, and give its path; or in a variable, and give env:NAME."
            )
        if name.startswith(ENVIRONMENT):
            variable = name.removeprefix(ENVIRONMENT)
            text = os.environ.get(variable, "")
            if not text.strip():
                raise ConfigurationError(
                    f"{variable} is not set: it must be a ring of keys, as sojourn keys new writes."
                )
            return cls.parse(text, variable)
        try:
            with named_file(name).open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if os.name == "posix" and mode & _OTHERS:
                    raise ConfigurationError(
                        f"{name} has master keys in it, and others may read or write it: "
                        f"chmod 600 {name}"
                    )
                return cls.parse(file.read(), name)
        except OSError as error:
            raise ConfigurationError(
                f"The master keys in {name} cannot be read ({error.strerror}). "
                "`sojourn keys new --out FILE` makes a file of them."
            ) from error

    @classmethod
    def parse(cls, text: str | bytes, what: str = "The text") -> Self:
        """A ring from the text of a file.

        Args:
            text: JSON.
            what: where it stands, for messages.

        Raises:
            ConfigurationError: it is no ring; the message repeats nothing of it.
        """
        wrong = ""
        try:
            found = _RingFile.of(text)
            check_format(found.format.encode(), what)
            ring = _ring(found.secrets(), found.active, found.migrating, found.more)
            return cls._as(ring)
        except NewerFormat as newer:
            raise ConfigurationError(str(newer)) from None
        except (ValueError, InvalidInput, msgspec.MsgspecError, RecursionError):
            wrong = (
                f"{what} is no ring of master keys. `sojourn keys new --out FILE` writes one: do "
                "not write or change it by hand."
            )
        raise ConfigurationError(wrong)  # here: what was wrong may have a key in it

    @classmethod
    def _as(cls, ring: KeyRing) -> Self:
        made = cls(ring._secrets.values(), ring.active, migrating=ring.migrating)
        object.__setattr__(made, "_more", ring._more)
        return made

    def text(self) -> str:
        """The text of a file, with all keys: for a store of secrets. `parse` is the inverse."""
        keys = {name: urlsafe_b64encode(each).decode() for name, each in self._secrets.items()}
        members = {"format": "1", "active": self.active, "migrating": self.migrating, "keys": keys}
        data = msgspec.json.encode({**self._more, **members})
        return msgspec.json.format(data).decode() + "\n"

    def save(self, path: str | os.PathLike[str], *, replace: bool = False) -> None:
        """Write a file that only its owner may read, whole or not at all.

        Args:
            path: the file.
            replace: whether one that is there may be replaced.

        Raises:
            ConfigurationError: it is there, or cannot be written.
        """
        write_file(named_file(path), self.text().encode(), replace=replace)

    @classmethod
    def edit(
        cls, path: str | os.PathLike[str], change: Callable[[KeyRing], KeyRing]
    ) -> tuple[KeyRing, KeyRing]:
        """Change the ring in a file; the one before and the one after.

        Args:
            path: the file.
            change: makes the other ring; no other process edits the file meanwhile.

        Raises:
            ConfigurationError: as `load` and `save`.
        """
        try:
            with locked(named_file(path)):
                before = cls.load(path)
                after = change(before)
                if after != before:
                    after.save(path, replace=True)
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be changed ({error.strerror}); it is as it was."
            ) from error
        return before, after

    @property
    def ids(self) -> Collection[str]:
        """The ids of the keys."""
        return self._secrets.keys()

    def __contains__(self, name: object) -> bool:
        return name in self._secrets

    def add(self, secret: bytes | None = None) -> KeyRing:
        """A ring with one key more, which is not active.

        Give it to all processes before it is made active, so that each can open what others wrap.

        Args:
            secret: 32 random bytes; new ones if not given.
        """
        more = os.urandom(KEY_BYTES) if secret is None else secret
        return self._with([*self._secrets.values(), more], self.active)

    def activate(self, name: str) -> KeyRing:
        """A ring of which another key wraps.

        Args:
            name: the id of the key.

        Raises:
            KeyMissing: it is not in the ring.
        """
        self._known(name)
        return self._with(self._secrets.values(), name)

    def remove(self, name: str) -> KeyRing:
        """A ring without a key. What it has wrapped cannot be opened any more.

        Args:
            name: its id.

        Raises:
            KeyMissing: it is not in the ring.
            InvalidInput: it is the active one.
        """
        self._known(name)
        if name == self.active:
            raise InvalidInput(f"The master key {name} is the active one: activate another first.")
        rest = [each for other, each in self._secrets.items() if other != name]
        return self._with(rest, self.active)

    def migrate(self, migrating: bool) -> KeyRing:
        """A ring that says whether plain text is accepted where sealed content is expected."""
        return self._with(self._secrets.values(), self.active, migrating=migrating)

    def _with(
        self, secrets: Iterable[bytes], active: str, *, migrating: bool | None = None
    ) -> KeyRing:
        migrating = self.migrating if migrating is None else migrating
        return _ring(secrets, active, migrating, self._more)

    def _known(self, name: str) -> bytes:
        if name not in self._secrets:
            raise KeyMissing(f"The master key {name} is not in this ring.", key_id=name)
        return self._secrets[name]

    def wrap(self, secret: bytes, bound: bytes) -> WrappedSecret:
        """Seal a secret with the active key.

        Args:
            secret: what to seal.
            bound: what it belongs to; it must be the same when it is unwrapped.

        Raises:
            ConfigurationError: no key is active, or the extra `crypto` is not installed.
        """
        if not self.active:
            raise ConfigurationError(
                "The ring of master keys has no active one: sojourn keys activate FILE ID."
            )
        sealed = DataKey(self._secrets[self.active]).seal(secret, _bound(bound, self.active))
        return WrappedSecret(self.active, sealed)

    def unwrap(self, wrapped: WrappedSecret, bound: bytes) -> bytes:
        """The inverse.

        Raises:
            KeyMissing: the ring does not have the master key.
            Tampered: it was changed, or belongs to something else.
            ConfigurationError: the extra `crypto` is not installed.
        """
        master, data = wrapped
        if master not in self._secrets:
            raise KeyMissing(
                f"A data key is wrapped by the master key {master}, which the ring of this process "
                "does not have: add it to the ring. Nothing was changed.",
                key_id=master,
            )
        try:
            return DataKey(self._secrets[master]).unseal(data, _bound(bound, master))
        except ValueError as error:
            raise Tampered(
                f"A data key that the master key {master} has wrapped cannot be trusted: {error}.",
                key="",
                raw=data,
            ) from None


def _looks_secret(path: str) -> bool:
    """Whether it is a ring's text, or a key: no message may repeat it."""
    looks = "{" in path or _SECRET.fullmatch(path) is not None
    return looks and not os.path.exists(path)  # noqa: PTH110 - a Path of a text may be too long


def _bound(bound: bytes, master: str) -> bytes:
    return bound + b" " + master.encode()


def _ring(
    secrets: Iterable[bytes], active: str, migrating: bool, more: Mapping[str, Any]
) -> KeyRing:
    made = KeyRing(secrets, active, migrating=migrating)
    object.__setattr__(made, "_more", more)
    return made


class _RingFile(msgspec.Struct, frozen=True):
    """What stands in a file of master keys."""

    active: str
    keys: dict[str, str]
    more: dict[str, Any]
    format: str = "1"
    migrating: bool = False

    @classmethod
    def of(cls, text: str | bytes) -> _RingFile:
        """Read it.

        Raises:
            ValueError: it has not that form.
        """
        more = msgspec.json.decode(text, type=dict[str, Any])
        known = {name: more.pop(name) for name in cls.__struct_fields__ if name in more}
        return msgspec.convert({**known, "more": more}, _RingFile)

    def secrets(self) -> list[bytes]:
        """The keys.

        Raises:
            ValueError: one of them is not that of its id.
        """
        found = [urlsafe_b64decode(each) for each in self.keys.values()]
        if [key_id(each) for each in found] != [*self.keys]:
            raise ValueError
        return found
