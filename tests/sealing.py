"""Stores whose content is sealed, with keys of the test's own."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

import redis

import sojourn
from servers import Server
from sojourn.codecs.codec import DataKeys
from sojourn.codecs.encryption import DataKey
from sojourn.errors import Erased, SojournError


class TestKeys:
    """Data keys in memory, by owner; several stores may share them."""

    __test__ = False

    def __init__(self, *, migrating: bool = False) -> None:
        self.active: dict[tuple[str, str | None], DataKey] = {}
        self.former: dict[tuple[str, str | None], list[DataKey]] = {}
        self.failure: SojournError | None = None
        self.asked = 0
        self.migrating = migrating

    async def keys_of(
        self, app: str, user: str | None, wanted: Collection[str], *, create: bool
    ) -> DataKeys:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        if create:
            self.active.setdefault((app, user), DataKey(os.urandom(32)))
        active = self.active.get((app, user))
        found = [*self.former.get((app, user), []), *([active] if active else [])]
        return DataKeys(active, {key.id: key for key in found}, migrating=self.migrating)

    def renew(self, app: str, user: str | None) -> None:
        """Seal with another key from now on."""
        former = self.active.pop((app, user))
        self.former.setdefault((app, user), []).append(former)

    def destroy(self) -> None:
        """As an erasure does."""
        self.failure = Erased("The key was destroyed.")


def open_sealed(url: Any, keys: TestKeys | None = None, **options: Any) -> sojourn.Sojourn:
    """Open a store that seals what is written: MessagePack, encrypted."""
    options.setdefault("serializer", "msgpack")
    store = sojourn.open(url, **options)
    store.stores.rooms["sessions"].parts.store.codec.seal_with(keys or TestKeys())
    return store


def words_stored(server: Server, words: Collection[bytes]) -> list[bytes]:
    """Which of some words stand anywhere on a server: it is asked for all that it has."""
    with redis.Redis.from_url(server.url) as client:
        stored = [*client.scan_iter(), *(client.dump(key) or b"" for key in client.scan_iter())]
    return [word for word in words if any(word in each for each in stored)]
