"""Identities, parsed once and valid ever after.

An id may be any text: `parse_*` refuses only what no key can carry (text that is not UTF-8, text
over `MAX_BYTES`, an empty app or session). How an id looks inside a key is `escape`'s business:
percent-encoding is injective, so two identities never share a key.
"""

from __future__ import annotations

import secrets
from binascii import b2a_base64
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from os import urandom
from typing import NamedTuple, NewType, Protocol
from urllib.parse import quote, unquote

from sojourn.errors import InvalidId

__all__ = ["AppName", "SessionId", "SessionKey", "UserId", "UserKey"]

AppName = NewType("AppName", str)
UserId = NewType("UserId", str)
SessionId = NewType("SessionId", str)

MAX_BYTES = 512
"""The longest id, in bytes of UTF-8."""
MAX_OPERATION_ID = 128
"""Characters."""

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_SAFE = "@+=,!$'~"
"""Kept readable in keys beside letters, digits and `_.-`; none is a separator or a glob."""


class Owned(Protocol):
    """What names a record of a user, or of nobody."""

    @property
    def owner(self) -> UserKey | None:
        """Whose it is."""
        ...


class UserKey(NamedTuple):
    """One user of one app: the unit of locality, one slot in a Cluster."""

    app: AppName
    user: UserId

    @classmethod
    def of(cls, app: str, user: str) -> UserKey:
        """Check the two ids.

        Args:
            app: the application, not empty.
            user: the user; empty is a user like any other, never "all users".

        Raises:
            InvalidId: one of them cannot name a key.
        """
        return user_key(app, user)

    @property
    def owner(self) -> UserKey:
        """The same: whose records with this key are."""
        return self


class SessionKey(NamedTuple):
    """The identity of a session. Make one with `SessionKey.of`.

    Example:
        >>> SessionKey.of("shop", "ada", "8e42")
        SessionKey(app='shop', user='ada', session='8e42')
    """

    app: AppName
    user: UserId
    session: SessionId

    @classmethod
    def of(cls, app: str, user: str, session: str) -> SessionKey:
        """Check the three ids.

        Args:
            app: the application, not empty.
            user: the user; empty is a user like any other, never "all users".
            session: the session, not empty.

        Raises:
            InvalidId: one of them cannot name a key.
        """
        return cls(parse_app(app), parse_user(user), parse_session(session))

    @property
    def owner(self) -> UserKey:
        """The user whose session this is."""
        return UserKey(self.app, self.user)


def user_key(app: str, user: str) -> UserKey:
    """Check an app and a user.

    Raises:
        InvalidId: one of them cannot name a key.
    """
    return UserKey(parse_app(app), parse_user(user))


def parse_app(value: str) -> AppName:
    """Check an application's name."""
    return AppName(_parse("app", value, empty=False))


def parse_user(value: str) -> UserId:
    """Check a user id; the empty string is a user of its own."""
    return UserId(_parse("user", value, empty=True))


def parse_session(value: str) -> SessionId:
    """Check a session id."""
    return SessionId(_parse("session", value, empty=False))


def session_id_of(operation_id: str) -> SessionId:
    """The id of a session whose creator names none: the same when the create is repeated.

    As random as the operation id, and with no user name and no time in it.
    """
    return SessionId(blake2b(operation_id.encode(), digest_size=16).hexdigest())


def new_session_id() -> SessionId:
    """The id of a session: 128 random bits, and nothing else."""
    return SessionId(secrets.token_hex(16))


def new_operation_id() -> str:
    """An id for one write, of 96 random bits."""
    return b2a_base64(urandom(12), newline=False).translate(_URL_SAFE).decode()


def new_incarnation() -> str:
    """An operation id for a create, of 128 random bits: the session's id may be made of it."""
    return secrets.token_urlsafe(16)


def new_log_id() -> str:
    """What a session's log is known by, whatever the session's id becomes: 128 random bits."""
    return secrets.token_hex(16)


def escape(value: str) -> str:
    """The id as it stands in a key: injective, without `:` `{` `}` `*` `#` or spaces."""
    return quote(value, safe=_SAFE)


def unescape(value: str) -> str:
    """The id that `escape` was given."""
    return unquote(value, errors="strict")


@lru_cache(4096)
def tenant_of(owner: UserKey) -> str:
    """The cache tenant that is a user's own: `store.admin.forget` empties it with the user."""
    return f"{escape(owner.app)}:{escape(owner.user)}"


def session_of(app: str, session: str, user: str | None = None) -> SessionKey:
    """The key of a session of which perhaps only the id is known: it is a user's of its own name.

    Raises:
        InvalidId: one of them cannot name a key.
    """
    return SessionKey.of(app, session if user is None else user, session)


def owner_of(record: Owned | str) -> UserKey | None:
    """Whose a record is, in any room; None for one that belongs to nobody.

    What is nobody's is in no user's handle, and `store.admin.forget` leaves it.

    Args:
        record: what its key names: a session, a user, a scope of the memory, or, as text, a tenant
            of the cache, which is a user's if `tenant_of` gives it.
    """
    if not isinstance(record, str):
        return record.owner
    app, colon, user = record.partition(":")
    try:
        owner = UserKey.of(unescape(app), unescape(user)) if colon else None
    except (InvalidId, ValueError):
        return None
    return owner if owner is not None and tenant_of(owner) == record else None


def parse_tenant(value: object) -> str:
    """Check a tenant of the cache; the empty string is a tenant of its own."""
    return _parse("tenant", value, empty=True)


def parse_entry(value: object) -> str:
    """Check the name of a cached entry."""
    return _parse("entry", value, empty=False)


def parse_thread(value: object) -> str:
    """Check the id of a thread."""
    return _parse("thread", value, empty=False)


def parse_place(kind: str, value: object) -> str:
    """Check a namespace, an id or a task within a thread; the outermost namespace is empty."""
    return _parse(kind, value, empty=kind in ("namespace", "task"))


def parse_artifact(value: object) -> str:
    """Check the name of an artifact."""
    return _parse("artifact", value, empty=False)


def parse_tag(value: object) -> str:
    """Check a tag of cached entries: text of one line."""
    tag = _parse("tag", value, empty=False)
    if "\n" in tag:
        raise InvalidId(f"A tag is text of one line, not {tag!r}.")
    return tag


def parse_memory(kind: str, value: object) -> str:
    """Check whose memory it is; the empty string is a user of its own, but no agent or category."""
    return _parse(kind, value, empty=kind in ("user", "sessions", "events"))


def parse_prefix(value: object) -> str:
    """Check how names of memory entries begin; all begin with the empty string."""
    return _parse("prefix", value, empty=True)


def operation_id_of(given: object, new: Callable[[], str] = new_operation_id) -> str:
    """The operation id of a write: what was given, checked, or a `new` one for None."""
    if given is None:
        return new()
    given = _parse("operation", given, empty=False)
    if len(given) > MAX_OPERATION_ID:
        raise InvalidId(f"An operation_id has 1 to {MAX_OPERATION_ID} characters.")
    return given


def _parse(kind: str, value: object, *, empty: bool) -> str:
    if not isinstance(value, str):
        raise InvalidId(f"The {kind} id must be a string, not {type(value).__name__}.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidId(f"The {kind} id is not valid Unicode text: {error.reason}.") from error
    if size > MAX_BYTES:
        raise InvalidId(f"The {kind} id has {size:,} bytes; at most {MAX_BYTES} are allowed.")
    if not value and not empty:
        raise InvalidId(f"The {kind} id is empty.")
    return value
