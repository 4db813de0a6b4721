"""Bindings: tokens that say which user, session and client belong together, without saying who."""

from __future__ import annotations

import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from sojourn.codecs import shown
from sojourn.errors import InvalidBinding, InvalidId, InvalidInput
from sojourn.ids import SessionKey
from sojourn.options import DAY
from sojourn.security.audit import AccessLog
from sojourn.security.keyring import Keyring
from sojourn.security.principal import Principal

_PURPOSE = b"sojourn session binding, version 1"
_TOKEN = re.compile(
    r"b1\.([A-Za-z0-9_-]{1,16})\.([1-9][0-9]{0,11})\.([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{43})",
    re.ASCII,
)
_LONGEST = 128
_SKEW = 60
"""Seconds that the clock of who issued a binding may be ahead."""
_AGES = 10**10


class _Claim(NamedTuple):
    """What a token says."""

    name: str
    issued: int
    expires: int
    mac: str


_NONE = _Claim("", 0, 0, "-" * 43)
"""What stands for a text that is no token."""


class Bindings:
    """Issues and checks the tokens that a client has to show with the id of a session.

    A token is valid for one app, user, session, incarnation and client only: it is of no use when
    the session is another's, was deleted and made again, or was given another id.

    Args:
        keyring: signs them. What a secret has signed is valid until it is taken out.
        ttl: seconds that a token is valid, also one that was issued when this was more.
        log: told of every refusal.
        clock: seconds since the epoch.

    Raises:
        InvalidInput: the ttl is under a second or no number.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        ttl: float = DAY,
        log: AccessLog | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(ttl, int | float) or not 1 <= ttl <= _AGES:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"A binding is valid for one second or more, not {shown(ttl)}.")
        self._keyring = keyring
        self._ttl = int(ttl)
        self._log = log
        self._clock = clock

    def issue(self, key: SessionKey, incarnation: str, *, fingerprint: str | None = None) -> str:
        """A token for a session. Nothing is sent.

        Args:
            key: which session.
            incarnation: of the session (`Session.incarnation`).
            fingerprint: what tells this client from others: a certificate's digest, a device's id,
                an address. None binds it to no client.

        Returns:
            ASCII text of up to 89 characters, fit for a header or a cookie: version, id of the
            secret, when it was issued and when it expires in seconds, and the signature.

        Raises:
            InvalidInput: a key that is none, no incarnation, or a fingerprint that is no text.
        """
        issued = max(1, int(self._clock()))
        claim = _Claim(self._keyring.current, issued, issued + self._ttl, "")
        mac = self._mac(claim, *_fields(key, incarnation, fingerprint))
        return f"b1.{claim.name}.{claim.issued}.{claim.expires}.{mac}"

    def check(
        self,
        token: object,
        key: SessionKey,
        incarnation: str,
        fingerprint: str | None = None,
        *,
        peer: str = "",
    ) -> None:
        """Make sure that a token was issued for just this session and client. Nothing is sent.

        Args:
            token: as the client showed it, whatever it is.
            key: which session it wants.
            incarnation: of that session, as the store has it.
            fingerprint: of the client, as when the token was issued.
            peer: the client's address, for the log.

        Raises:
            InvalidBinding: forged, moved, or outdated. The message is always the same; `reason` is
                for the log.
            InvalidInput: a key that is none, no incarnation, or a fingerprint that is no text.
        """
        claim = _parsed(token)
        expected = self._mac(claim, *_fields(key, incarnation, fingerprint))
        genuine = hmac.compare_digest(expected.encode(), claim.mac.encode())
        now = self._clock()
        timely = claim.issued <= now + _SKEW and now < min(claim.expires, claim.issued + self._ttl)
        retired = claim is not _NONE and claim.name not in self._keyring
        if genuine and timely:
            return
        reason = "outdated" if genuine or retired else "forged"
        if self._log is not None:
            principal = Principal(key.app, key.user, peer)
            self._log.decided(
                "bindings.check", "refused", reason, principal=principal, session=key.session
            )
        raise InvalidBinding(reason=reason)

    def _mac(self, claim: _Claim, *fields: bytes) -> str:
        times = (b"%d" % claim.issued, b"%d" % claim.expires)
        mac = self._keyring.sign(claim.name, _PURPOSE, claim.name.encode(), *times, *fields)
        return urlsafe_b64encode(mac).rstrip(b"=").decode()


def _parsed(token: object) -> _Claim:
    """What a token says; texts are compared, so a token has one form only."""
    if not isinstance(token, str) or len(token) > _LONGEST:
        return _NONE
    found = _TOKEN.fullmatch(token)
    if found is None:
        return _NONE
    name, issued, expires, mac = found.groups()
    return _Claim(name, int(issued), int(expires), mac)


def _fields(key: object, incarnation: object, fingerprint: object) -> list[bytes]:
    """What is signed; a fingerprint as its hash, and none is unlike any."""
    if not isinstance(key, SessionKey):
        raise InvalidId(f"A binding is of a SessionKey, not of {type(key).__name__}.")
    if not isinstance(incarnation, str) or not incarnation:
        raise InvalidInput("A binding needs the session's incarnation: `Session.incarnation`.")
    if not isinstance(fingerprint, str | None):
        raise InvalidInput(f"A fingerprint is text, not {type(fingerprint).__name__}.")
    client = b"" if fingerprint is None else sha256(_encoded(fingerprint)).digest()
    return [*(_encoded(text) for text in (*key, incarnation)), client]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
