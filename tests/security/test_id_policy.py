"""Ids that callers bring: what is taken, what is refused, and what a refusal shows."""

from __future__ import annotations

import base64
import logging
import secrets
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.errors import InvalidId, InvalidInput
from sojourn.ids import new_session_id
from sojourn.security import IdPolicy
from sojourn.security import ids as policies
from sojourn.security.ids import bits

DEFAULT, STRICT = IdPolicy(warn_bits=0), IdPolicy.strict()
RANDOM = {
    "ours": new_session_id,
    "uuid": lambda: str(uuid.uuid4()),
    "hex": lambda: secrets.token_hex(16),
    "url": lambda: secrets.token_urlsafe(16),
    "base32": lambda: base64.b32encode(secrets.token_bytes(16)).decode().rstrip("="),
}


@pytest.mark.parametrize("kind", RANDOM)
def test_random_ids_are_taken(kind: str) -> None:
    for _ in range(500):
        name = RANDOM[kind]()
        assert STRICT.check(name) == DEFAULT.check(name) == name


@pytest.mark.parametrize("name", ["order-17", "ada:2026-01-01", "8e42", "ada@example.org"])
def test_the_default_takes_what_people_write(name: str) -> None:
    assert DEFAULT.check(name) == name
    with pytest.raises(InvalidId):
        STRICT.check(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a b", "a/b", "../x", "a*", "a?", "a%3Ab", "a\x00", "a\nb", "é", "\u202ea"),
        *("null", "None", "UNDEFINED", "Test", "default", "..", "0", "x" * 129, "\ud800", None, 7),
        b"bytes",
    ],
)
def test_what_is_no_id_is_refused(name: object) -> None:
    for policy in (DEFAULT, STRICT):
        with pytest.raises(InvalidId):
            policy.check(name)


@pytest.mark.parametrize(
    "name",
    [
        *("a" * 32, "abab" * 8, "0123456789" * 3, "abcdefghijklmnopqrstuvwxyz"),
        *("user-ada-session-of-today", "session-12345678901234567890", "0" * 31 + "a"),
        *("deadbeef" * 4, "00000000-0000-0000-0000-000000000001", "1764000000000000000000"),
    ],
)
def test_the_strict_preset_refuses_what_can_be_guessed(name: str) -> None:
    assert bits(name) < 64
    with pytest.raises(InvalidId, match="can be guessed"):
        STRICT.check(name)


@given(st.text(max_size=80))
def test_a_policy_takes_an_id_as_it_is_or_refuses_it_safely(name: str) -> None:
    for policy in (DEFAULT, STRICT, IdPolicy(alphabet="", min_bits=10, min_length=2)):
        try:
            assert policy.check(name) == name
        except InvalidId as error:
            message = str(error).replace("…", "")
            assert message.isascii()
            assert message.isprintable()
            assert len(message) < 1000


def test_a_refusal_repeats_no_more_than_the_beginning() -> None:
    with pytest.raises(InvalidId) as caught:
        DEFAULT.check("\x1b[2J\r\n" + "secret" * 20)
    assert "\\x1b[2J\\r\\n" in str(caught.value)
    assert str(caught.value).count("secret") == 5


@given(st.text(max_size=60))
def test_an_estimate_is_a_number_for_any_text(name: str) -> None:
    assert 0 <= bits(name) <= 5 * len(name)


@pytest.fixture
def unwarned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "_told", set())


@pytest.mark.usefixtures("unwarned")
def test_the_log_warns_once_in_a_process_and_names_no_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    IdPolicy().check(secrets.token_hex(16))
    assert not caplog.records
    for name in ("order-17", "order-18"):
        IdPolicy().check(name)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("sojourn.security", logging.WARNING)
    assert "order" not in record.getMessage()


@pytest.mark.usefixtures("unwarned")
def test_who_asks_for_bits_is_not_warned_but_refused(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidId, match="18 bits at most, and 64 are asked for"):
        IdPolicy(min_bits=64).check("order-17")
    assert not caplog.records


@pytest.mark.parametrize(
    "wrong", [{"min_length": 0}, {"min_length": 9, "max_length": 8}, {"max_length": 513}]
)
def test_a_policy_that_nothing_satisfies_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        IdPolicy(**wrong)


def test_a_policy_is_frozen() -> None:
    with pytest.raises(AttributeError):
        DEFAULT.min_length = 2  # type: ignore[misc]
