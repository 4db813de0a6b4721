"""Served: the store of an application, its keys and its limits."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from fastapi import Request

from sojourn.client import Sojourn
from sojourn.security import Guard
from sojourn.security.tokens import Holder, Tokens
from sojourn.surfaces.http.sse import Tails


class Served(NamedTuple):
    """What an application serves, and to whom.

    Attributes:
        store: the store.
        guard: of the store.
        tokens: who has which key.
        tails: sessions that are followed.
        read_only: whether it refuses what changes something.
        hosts: names in the `Host` header to take; None for any.
        origins: other origins whose pages may call.
        max_body: bytes of a body.
    """

    store: Sojourn
    guard: Guard
    tokens: Tokens
    tails: Tails
    read_only: bool
    hosts: frozenset[str] | None
    origins: Collection[str]
    max_body: int

    async def holder(self, key: str) -> Holder | None:
        """Whose key it is; None for nobody's."""
        return self.tokens.holder(key.encode("latin-1", "replace"))

    def refused(self, request: Request, reason: str) -> None:
        """Log that a request was not let in."""
        peer = "" if request.client is None else request.client.host
        self.guard.log.decided("http", "refused", reason, peer=peer)
