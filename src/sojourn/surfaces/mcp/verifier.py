"""Whose a bearer token is, as the SDK asks."""

from __future__ import annotations

from mcp.server.auth.provider import AccessToken

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
        """Whose token it is; None when nobody's, or for other apps only. Asks nobody."""
        holder = self._tokens.holder(token.encode("latin-1", "replace"))  # the bytes of the header
        if holder is None or not holder.may(self._app):
            return None
        return AccessToken(token="", client_id=holder.user, subject=holder.user, scopes=[])
