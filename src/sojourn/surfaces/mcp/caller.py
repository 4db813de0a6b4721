"""Identity of the caller: from a credential or the process's setting, never an argument."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.mcpserver import Context, Resolve
from starlette.requests import Request

from sojourn.errors import Refused
from sojourn.security import Guard, Principal, User


class Identity(NamedTuple):
    """Whose requests a server takes.

    Attributes:
        app: the application that they all belong to.
        user: the user, where the process serves one only; None where each request has a credential.
    """

    app: str
    user: str | None = None

    def of(self, request: Request | None) -> Principal:
        """Who makes a request.

        Raises:
            Refused: nobody knows.
        """
        peer = "" if request is None or request.client is None else request.client.host
        signed = None if request is None else request.scope.get("user")
        if isinstance(signed, AuthenticatedUser):
            return Principal.of(self.app, signed.access_token.subject or "", peer=peer)
        if self.user is None:
            raise Refused("The request has no credential that this server knows.")
        return Principal.of(self.app, self.user, peer=peer)


class RequestContext(NamedTuple):
    """What handlers of requests have: a guard, and who may call."""

    guard: Guard
    identity: Identity

    def user(self, request: Request | None) -> User:
        """The store of whoever makes a request.

        Raises:
            Refused: nobody knows who it is.
        """
        return self.guard.user(self.identity.of(request))


async def user_of(context: Context[Any, Any]) -> User:
    """The store of whoever calls a tool or reads a resource."""
    asked = context.request_context
    served: RequestContext = asked.lifespan_context
    return served.user(asked.request)


Own = Annotated[User, Resolve(user_of)]
"""A tool's parameter that is no argument: no schema has it, and no client can set it."""
