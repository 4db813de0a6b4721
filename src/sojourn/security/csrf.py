"""Cross-site request forgery: tokens bound to a session, and where a request comes from."""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import re
import secrets as random
import time
from collections.abc import Collection, Sequence
from typing import Literal

from sojourn.errors import ConfigurationError, InvalidInput, InvalidToken
from sojourn.ids import SessionKey
from sojourn.security.keyring import MIN_SECRET, signature

Missing = Literal["refuse", "allow"]
"""What to do with an unsafe request that says nothing of where it comes from."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing, if the application keeps to HTTP."""

MAX_TOKEN = 256
MAX_LIFETIME = 366 * 86_400.0
_NONCE, _TIME, _MAC = 16, 8, 32
_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?")


def issue(session: SessionKey, secrets: Sequence[bytes], *, lifetime: float = 3600.0) -> str:
    """A token for a page or a client of a session. Nothing is sent, nothing is stored.

    Each is another one: random bytes go into it, so that compression of a page that reflects what
    an attacker sends gives none of it away (BREACH).

    Args:
        session: whose; `SessionKey.of(app, user, id)`. The id may be that of a login.
        secrets: of at least 32 random bytes each; the first one signs.
        lifetime: seconds, a year at most.

    Returns:
        75 characters of the alphabet of URLs.

    Raises:
        ConfigurationError: no secret, or one that is too short.
        InvalidInput: a lifetime that is none.
    """
    _check_secrets(secrets)
    if not 0 < lifetime <= MAX_LIFETIME:
        raise InvalidInput("The lifetime of a token is a number of seconds, up to a year.")
    until = math.ceil((time.time() + lifetime) * 1000)
    said = random.token_bytes(_NONCE) + until.to_bytes(_TIME, "big")
    return base64.urlsafe_b64encode(said + _mac(secrets[0], session, said)).decode().rstrip("=")


def check(token: str | None, session: SessionKey, secrets: Sequence[bytes]) -> None:
    """Make sure that a token was issued for this session and is not outdated.

    Takes as long whichever secret it was signed with, and wherever it differs.

    Args:
        token: as it came with a request; None when there was none.
        session: the one that the request's own credential names, never a parameter.
        secrets: all of them verify.

    Raises:
        InvalidToken: it was not, or is. The message does not say which.
        ConfigurationError: no secret, or one that is too short.
    """
    _check_secrets(secrets)
    raw = _decoded(token)
    said, mac = raw[: _NONCE + _TIME], raw[_NONCE + _TIME :]
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(mac, _mac(secret, session, said))
    if not found or int.from_bytes(said[_NONCE:], "big") < time.time() * 1000:
        raise InvalidToken(
            "The CSRF token is missing, outdated or another session's: reload the page."
        )


def allowed_origin(
    method: str,
    *,
    origin: str | None,
    site: str | None,
    own: str | None,
    origins: Collection[str] = (),
    missing: Missing = "refuse",
) -> bool:
    """Whether a request may come from where it says it comes from.

    Browsers set both headers, and no script can change them. Everyone else can: this protects
    users' browsers, and is no authentication.

    Args:
        method: of HTTP; `WEBSOCKET` for an upgrade, which is never safe.
        origin: its header `Origin`; None when there is none.
        site: its header `Sec-Fetch-Site`; None when there is none.
        own: the origin of this server, as `own_origin` makes it; None when it is unknown.
        origins: others that may, such as `https://shop.example`.
        missing: what to do without either header, as is the case with clients that are no browser.

    Returns:
        True for safe methods; for an origin on the list; for `same-origin` and `none` (the user
        typed it); and in browsers without `Sec-Fetch-Site` for `own`.
    """
    if method.upper() in SAFE:
        return True
    if origin is not None:
        plain = normal_origin(origin)
        if plain is None:  # `null`: a sandboxed frame, a file, a redirect from elsewhere
            return False
        if plain in {normal_origin(each) for each in origins}:
            return True
        if site is None:
            return plain == own
    if site is not None:
        return site in ("same-origin", "none")
    return missing == "allow"


def own_origin(scheme: str, host: str | None) -> str | None:
    """The origin of a server that was reached by this scheme and `Host`; None for no such host."""
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    return None if host is None else normal_origin(f"{scheme}://{host}")


def normal_origin(origin: str) -> str | None:
    """An origin in small letters and without the usual port; None for what is none."""
    found = _ORIGIN.fullmatch(origin.lower())
    if found is None:
        return None
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" if port in (None, _PORTS[scheme]) else f"{scheme}://{host}:{port}"


def _check_secrets(secrets: Sequence[bytes]) -> None:
    if isinstance(secrets, (bytes, bytearray, str)) or not secrets:
        raise ConfigurationError("CSRF tokens need a list of secrets.")
    if any(len(each) < MIN_SECRET for each in secrets):
        raise ConfigurationError(
            f"A secret for CSRF tokens has at least {MIN_SECRET} random bytes: "
            f"secrets.token_bytes({MIN_SECRET})."
        )


def _decoded(token: str | None) -> bytes:
    """The bytes of a token; what is none becomes zeros, which nobody has signed."""
    size = _NONCE + _TIME + _MAC
    try:
        if isinstance(token, str) and len(token) <= MAX_TOKEN:
            data = token.encode("ascii")
            raw = base64.b64decode(data + b"=" * (-len(data) % 4), b"-_", validate=True)
            if len(raw) == size:
                return raw
    except (UnicodeEncodeError, binascii.Error):
        pass
    return bytes(size)


def _mac(secret: bytes, session: SessionKey, said: bytes) -> bytes:
    return signature(secret, b"sojourn csrf 1", *(name.encode() for name in session), said)
