"""Served: the store of an application, its keys and its limits."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from fastapi import Request

from sojourn.client import Sojourn
from sojourn.security import Guard
from sojourn.security.tokens import Holder, Tokens
from sojourn.surfaces.http.limits import RateLimit
from sojourn.surfaces.http.sse import Tails
from sojourn.surfaces.http.verifier import KeyVerifier


class Served(NamedTuple):
    """What an application serves, and to whom.

    Attributes:
        store: the store.
        guard: of the store.
        tokens: who has which key.
        verifier: knows other keys; None for none.
        rate: how often a key may ask.
        tails: sessions that are followed.
        read_only: whether it refuses what changes something.
        hosts: names in the `Host` header to take; None for any.
        origins: other origins whose pages may call.
        max_body: bytes of a body.
        root_path: the path below which a proxy serves it.
    """

    store: Sojourn
    guard: Guard
    tokens: Tokens
    verifier: KeyVerifier | None
    rate: RateLimit
    tails: Tails
    read_only: bool
    hosts: frozenset[str] | None
    origins: Collection[str]
    max_body: int
    root_path: str

    async def holder(self, key: str) -> Holder | None:
        """Whose key it is; None for nobody's."""
        found = self.tokens.holder(key.encode("latin-1", "replace"))
        if found is None and self.verifier is not None:
            found = await self.verifier.holder(key)
        return found

    def refused(self, request: Request, reason: str) -> None:
        """Log that a request was not let in."""
        peer = "" if request.client is None else request.client.host
        self.guard.log.decided("http", "refused", reason, peer=peer)
