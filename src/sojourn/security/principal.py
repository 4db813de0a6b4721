"""Principals: the caller, as a credential identifies it."""

from __future__ import annotations

from typing import NamedTuple

from sojourn.codecs import text
from sojourn.errors import InvalidId
from sojourn.ids import AppName, UserId, UserKey


class Principal(NamedTuple):
    """Who calls. Make one with `Principal.of`, from a credential and never from a parameter.

    Attributes:
        app: the application.
        user: the user.
        peer: where the call comes from, as an address; empty when nobody knows.
    """

    app: AppName
    user: UserId
    peer: str = ""

    @classmethod
    def of(cls, app: str, user: str, *, peer: str = "") -> Principal:
        """Check who calls.

        Args:
            app: the application, not empty.
            user: the user, not empty: who has no name is nobody, and never everybody.
            peer: where the call comes from, for the access log and for `GuessLimiter`.

        Raises:
            InvalidId: no such names, or the wildcard `*`.
            InvalidInput: the peer is no text.
        """
        owner = UserKey.of(app, user)
        if not owner.user:
            raise InvalidId("The user is empty: a principal is somebody.")
        if "*" in (owner.app, owner.user):
            raise InvalidId("A principal is one user of one app; '*' names nobody.")
        return cls(owner.app, owner.user, text(peer, "peer"))

    @property
    def owner(self) -> UserKey:
        """The same as the key of a user."""
        return UserKey(self.app, self.user)
