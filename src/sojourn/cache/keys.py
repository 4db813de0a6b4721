"""Keys of cached entries."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from sojourn.calls.keys import ID, REMEMBERED, SHARD_TAG, KeyKind, Keys, shard_of
from sojourn.ids import escape, owner_of

SHARDS = 16
"""Over how many slots the cached entries of a tenant are spread."""

KINDS = (
    KeyKind("cached", rf"cache:{SHARD_TAG}:entry:{ID}", record="hash"),
    KeyKind("lease", rf"cache:{SHARD_TAG}:lease:{ID}"),
    KeyKind("tags", rf"cache:{SHARD_TAG}:tags"),
    KeyKind("cacheops", rf"cache:{SHARD_TAG}:ops"),
)


class CacheKeys(NamedTuple):
    """The keys of one cached entry, and those that its shard shares."""

    entry: str
    lease: str
    tags: str
    operations: str


class CacheRoomKeys(Keys):
    """Builds the keys of this room."""

    kinds = KINDS

    def __init__(self, namespace: str = "") -> None:
        super().__init__(namespace)
        self.cache = lru_cache(REMEMBERED)(self._cache)

    def _cache(self, tenant: str, name: str) -> CacheKeys:
        """The keys of a cached entry."""
        entry, shard = escape(name), shard_of(name, SHARDS)
        start = self.of_shard("cache", escape(tenant), shard)
        return CacheKeys(
            f"{start}:entry:{entry}", f"{start}:lease:{entry}", f"{start}:tags", f"{start}:ops"
        )

    def cache_tags(self, tenant: str, shard: int) -> str:
        """When the tags of a shard of a tenant's entries were invalidated."""
        return f"{self.of_shard('cache', escape(tenant), shard)}:tags"

    def cached_by(self, tenant: str) -> str:
        """A glob of all keys of a tenant's cached entries."""
        return f"{self.start}cache:{{{escape(tenant)}#*"

    def named_by(self, user: str) -> tuple[str, ...]:
        """A glob of all keys of the tenants that are a user's own, of any app."""
        return (f"{self.start}cache:{{*%3A{escape(escape(user))}#*",)

    def app_of(self, key: str, user: str) -> str | None:
        """As in other rooms, by the tenant."""
        return app_of_tenant(self.tag_of(key)[0], user)


def app_of_tenant(tenant: str, user: str) -> str | None:
    """The app of which a tenant is this user's; None when it is not."""
    owner = owner_of(tenant)
    return owner.app if owner is not None and owner.user == user else None
