"""Key names: what all rooms share of them. docs/storage-format.md draws them.

Each room builds its own keys, in its `keys.py`, and says of which kinds they are. The hash tag is
app and user: a user's sessions, index and state share a slot and change together. Keys of an app
have a tag of their own; its users are spread over shards.
"""

from __future__ import annotations

import re
from binascii import crc32, crc_hqx
from collections.abc import Callable
from enum import Enum, auto
from functools import cache, cached_property
from typing import Literal, NamedTuple

from sojourn.errors import InvalidId
from sojourn.ids import SessionKey, UserKey, escape, unescape

_SLOTS = 16384
"""Of a Cluster."""

REMEMBERED = 4096
"""Identities whose keys a room caches: escaping costs more than sending, and identities recur."""

_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

ID = r"[A-Za-z0-9_.~@+=,!$'%-]*"
"""An escaped id, in the form of a key."""
APP_TAG = rf"\{{{ID}\}}"
USER_TAG = rf"\{{{ID}:{ID}\}}"
SHARD_TAG = rf"\{{{ID}#\d+\}}"
"""The hash tags of an app or of any one name, of a user, and of a shard."""


class Endless(Enum):
    """Where it is written that a key is meant to live for ever."""

    NEVER = auto()
    """Nowhere: such a key always has a TTL."""
    TTL_FIELD = auto()
    """The field `ttl` of a hash is empty."""
    EXPIRES_FIELD = auto()
    """The field `expires` of a hash is empty."""
    INFINITE_SCORE = auto()
    """The last entry of an index has the score `inf`."""
    FAR_SCORE = auto()
    """The last entry of an index is of an instant a century ahead."""
    STATE_TTL = auto()
    """The store was opened with `state_ttl=None`."""
    ALWAYS = auto()
    """Everywhere: such a key never has a TTL."""


class KeyKind(NamedTuple):
    """One kind of key.

    Attributes:
        name: unique among all rooms.
        form: a regular expression of the key behind the namespace: a word and `:`, or a word alone.
        endless: where it is written that it lives for ever.
        source: the name of the key that says so, made of its own; itself by default.
        record: of what type it is, if it holds a record: jobs that rewrite records look at those.
            The head of a log is its `source`.
    """

    name: str
    form: str
    endless: Endless = Endless.NEVER
    source: Callable[[str], str] = str
    record: Literal["hash", "log"] | None = None

    @property
    def word(self) -> str:
        """What the key begins with."""
        return self.form.partition(":")[0]


class Kind(NamedTuple):
    """What a key is, and where it is written how long it lives.

    Attributes:
        name: of its `KeyKind`.
        source: the key that tells its lifetime, itself perhaps.
    """

    name: str
    source: str


