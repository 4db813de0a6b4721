"""Every key, built here and nowhere else. docs/storage-format.md draws them.

The hash tag is app and user: a user's sessions, index and state share a slot and change together.
Keys of an app have a tag of their own; its users are spread over `SHARDS` slots.
"""

from __future__ import annotations

import re
from binascii import crc32, crc_hqx
from functools import cache, lru_cache
from typing import NamedTuple

from sojourn.errors import InvalidId
from sojourn.ids import SessionKey, UserKey, escape, unescape

SHARDS = 16
"""Among how many keys the users of an app are spread."""

CACHE_SHARDS = 16
"""Over how many slots the cached entries of a tenant are spread."""

MEMORY_SHARDS = 16
"""Over how many slots the names of those who have memory entries are spread."""

_SLOTS = 16384
"""Of a Cluster."""

_REMEMBERED = 4096
"""Identities whose keys a process keeps."""

_RESERVED = frozenset(
    {"apps", "cache", "operations", "outbox", "quarantine", "session", "sessions", "state", "users"}
    | {"artifact", "artifacts", "memories", "memory", "notices"}
    | {"owner", "security"}
    | {"enumeration"}
    | {"erased"}
    | {"mcp"}
    | {"recent"}
)
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_ID = r"[A-Za-z0-9_.~@+=,!$'%-]*"
_TAG = rf"\{{{_ID}:{_ID}\}}"
_OF = rf"\{{{_ID}:{_ID}:{_ID}\}}"
_FORMS = {
    "session": rf"session:{_TAG}:{_ID}",
    "events": rf"session:{_TAG}:{_ID}:events",
    "ops": rf"session:{_TAG}:{_ID}:ops",
    "ids": rf"session:{_TAG}:{_ID}:ids",
    "staged": rf"session:{_TAG}:{_ID}:staged:{_ID}(?::ids)?",
    "sessions": rf"sessions:{_TAG}",
    "expiry": rf"sessions:{_TAG}:expiry",
    "label": rf"sessions:{_TAG}:label:{_ID}:{_ID}",
    "recent": rf"recent:\{{{_ID}#\d+\}}(?::expiry|:label:{_ID}:{_ID})?",
    "state": rf"state:(?:{_TAG}|\{{{_ID}\}})",
    "outbox": rf"outbox:{_TAG}",
    "operations": rf"operations:{_TAG}",
    "quarantine": rf"quarantine:{_TAG}",
    "notices": rf"notices:{_TAG}",
    "users": rf"users:\{{{_ID}#\d+\}}",
    "apps": "apps",
    "cached": rf"cache:\{{{_ID}#\d+\}}:entry:{_ID}",
    "lease": rf"cache:\{{{_ID}#\d+\}}:lease:{_ID}",
    "tags": rf"cache:\{{{_ID}#\d+\}}:tags",
    "cacheops": rf"cache:\{{{_ID}#\d+\}}:ops",
    "memories": rf"memories:\{{{_ID}:{_ID}#\d+\}}(?::expiry)?",
    "memory": rf"memory:{_OF}(?::(?:names|expiry|changes|deleted))?",
    "memoryops": rf"memory:{_OF}:ops",
    "remembered": rf"memory:{_OF}:entry:{_ID}",
    "artifact": rf"artifact:{_TAG}:{_ID}:{_ID}",
    "artifactdata": rf"artifact:{_TAG}:{_ID}:{_ID}:data:{_ID}",
    "artifactops": rf"artifact:{_TAG}:{_ID}:{_ID}:(?:saved|deleted):{_ID}",
    "owner": rf"owner:{_TAG}",
    "security": rf"security:\{{{_ID}\}}(?::flagged)?",
    "artifacts": rf"artifacts:{_TAG}(?::{_ID})?",
    "enumeration": rf"enumeration:\{{{_ID}#\d+\}}",
    "erased": r"erased:\{\d+\}",
    "mcp": rf"mcp:{_TAG}:{_ID}",
}
"""What the keys below look like, by their kind."""
_KIND = re.compile("|".join(f"(?P<{kind}>{form})" for kind, form in _FORMS.items()))


