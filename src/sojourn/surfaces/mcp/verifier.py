"""Token verifier for the MCP SDK: it maps a bearer token to its user."""

from __future__ import annotations

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, BearerAuthBackend
from mcp.server.auth.provider import AccessToken, TokenVerifier
from starlette.authentication import AuthCredentials
from starlette.requests import HTTPConnection

from sojourn.security import AccessLog
from sojourn.security.tokens import Tokens


class Verifier:
    """A `TokenVerifier` of the SDK.

    Args:
        tokens: who has which.
        app: what they must be for.
    """

    def __init__(self, tokens: Tokens, app: str) -> None:
        self._tokens = tokens
        self._app = app

    async def verify_token(self, token: str) -> AccessToken | None:
        """Whose token it is; None when nobody's, or for other apps only. Asks nobody.

        Those for all users, and those of another scope than to write, are for `sojourn serve`: no
        tool here could keep to them.
        """
        holder = self._tokens.holder(token.encode("latin-1", "replace"))  # the bytes of the header
        if holder is None or not holder.is_plain or not holder.may(self._app):
            return None
        return AccessToken(token="", client_id=holder.user, subject=holder.user, scopes=[])


class Recorded(BearerAuthBackend):
    """The SDK's, which lets the access log know of who came without a good token.

    Args:
        verifier: of the tokens.
        log: gets a decision for each such request.
    """

    def __init__(self, verifier: TokenVerifier, log: AccessLog) -> None:
        super().__init__(verifier)
        self._log = log

    async def authenticate(
        self, conn: HTTPConnection
    ) -> tuple[AuthCredentials, AuthenticatedUser] | None:
        """Who makes a request; None when nobody knows."""
        found: tuple[AuthCredentials, AuthenticatedUser] | None
        found = await super().authenticate(conn)
        if found is None:
            peer = "" if conn.client is None else conn.client.host
            self._log.decided("mcp", "refused", "token", peer=peer)
        return found