class Keys:
    """Some keys of one deployment: those of a room, in a class derived from this one.

    Args:
        namespace: stands before every key; the ACL rule `~NAMESPACE:*` covers them all.

    Attributes:
        kinds: of its keys.
        start: what every key begins with.

    Raises:
        InvalidId: the namespace is not letters, digits, `_.-`, or is a word that keys begin with.
    """

    kinds: tuple[KeyKind, ...] = ()

    def __init__(self, namespace: str = "") -> None:
        words = {kind.word for kind in self.kinds}
        if namespace and (namespace in words or not _NAMESPACE.fullmatch(namespace)):
            raise InvalidId(
                f"The namespace {namespace!r} cannot be used: up to 64 letters, digits and _.- , "
                f"none of {', '.join(sorted(words))}."
            )
        self.start = f"{namespace}:" if namespace else ""

    def of_user(self, word: str, owner: UserKey | SessionKey) -> str:
        """A key in the slot of a user."""
        return f"{self.start}{word}:{{{user_tag(owner)}}}"

    def of_app(self, word: str, app: str) -> str:
        """A key in the slot of an app."""
        return f"{self.start}{word}:{{{escape(app)}}}"

    def of_shard(self, word: str, name: str, shard: int) -> str:
        """A key in the slot of a shard of an app, or of what else is escaped already."""
        return f"{self.start}{word}:{{{name}#{shard}}}"

    def pattern(self, word: str) -> str:
        """A glob of every key that starts with a reserved word, for SCAN."""
        return f"{self.start}{word}:*"

    def named_by(self, user: str) -> tuple[str, ...]:
        """Globs of all keys that are a user's, of any app; others may match, too."""
        return (f"{self.start}*{{*:{escape(user)}}}*",)

    def app_of(self, key: str, user: str) -> str | None:
        """The app in which a key is a user's; None when it is not."""
        tag = self.tag_of(key)
        return tag[0] if len(tag) == 2 and tag[1] == user else None  # noqa: PLR2004 - app and user

    def tag_of(self, key: str) -> tuple[str, ...]:
        """The hash tag of a key, without the number of a shard."""
        tag = key[key.find("{") + 1 : key.find("}")].partition("#")[0]
        return tuple(map(unescape, tag.split(":")))

    def named(self, key: str) -> tuple[str, ...]:
        """The ids in a key: those of its tag, without a shard, then those behind it.

        Raises:
            ValueError: it is none of these keys.
        """
        if self.kind_of(key) is None:
            raise ValueError("no key of ours")
        rest = key[key.index("{") + 1 :].partition("}")[2]
        return (*self.tag_of(key), *map(unescape, rest.split(":")[1:]))

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns that cover these keys, for an ACL."""
        if self.start:
            return (f"{self.start}*",)
        alone = {kind.word for kind in self.kinds if kind.word == kind.form}
        words = {kind.word for kind in self.kinds} - alone
        return (*sorted(alone), *(f"{word}:*" for word in sorted(words)))

    def kind_of(self, key: str) -> Kind | None:
        """The kind of a key; None when it is not a key of these kinds and this deployment."""
        found = key.startswith(self.start) and self._form.fullmatch(key, len(self.start))
        name = found.lastgroup if found else None
        return Kind(name, self._by_name[name].source(key)) if name else None

    def endless(self, kind: Kind) -> Endless:
        """Where it is written that keys of a kind are meant to live for ever."""
        return self._by_name[kind.name].endless

    @cached_property
    def _form(self) -> re.Pattern[str]:
        """Any key, with its kind as the name of the group that matches."""
        return re.compile("|".join(f"(?P<{kind.name}>{kind.form})" for kind in self.kinds))

    @cached_property
    def _by_name(self) -> dict[str, KeyKind]:
        return {kind.name: kind for kind in self.kinds}


def user_tag(owner: UserKey | SessionKey) -> str:
    """The hash tag of a user, without braces."""
    return f"{escape(owner.app)}:{escape(owner.user)}"


def shard_of(name: str, shards: int) -> int:
    """The shard that holds a name."""
    return crc32(name.encode()) % shards


def parent(key: str) -> str:
    """The key without its last part."""
    return key.rpartition(":")[0]


def expiry_of_tag(key: str) -> str:
    """The index by expiry beside a key: its word and tag, then `:expiry`."""
    return f"{key[: key.rindex('}') + 1]}:expiry"


def same_slot(tag: str) -> str:
    """A number whose slot in a Cluster is that of a hash tag; it names nobody."""
    return _numbers()[_slot(tag)]


def _slot(tag: str) -> int:
    """The slot that a hash tag has in a Cluster."""
    return crc_hqx(tag.encode(), 0) % _SLOTS


@cache
def _numbers() -> list[str]:
    """For each slot the smallest whole number, in decimal, that has it as a hash tag."""
    found, left, number = [""] * _SLOTS, _SLOTS, 0
    while left:
        slot = _slot(str(number))
        if not found[slot]:
            found[slot] = str(number)
            left -= 1
        number += 1
    return found
