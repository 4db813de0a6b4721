"""Caller of the API: whose key it is, what it allows, and the handles that it gets."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request

from sojourn.admin import Admin
from sojourn.security import Principal, User
from sojourn.security.tokens import Holder, KeyScope
from sojourn.surfaces.http.problems import Problem, not_found
from sojourn.surfaces.http.served import Served


class Caller:
    """Who makes a request. Every handler gets its data through one of these methods.

    Each of them is a decision of the access log.

    Args:
        holder: whose key it is.
        peer: where the request comes from.
        request: for the name of its route.
        served: the store, and how it is served.
    """

    def __init__(self, holder: Holder, peer: str, request: Request, served: Served) -> None:
        self.holder = holder
        self.store = served.store
        self.peer = peer
        self.read_only = served.read_only
        self.tails = served.tails
        self.root_path = str(request.scope["root_path"])
        self._request = request
        self._guard = served.guard

    @property
    def apps(self) -> Sequence[str] | None:
        """The apps that the key is for, in order; None for all."""
        return None if self.holder.apps is None else sorted(self.holder.apps)

    @property
    def only_user(self) -> str | None:
        """The one user that the key is for; None for all."""
        return None if self.holder.all_users else self.holder.user

    def user(self, app: str, user: str) -> User:
        """The store as a user sees it; each of its calls is checked and logged by itself.

        Raises:
            Problem: 404, as if nothing was there: the key is for somebody else.
            InvalidId: no such names.
        """
        if not self.holder.is_for(app, user):
            self._log("refused", "foreign", app)
            raise not_found("user")
        if self.holder.all_users:
            return self._guard.operator(app, user, name=self.holder.user, peer=self.peer)
        return self._guard.user(Principal.of(app, user, peer=self.peer))

    def everyone(self, app: str | None = None) -> Admin:
        """Lists over the users of an app, or over all apps: only for keys for all users.

        Raises:
            Problem: 404 or 403: the key is for one user, or for other apps.
        """
        self._for_all(app)
        self._log("allowed", "", app)
        return self.store.admin

    def admin(self, app: str | None = None, user: str | None = None) -> Admin:
        """Calls for operators: about one user, about an app if there is none, or about all.

        Raises:
            Problem: 403: the scope of the key is not `admin`; 404: it is for somebody else.
        """
        if app is not None and user is not None:
            if not self.holder.is_for(app, user):
                self._log("refused", "foreign", app)
                raise not_found("user")
        else:
            self._for_all(app)
        self.need("admin", app)
        self._log("allowed", "", app)
        return self.store.admin

    def need(self, scope: KeyScope, app: str | None = None) -> None:
        """Refuse keys that do not allow as much.

        Raises:
            Problem: 403.
        """
        if self.holder.allows(scope):
            return
        self._log("refused", "scope", app)
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"This key is of the scope {self.holder.scope!r}; this needs one of {scope!r}.",
            kind="ScopeTooSmall",
            scope=self.holder.scope,
            needed=scope,
        )

    def _for_all(self, app: str | None) -> None:
        known = self.holder.apps is None if app is None else self.holder.may(app)
        if known and self.holder.all_users:
            return
        self._log("refused", "foreign", app)
        if app is not None and not known:
            raise not_found("app")
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "This key is not for all users and apps: name those that it is for.",
            kind="KeyOfOneUser",
        )

    def _log(self, outcome: str, reason: str, app: str | None) -> None:
        action = getattr(self._request.scope.get("route"), "name", "http")
        principal = Principal(app or "", self.holder.user, self.peer)  # type: ignore[arg-type]
        self._guard.log.decided(f"http.{action}", outcome, reason, principal=principal)  # type: ignore[arg-type]


async def caller(request: Request) -> Caller:
    """The caller, whom `Gate` has found."""
    found: Caller = request.scope["sojourn.caller"]
    return found


As = Annotated[Caller, Depends(caller)]
"""The parameter of a handler that is no parameter of the request."""
