"""Tokens of one session, and where requests come from."""

from __future__ import annotations

import base64
import hmac
import zlib

import pytest

from sojourn.errors import ConfigurationError, InvalidInput, InvalidToken
from sojourn.ids import SessionKey
from sojourn.security import csrf
from sojourn.security.csrf import allowed_origin, check, issue, own_origin

ADA = SessionKey.of("shop", "ada", "8e42")
OLD, NEW = b"o" * 32, b"n" * 32


def test_a_token_is_good_for_its_session_alone() -> None:
    token = issue(ADA, [NEW])
    check(token, ADA, [NEW])
    others = [("shop", "ada", "8e43"), ("shop", "bob", "8e42"), ("bank", "ada", "8e42")]
    shifted = [("shopa", "da", "8e42"), ("shop", "ada8", "e42"), ("shop", "", "ada8e42")]
    for other in others + shifted:
        with pytest.raises(InvalidToken):
            check(token, SessionKey.of(*other), [NEW])


def test_no_two_tokens_are_alike_and_none_grows_out_of_another() -> None:
    tokens = [issue(ADA, [NEW]) for _ in range(200)]
    assert len(set(tokens)) == 200
    assert {len(token) for token in tokens} == {75}
    raw = [base64.urlsafe_b64decode(token + "=") for token in tokens]
    assert len({each[-32:] for each in raw}) == 200  # the secret part is masked anew, too
    # A page that holds a token and reflects a guess of another tells nothing of it by its length.
    sizes = {len(zlib.compress(f"{token} guess={tokens[0][:40]}".encode())) for token in tokens[1:]}
    assert max(sizes) - min(sizes) < 8


def test_the_first_secret_signs_and_all_verify() -> None:
    before = issue(ADA, [OLD])
    check(before, ADA, [NEW, OLD])
    check(issue(ADA, [NEW, OLD]), ADA, [NEW])
    with pytest.raises(InvalidToken):
        check(before, ADA, [NEW])


def test_all_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    real = hmac.compare_digest
    monkeypatch.setattr(
        csrf.hmac, "compare_digest", lambda a, b: (compared.append(b), real(a, b))[1]
    )
    check(issue(ADA, [NEW]), ADA, [NEW, OLD, b"x" * 32])
    assert len(set(compared)) == 3


def test_a_token_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue(ADA, [NEW], lifetime=60)
    now = csrf.time.time()
    monkeypatch.setattr(csrf.time, "time", lambda: now + 59)
    check(token, ADA, [NEW])
    monkeypatch.setattr(csrf.time, "time", lambda: now + 61)
    with pytest.raises(InvalidToken):
        check(token, ADA, [NEW])


@pytest.mark.parametrize("token", [None, "", "x", "é" * 75, "A" * 75, "=" * 75, "A" * 10_000, 7])
def test_what_is_no_token_is_refused_alike(token: str | None) -> None:
    with pytest.raises(InvalidToken, match="missing, outdated or another"):
        check(token, ADA, [NEW])


def test_a_token_that_was_changed_anywhere_is_refused() -> None:
    token = issue(ADA, [NEW])
    raw = base64.urlsafe_b64decode(token + "=")
    for place in range(len(raw)):
        forged = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(InvalidToken):
            check(base64.urlsafe_b64encode(forged).decode().rstrip("="), ADA, [NEW])


@pytest.mark.parametrize("secrets", [[], [b"short"], [NEW, b"x" * 31], b"n" * 64])
def test_secrets_that_are_none_are_refused(secrets: list[bytes]) -> None:
    with pytest.raises(ConfigurationError):
        issue(ADA, secrets)
    with pytest.raises(ConfigurationError):
        check("x", ADA, secrets)


@pytest.mark.parametrize("lifetime", [0, -1, float("nan"), float("inf"), 1e300])
def test_lifetimes_that_are_none_are_refused(lifetime: float) -> None:
    with pytest.raises(InvalidInput):
        issue(ADA, [NEW], lifetime=lifetime)


OWN, ELSE, LISTED = "https://shop.example", "https://evil.example", "https://app.example"


@pytest.mark.parametrize(
    ("method", "origin", "site", "allowed"),
    [
        ("GET", ELSE, "cross-site", True),
        ("HEAD", "null", None, True),
        ("OPTIONS", ELSE, None, True),
        ("POST", OWN, "same-origin", True),
        ("POST", None, "same-origin", True),
        ("POST", None, "none", True),
        ("POST", ELSE, "cross-site", False),
        ("POST", None, "cross-site", False),
        ("POST", "https://other.shop.example", "same-site", False),
        ("POST", None, "same-site", False),
        ("POST", None, "Same-Origin", False),
        ("POST", None, "same-origin, none", False),
        ("POST", None, "", False),
        ("POST", LISTED, "cross-site", True),
        ("POST", LISTED, None, True),
        ("POST", "null", None, False),
        ("POST", "null", "same-origin", False),
        ("POST", OWN, None, True),
        ("POST", "HTTPS://SHOP.EXAMPLE:443", None, True),
        ("POST", "http://shop.example", None, False),
        ("POST", "https://shop.example:444", None, False),
        ("POST", "https://shop.example.evil.example", None, False),
        ("POST", "https://shop.example@evil.example", None, False),
        ("POST", "https://shop.example/", None, False),
        ("POST", f"{OWN}, {ELSE}", None, False),
        ("POST", "", None, False),
        ("WEBSOCKET", OWN, None, True),
        ("WEBSOCKET", ELSE, None, False),
        ("post", ELSE, None, False),
        ("get", ELSE, None, True),
    ],
)
def test_where_a_request_may_come_from(
    method: str, origin: str | None, site: str | None, allowed: bool
) -> None:
    found = allowed_origin(method, origin=origin, site=site, own=OWN, origins=[LISTED])
    assert found is allowed


def test_a_request_that_says_nothing_is_a_matter_of_policy() -> None:
    assert not allowed_origin("POST", origin=None, site=None, own=OWN)
    assert allowed_origin("POST", origin=None, site=None, own=OWN, missing="allow")
    assert not allowed_origin("POST", origin="null", site=None, own=OWN, missing="allow")
    assert not allowed_origin("POST", origin=None, site="cross-site", own=OWN, missing="allow")


@pytest.mark.parametrize(
    ("scheme", "host", "own"),
    [
        ("http", "Shop.example:80", "http://shop.example"),
        ("wss", "shop.example", "https://shop.example"),
        ("http", "[::1]:8000", "http://[::1]:8000"),
        ("http", None, None),
        ("http", "a, b", None),
        ("http", "a/b", None),
        ("http", "a@b", None),
        ("ftp", "a", None),
    ],
)
def test_the_origin_of_a_server(scheme: str, host: str | None, own: str | None) -> None:
    assert own_origin(scheme, host) == own
    assert not allowed_origin("POST", origin="null", site=None, own=own)