class SessionKeys(NamedTuple):
    """The keys of one session."""

    head: str
    events: str
    operations: str
    ids: str


class UserKeys(NamedTuple):
    """The keys that the sessions of one user share."""

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


class CacheKeys(NamedTuple):
    """The keys of one cached entry, and those that its shard shares."""

    entry: str
    lease: str
    tags: str
    operations: str


class MemoryKeys(NamedTuple):
    """The keys that the entries of one memory scope share."""

    head: str
    names: str
    expiry: str
    changes: str
    deleted: str
    operations: str


class ArtifactKeys(NamedTuple):
    """The keys of one artifact; the last three go on with `:` and an operation id, escaped."""

    head: str
    names: str
    data: str
    saved: str
    deleted: str


class Kind(NamedTuple):
    """What a key is, and where it is written how long it lives.

    Attributes:
        name: a key of `_FORMS`.
        source: the key that tells its lifetime, itself perhaps.
    """

    name: str
    source: str


class Keys:
    """The keys of one deployment.

    Args:
        namespace: stands before every key; the ACL rule `~NAMESPACE:*` covers them all.

    Raises:
        InvalidId: the namespace is not letters, digits, `_.-`, or is reserved.
    """

    def __init__(self, namespace: str = "") -> None:
        if namespace and (namespace in _RESERVED or not _NAMESPACE.fullmatch(namespace)):
            raise InvalidId(
                f"The namespace {namespace!r} cannot be used: up to 64 letters, digits and _.- , "
                f"none of {', '.join(sorted(_RESERVED))}."
            )
        self._start = f"{namespace}:" if namespace else ""
        # Escaping costs more than sending: a process sees the same identities again and again.
        self.session = lru_cache(_REMEMBERED)(self._session)
        self.user = lru_cache(_REMEMBERED)(self._user)

    def _session(self, key: SessionKey) -> SessionKeys:
        """The keys of a session."""
        head = f"{self._start}session:{{{_tag(key)}}}:{escape(key.session)}"
        return SessionKeys(head, f"{head}:events", f"{head}:ops", f"{head}:ids")

    def staged(self, key: SessionKey, name: str) -> tuple[str, str]:
        """Where rows wait for the session whose log they will be, and the ids of their events."""
        rows = f"{self.session(key).head}:staged:{escape(name)}"
        return rows, f"{rows}:ids"

    def _user(self, owner: UserKey | SessionKey) -> UserKeys:
        """The keys of a user, in the slot of the user's sessions."""
        start, tag = self._start, _tag(owner)
        return UserKeys(
            f"{start}sessions:{{{tag}}}",
            f"{start}sessions:{{{tag}}}:expiry",
            f"{start}state:{{{tag}}}",
            f"{start}outbox:{{{tag}}}",
            f"{start}operations:{{{tag}}}",
            f"{start}quarantine:{{{tag}}}",
            f"{start}notices:{{{tag}}}",
        )

    def app_state(self, app: str) -> str:
        """The state that all users of an app share, in a slot of its own."""
        return f"{self._start}state:{{{escape(app)}}}"

    def users(self, app: str, shard: int) -> str:
        """One shard of an app's users."""
        return f"{self._start}users:{{{escape(app)}#{shard}}}"

    def users_of(self, owner: UserKey) -> str:
        """The shard that lists this user."""
        return self.users(owner.app, crc32(owner.user.encode()) % SHARDS)

    def recent(self, app: str, shard: int) -> RecentKeys:
        """One shard of an app's sessions by their last change."""
        name = f"{self._start}recent:{{{escape(app)}#{shard}}}"
        return RecentKeys(name, f"{name}:expiry")

    def recent_of(self, owner: UserKey | SessionKey) -> RecentKeys:
        """The shard that lists the sessions of this user."""
        return self.recent(owner.app, crc32(owner.user.encode()) % SHARDS)

    def recent_by(self, user: str) -> str:
        """A glob of all those of any app that may list the sessions of a user."""
        return f"{self._start}recent:{{*#{crc32(user.encode()) % SHARDS}}}*"

    def labelled(self, index: str, label: tuple[str, str]) -> str:
        """Those in the index of a user's or an app's sessions that have a label."""
        name, value = label
        return f"{index}:label:{escape(name)}:{escape(value)}"

    def labels_by(self, index: str) -> str:
        """A glob of those keys, whatever the label."""
        return f"{index}:label:*"

    def apps(self) -> str:
        """The apps that have users."""
        return f"{self._start}apps"

    def cache(self, tenant: str, name: str) -> CacheKeys:
        """The keys of a cached entry."""
        shard = crc32(name.encode()) % CACHE_SHARDS
        start, entry = self._cache(tenant, shard), escape(name)
        return CacheKeys(
            f"{start}:entry:{entry}", f"{start}:lease:{entry}", f"{start}:tags", f"{start}:ops"
        )

    def cache_tags(self, tenant: str, shard: int) -> str:
        """When the tags of a shard of a tenant's entries were invalidated."""
        return f"{self._cache(tenant, shard)}:tags"

    def _cache(self, tenant: str, shard: int) -> str:
        return f"{self._start}cache:{{{escape(tenant)}#{shard}}}"

    def memory(self, app: str, kind: str, name: str) -> MemoryKeys:
        """The data that the entries of a memory scope share."""
        head = f"{self._start}memory:{{{escape(app)}:{escape(kind)}:{escape(name)}}}"
        parts = ("names", "expiry", "changes", "deleted", "ops")
        return MemoryKeys(head, *(f"{head}:{part}" for part in parts))

    def remembered(self, of: MemoryKeys, key: str) -> str:
        """An entry of a memory scope."""
        return f"{of.head}:entry:{escape(key)}"

    def memories(self, app: str, kind: str, shard: int) -> tuple[str, str]:
        """One shard of those of a kind who have memory entries: by name, and by expiry."""
        names = f"{self._start}memories:{{{escape(app)}:{escape(kind)}#{shard}}}"
        return names, f"{names}:expiry"

    def memories_of(self, app: str, kind: str, name: str) -> tuple[str, str]:
        """The shard that lists this one."""
        return self.memories(app, kind, crc32(name.encode()) % MEMORY_SHARDS)

    def artifact(self, owner: UserKey | SessionKey, name: str) -> ArtifactKeys:
        """The keys of an artifact, in the slot of its user. No session has an empty id."""
        session = escape(owner.session) if isinstance(owner, SessionKey) else ""
        head = f"{self._start}artifact:{{{_tag(owner)}}}:{session}:{escape(name)}"
        return ArtifactKeys(
            head, self.artifacts(owner), f"{head}:data", f"{head}:saved", f"{head}:deleted"
        )

    def artifacts(self, owner: UserKey | SessionKey) -> str:
        """The index of the artifacts of a session, or of those of a user."""
        session = f":{escape(owner.session)}" if isinstance(owner, SessionKey) else ""
        return f"{self._start}artifacts:{{{_tag(owner)}}}{session}"

    def owner(self, app: str, session: str) -> str:
        """The owner of a session id."""
        return f"{self._start}owner:{{{escape(app)}:{escape(session)}}}"

    def security(self, app: str) -> tuple[str, str]:
        """The counters of guards for an app, and the sessions that they flagged."""
        counts = f"{self._start}security:{{{escape(app)}}}"
        return counts, f"{counts}:flagged"

    def enumeration(self, app: str, bucket: int) -> str:
        """Counts of failed guesses by the peers of a bucket: ids that are missing or not theirs."""
        return f"{self._start}enumeration:{{{escape(app)}#{bucket}}}"

    # ── what was revoked or forgotten, and what is to be ───────────────────────────────────────

    def erased(self, of: UserKey | str) -> str:
        """The tombstones of a slot, that of a user's sessions or of an app; it names nobody."""
        tag = escape(of) if isinstance(of, str) else _tag(of)
        return f"{self._start}erased:{{{_numbers()[_slot(tag)]}}}"

    def sessions_by(self, owner: UserKey) -> str:
        """A glob of all keys of a user's sessions."""
        return f"{self._start}session:{{{_tag(owner)}}}:*"

    def artifacts_by(self, owner: UserKey) -> str:
        """A glob of all keys of the artifacts of a user and of the user's sessions."""
        return f"{self._start}artifact*:{{{_tag(owner)}}}*"

    def memory_by(self, app: str, name: str) -> str:
        """A glob of all keys of the memory of one name; of agents and categories, too."""
        return f"{self._start}memory:{{{escape(app)}:*:{escape(name)}}}*"

    def cached_by(self, tenant: str) -> str:
        """A glob of all keys of a tenant's cached entries."""
        return f"{self._start}cache:{{{escape(tenant)}#*"

    def named_by(self, user: str) -> tuple[str, ...]:
        """Globs of all keys that have a user's name in them, of any app, and of index shards."""
        start, name = self._start, escape(user)
        return (
            f"{start}*{{*:{name}}}*",
            f"{start}cache:{{*%3A{escape(name)}#*",
            f"{start}memories:{{*#{crc32(user.encode()) % MEMORY_SHARDS}}}",
        )

    def mcp_by(self, owner: UserKey) -> str:
        """A glob of the messages that the MCP server sent to clients of a user."""
        return f"{self._start}mcp:{{{_tag(owner)}}}:*"

    def owners_by(self, app: str) -> str:
        """A glob of the owners of an app's session ids."""
        return f"{self._start}owner:{{{escape(app)}:*"

    def tag_of(self, key: str) -> tuple[str, ...]:
        """The hash tag of a key, without the number of a shard."""
        tag = key[key.find("{") + 1 : key.find("}")].partition("#")[0]
        return tuple(map(unescape, tag.split(":")))

    def mcp(self, key: SessionKey) -> str:
        """The latest messages of the MCP server to a client, in the slot of its user."""
        return f"{self._start}mcp:{{{_tag(key)}}}:{escape(key.session)}"

    def pattern(self, word: str) -> str:
        """A glob of every key that starts with a reserved word, for SCAN."""
        return f"{self._start}{word}:*"

    def named(self, key: str) -> tuple[str, ...]:
        """The ids in a key: those of its tag, without a shard, then those behind it.

        Raises:
            ValueError: it is not a key of this deployment.
        """
        if self.kind_of(key) is None:
            raise ValueError("no key of ours")
        tag, _, rest = key[key.index("{") + 1 :].partition("}")
        parts = tag.partition("#")[0].split(":") + rest.split(":")[1:]
        return tuple(map(unescape, parts))

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns that cover every key, for an ACL."""
        if self._start:
            return (f"{self._start}*",)
        return ("apps", *(f"{word}:*" for word in sorted(_RESERVED - {"apps"})))

    def kind_of(self, key: str) -> Kind | None:
        """The kind of a key; None when it is not a key of this deployment."""
        found = key.startswith(self._start) and _KIND.fullmatch(key, len(self._start))
        if not found:
            return None
        name = found.lastgroup or ""
        if name in ("events", "ids"):
            return Kind(name, key.rpartition(":")[0])
        if name in ("label", "memory", "memories", "recent"):
            return Kind(name, f"{key[: key.rindex('}') + 1]}:expiry")
        if name == "artifactdata":
            return Kind(name, key.rsplit(":", 2)[0])
        return Kind(name, f"{key}:expiry" if name == "sessions" else key)


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


def _tag(owner: UserKey | SessionKey) -> str:
    return f"{escape(owner.app)}:{escape(owner.user)}"
