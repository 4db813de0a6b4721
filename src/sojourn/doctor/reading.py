"""Answers of a server before any check judges them: frozen values."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class ServerAddress(NamedTuple):
    """How the server is reached: `redis`, `rediss`, `unix` or `embedded`, its host and database."""

    scheme: str
    host: str = ""
    database: int = 0

    @classmethod
    def of(cls, where: str) -> ServerAddress:
        """Read the address that an engine gives for messages."""
        scheme, _, rest = where.partition(":")
        if scheme == "embedded":
            return cls(scheme)
        if scheme == "unix":
            return cls(scheme, "", _number(rest.partition("?db=")[2]))
        at, _, database = rest.removeprefix("//").partition("/")
        return cls(scheme, at.rpartition(":")[0].strip("[]"), _number(database))

    @property
    def embedded(self) -> bool:
        """Whether the server is one of ours: nobody configures it."""
        return self.scheme == "embedded"

    @property
    def local(self) -> bool:
        """Whether what is sent to it stays on this machine."""
        return self.scheme in ("embedded", "unix") or is_loopback(self.host)


class NotAllowed(NamedTuple):
    """What the server did not tell.

    Attributes:
        why: in a clause: which command, and the server's words.
        denied: this user may not ask; otherwise the server cannot answer now, or not at all.
    """

    why: str
    denied: bool = False


class NotRead(Exception):  # leaves no examination: it becomes a finding
    """A check or the sample lacks what it needs."""

    def __init__(self, refused: NotAllowed) -> None:
        self.refused = refused
        super().__init__(refused.why)


def known(value: T | NotAllowed) -> T:
    """The value, when there is one.

    Raises:
        NotRead: the server did not tell.
    """
    if isinstance(value, NotAllowed):
        raise NotRead(value)
    return value


class Answers:
    """Named values that a command told, or its refusal.

    Args:
        command: which command.
        values: what it told.

    Attributes:
        values: the same.
    """

    def __init__(self, command: str, values: Mapping[str, str] | NotAllowed) -> None:
        self._command = command
        self.values = values

    def __getitem__(self, name: str) -> str:
        values = known(self.values)
        if name not in values:
            raise NotRead(NotAllowed(f"{self._command} does not tell {name}"))
        return values[name]

    @property
    def told(self) -> Mapping[str, str]:
        """All that was told: nothing when it was refused."""
        return {} if isinstance(self.values, NotAllowed) else self.values

    def __contains__(self, name: str) -> bool:
        return not isinstance(self.values, NotAllowed) and name in self.values

    def get(self, name: str) -> str:
        """The value; empty when it was not told."""
        return "" if isinstance(self.values, NotAllowed) else self.values.get(name, "")

    def number(self, name: str) -> float:
        """The value as a number.

        Raises:
            NotRead: it was not told, or is no number.
        """
        try:
            return float(self[name])
        except ValueError:
            raise NotRead(NotAllowed(f"{self._command} tells no number as {name}")) from None


class KeyLifetimes(NamedTuple):
    """What a sample of the keys shows.

    Attributes:
        looked: how many keys were looked at, of whomever.
        whole: they are all that the database has.
        ours: how many of them are Sojourn's.
        chosen: how many of ours have no TTL because somebody chose that.
        strays: those of ours that have no TTL though nobody chose that.
    """

    looked: int
    whole: bool
    ours: int
    chosen: int
    strays: list[str]


class DictionariesReading(NamedTuple):
    """What is known of the dictionaries that records need.

    Attributes:
        looked: how many records were looked at.
        missing: those that some records need and nobody has, by app.
    """

    looked: int
    missing: Mapping[str, Collection[str]]


class KeysReading(NamedTuple):
    """What is known of the keys that seal a store.

    Attributes:
        wrong: why the master keys cannot be had, in a sentence; empty when they can.
        active: the id of the master key that wraps data keys; empty for none.
        missing: ids of master keys that data keys need and the ring does not have.
        old: how many data keys another master key than the active one wraps.
        unreadable: how many users and apps have data keys that cannot be read.
        looked: how many users and apps were looked at.
        migrating: whether plain text is accepted.
        apart: whether data keys are kept apart from the records.
    """

    wrong: str = ""
    active: str = ""
    missing: frozenset[str] = frozenset()
    old: int = 0
    unreadable: int = 0
    looked: int = 0
    migrating: bool = False
    apart: bool = False


class ProbeRequest(NamedTuple):
    """What the examination is to cover.

    Attributes:
        keys: how many keys to look at, at most; 0 for none.
        notifications: whether the application listens for keys that expire.
        cluster: whether the URL says that the server is one of the nodes of a Cluster.
    """

    keys: int = 10_000
    notifications: bool = False
    cluster: bool = False


class Reading(NamedTuple):
    """All that was read from one server, and nothing but what was read.

    Attributes:
        address: how it was reached.
        wanted: what was asked for.
        hello: HELLO.
        info: INFO, its default sections.
        config: CONFIG GET of the directives that matter.
        client: CLIENT INFO: this connection as the server sees it.
        default_user: ACL GETUSER default, without passwords.
        own_user: the same of the user that this connection runs as.
        tried: a call to scripts and a read of a key, each None when it went well.
        patterns: the ACL patterns that cover all keys of this store.
        skew: seconds by which the server's clock is ahead of this machine's.
        pings: seconds that each PING took.
        lifetimes: what a sample of the keys shows; None when none was wanted.
    """

    address: ServerAddress
    wanted: ProbeRequest
    hello: Answers
    info: Answers
    config: Answers
    client: Answers
    default_user: Answers
    own_user: Answers
    tried: tuple[NotAllowed | None, ...]
    patterns: tuple[str, ...]
    skew: float | NotAllowed
    pings: list[float] | NotAllowed
    lifetimes: KeyLifetimes | NotAllowed | None


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own; no name is looked up."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def pairs(flat: Iterable[object]) -> dict[str, object]:
    """A flat reply as a dictionary."""
    each = iter(flat)
    return {text(name): value for name, value in zip(each, each, strict=False)}


def text(value: object) -> str:
    """A value of a reply as text; what is no UTF-8 is replaced."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _number(digits: str) -> int:
    return int(digits) if digits.isdecimal() else 0
