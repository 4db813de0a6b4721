"""Verifier of JSON Web Tokens: keys of an identity provider (OpenID Connect) instead of a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Protocol, cast

import jwt

from sojourn.errors import ConfigurationError, InvalidInput, Unavailable
from sojourn.security.principal import Principal
from sojourn.security.tokens import SCOPES, Holder, KeyScope

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA")
"""None of them is symmetric: who can verify a token must not be able to make one."""
_LONGEST = 16_384
"""Characters of a token."""
_LEEWAY = 30.0
"""Seconds by which the clocks of both sides may differ."""
_PAUSE = 10.0
"""Seconds between two tries to fetch keys, so that wrong tokens cannot make many."""


class KeyVerifier(Protocol):
    """Knows whose keys are good."""

    async def holder(self, key: str) -> Holder | None:
        """Whose key it is, and what it allows; None for nobody's."""
        ...


class JwtVerifier:
    """Takes the tokens of an identity provider, signed for this API.

    The user is the claim `sub`. The claim of `scope_claim` has words of which the largest counts:
    `sojourn:read`, `sojourn:write`, `sojourn:admin`, and `sojourn:all` for a token for all users;
    without one of the first three the token is refused. The claim of `apps_claim` is a list of
    apps; without it the token is for all.

    Args:
        issuer: `iss` of the tokens.
        audience: `aud` of the tokens: this API and nothing else.
        jwks_url: where the provider's keys are, over https.
        keys: its public keys by `kid`, as PEM, in place of `jwks_url`.
        user_claim: which claim names the user.
        scope_claim: which one has the scopes: a text with spaces, or a list.
        apps_claim: which one has the apps.
        prefix: what stands before the words of scopes.

    Raises:
        ConfigurationError: neither of `jwks_url` and `keys`, both, or a URL that is not https.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        jwks_url: str | None = None,
        keys: dict[str, str] | None = None,
        user_claim: str = "sub",
        scope_claim: str = "scope",
        apps_claim: str = "sojourn_apps",
        prefix: str = "sojourn:",
    ) -> None:
        if (jwks_url is None) == (keys is None):
            raise ConfigurationError("A verifier needs jwks_url or keys, one of the two.")
        if jwks_url is not None and not jwks_url.startswith("https://"):
            raise ConfigurationError("jwks_url must be https: whoever serves it makes the keys.")
        self._issuer = issuer
        self._audience = audience
        self._remote = None if jwks_url is None else jwt.PyJWKClient(jwks_url, timeout=5)
        self._keys: dict[str, Any] = dict(keys or {})
        self._user_claim = user_claim
        self._scope_claim = scope_claim
        self._apps_claim = apps_claim
        self._prefix = prefix
        self._again = 0.0
        self._lock = asyncio.Lock()

    async def holder(self, key: str) -> Holder | None:
        """Whose token it is; None when it is not good. Asks the provider for a key it has not seen.

        Raises:
            Unavailable: the provider does not give its keys.
        """
        if len(key) > _LONGEST or key.count(".") != 2:  # noqa: PLR2004 - of a JWT
            return None
        try:
            header = jwt.get_unverified_header(key)
            if header.get("alg") not in _ALGORITHMS:
                return None
            public = await self._key(str(header.get("kid", "")))
            if public is None:
                return None
            claims = jwt.decode(
                key,
                public,
                algorithms=list(_ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud", self._user_claim]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        return self._of(claims)

    async def _key(self, kid: str) -> Any:
        """The public key of this id; None when there is none."""
        if kid in self._keys or self._remote is None:
            return self._keys.get(kid)
        async with self._lock:
            if kid not in self._keys and time.monotonic() >= self._again:
                self._again = time.monotonic() + _PAUSE
                try:
                    found = await asyncio.to_thread(self._remote.get_signing_keys, refresh=True)
                except (jwt.PyJWTError, OSError) as error:
                    raise Unavailable("The identity provider does not give its keys.") from error
                self._keys = {str(each.key_id): each.key for each in found}
        return self._keys.get(kid)

    def _of(self, claims: dict[str, Any]) -> Holder | None:
        user, apps = claims.get(self._user_claim), claims.get(self._apps_claim)
        words = _words(claims.get(self._scope_claim))
        scopes: list[KeyScope] = [each for each in SCOPES if self._prefix + each in words]
        if not scopes or not isinstance(user, str):
            return None
        if apps is not None and not isinstance(apps, list):
            return None
        names = cast("Any", apps)
        try:
            for app in ["any"] if names is None else names:
                Principal.of(app, user)
        except InvalidInput:
            return None
        known = None if names is None else frozenset(names)
        return Holder(user, known, scopes[-1], all_users=f"{self._prefix}all" in words)


def _words(value: object) -> Sequence[str]:
    if isinstance(value, str):
        return value.split()
    return [str(each) for each in cast("Any", value)] if isinstance(value, list) else []
