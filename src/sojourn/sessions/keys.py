"""Keys of sessions, of their indexes, and of the state of users and apps."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from sojourn.calls.keys import (
    APP_TAG,
    ID,
    REMEMBERED,
    SHARD_TAG,
    USER_TAG,
    Endless,
    KeyKind,
    Keys,
    expiry_of_tag,
    parent,
    same_slot,
    shard_of,
    user_tag,
)
from sojourn.ids import SessionKey, UserKey, escape

SHARDS = 16
"""Among how many keys the users of an app are spread."""


_SESSION = rf"session:{USER_TAG}:{ID}"
_BY_EXPIRY = Endless.INFINITE_SCORE, expiry_of_tag

KINDS = (
    KeyKind("session", _SESSION, Endless.TTL_FIELD, record="hash"),
    KeyKind("events", rf"{_SESSION}:events", Endless.TTL_FIELD, parent, "log"),
    KeyKind("ops", rf"{_SESSION}:ops"),
    KeyKind("ids", rf"{_SESSION}:ids", Endless.TTL_FIELD, parent),
    KeyKind("staged", rf"{_SESSION}:staged:{ID}(?::ids)?"),
    KeyKind("sessions", rf"sessions:{USER_TAG}", *_BY_EXPIRY),
    KeyKind("expiry", rf"sessions:{USER_TAG}:expiry", Endless.INFINITE_SCORE),
    KeyKind("label", rf"sessions:{USER_TAG}:label:{ID}:{ID}", *_BY_EXPIRY),
    KeyKind("recent", rf"recent:{SHARD_TAG}(?::expiry|:label:{ID}:{ID})?", *_BY_EXPIRY),
    KeyKind("state", rf"state:(?:{USER_TAG}|{APP_TAG})", Endless.STATE_TTL, record="hash"),
    KeyKind("outbox", rf"outbox:{USER_TAG}", Endless.STATE_TTL, record="hash"),
    KeyKind("operations", rf"operations:{USER_TAG}"),
    KeyKind("quarantine", rf"quarantine:{USER_TAG}", Endless.STATE_TTL),
    KeyKind("users", rf"users:{SHARD_TAG}", Endless.FAR_SCORE),
    KeyKind("apps", "apps", Endless.FAR_SCORE),
    KeyKind("erased", r"erased:\{\d+\}"),
)


class SessionKeys(NamedTuple):
    """The keys of one session."""

    head: str
    events: str
    operations: str
    ids: str


class UserKeys(NamedTuple):
    """The keys that the sessions of one user share. Changes are added to `notices` with them."""

    by_update: str
    by_expiry: str
    state: str
    outbox: str
    operations: str
    quarantine: str
    notices: str


class RecentKeys(NamedTuple):
    """The keys of one shard of an app's sessions, but for those of labels."""

    by_update: str
    by_expiry: str


class SessionRoomKeys(Keys):
    """Builds the keys of this room."""

    kinds = KINDS

    def __init__(self, namespace: str = "") -> None:
        super().__init__(namespace)
        self.session = lru_cache(REMEMBERED)(self._session)
        self.user = lru_cache(REMEMBERED)(self._user)

    def _session(self, key: SessionKey) -> SessionKeys:
        """The keys of a session."""
        head = f"{self.of_user('session', key)}:{escape(key.session)}"
        return SessionKeys(head, f"{head}:events", f"{head}:ops", f"{head}:ids")

    def staged(self, key: SessionKey, name: str) -> tuple[str, str]:
        """Where rows wait for the session whose log they will be, and the ids of their events."""
        rows = f"{self.session(key).head}:staged:{escape(name)}"
        return rows, f"{rows}:ids"

    def _user(self, owner: UserKey | SessionKey) -> UserKeys:
        """The keys of a user, in the slot of the user's sessions."""
        by_update = self.of_user("sessions", owner)
        others = ("state", "outbox", "operations", "quarantine", "notices")
        return UserKeys(
            by_update, f"{by_update}:expiry", *(self.of_user(word, owner) for word in others)
        )

    def app_state(self, app: str) -> str:
        """The state that all users of an app share, in a slot of its own."""
        return self.of_app("state", app)

    def users(self, app: str, shard: int) -> str:
        """One shard of an app's users."""
        return self.of_shard("users", escape(app), shard)

    def users_of(self, owner: UserKey) -> str:
        """The shard that lists this user."""
        return self.users(owner.app, shard_of(owner.user, SHARDS))

    def recent(self, app: str, shard: int) -> RecentKeys:
        """One shard of an app's sessions by their last change."""
        name = self.of_shard("recent", escape(app), shard)
        return RecentKeys(name, f"{name}:expiry")

    def recent_of(self, owner: UserKey | SessionKey) -> RecentKeys:
        """The shard that lists the sessions of this user."""
        return self.recent(owner.app, shard_of(owner.user, SHARDS))

    def recent_by(self, user: str) -> str:
        """A glob of all those of any app that may list the sessions of a user."""
        return f"{self.of_shard('recent', '*', shard_of(user, SHARDS))}*"

    def labelled(self, index: str, label: tuple[str, str]) -> str:
        """Those in the index of a user's or an app's sessions that have a label."""
        name, value = label
        return f"{index}:label:{escape(name)}:{escape(value)}"

    def labels_by(self, index: str) -> str:
        """A glob of those keys, whatever the label."""
        return f"{index}:label:*"

    def apps(self) -> str:
        """The apps that have users."""
        return f"{self.start}apps"

    def erased(self, of: UserKey | str) -> str:
        """The tombstones of a slot, that of a user's sessions or of an app; it names nobody."""
        tag = escape(of) if isinstance(of, str) else user_tag(of)
        return f"{self.start}erased:{{{same_slot(tag)}}}"

    def sessions_by(self, owner: UserKey) -> str:
        """A glob of all keys of a user's sessions."""
        return f"{self.of_user('session', owner)}:*"
