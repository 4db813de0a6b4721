"""Rings of master keys: files, wrapping, and providers."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import secrets
import stat
import sys
import threading
import traceback
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sojourn
from sojourn.errors import ConfigurationError, InvalidInput, KeyMissing, Tampered, Unavailable
from sojourn.keys import KeyRing
from sojourn.keys import provider as providers
from sojourn.keys.model import KeyOwner
from sojourn.keys.provider import RingProvider

SECRET = bytes(range(32))
ADA = KeyOwner("shop", "ada")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_file_is_read_as_it_was_written(path: Path) -> None:
    ring = KeyRing.new().add().migrate(migrating=True)
    ring.save(path)
    assert KeyRing.load(path) == ring
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_file_that_is_there_is_replaced_only_if_asked(path: Path) -> None:
    first, second = KeyRing.new(), KeyRing.new()
    first.save(path)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        second.save(path)
    assert KeyRing.load(path) == first
    second.save(path, replace=True)
    assert KeyRing.load(path) == second
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o777])
def test_a_file_that_others_may_use_is_refused(path: Path, mode: int) -> None:
    KeyRing.new().save(path)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"chmod 600 {path}"):
        KeyRing.load(path)


def test_a_file_that_is_not_there_is_a_wrong_configuration(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sojourn keys new"):
        KeyRing.load(path)


def test_a_variable_holds_the_text_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = KeyRing.new()
    monkeypatch.setenv("OUR_KEYS", ring.text())
    assert KeyRing.load("env:OUR_KEYS") == ring
    monkeypatch.delenv("OUR_KEYS")
    with pytest.raises(ConfigurationError, match="OUR_KEYS is not set"):
        KeyRing.load("env:OUR_KEYS")


def test_nothing_shows_a_key(path: Path) -> None:
    ring = KeyRing([SECRET])
    ring.save(path)
    text = path.read_text()
    encoded = urlsafe_b64encode(SECRET).decode()
    assert encoded in text
    path.write_text(text.replace('"active"', '"other"'))
    path.chmod(0o600)
    said = [repr(ring), str(ring), repr(RingProvider(ring, 1, 1))]
    with pytest.raises(ConfigurationError) as wrong:
        KeyRing.load(path)
    with pytest.raises(KeyMissing) as missing:
        ring.activate("0" * 16)
    with pytest.raises(InvalidInput) as short:
        KeyRing([SECRET[:-1]])
    for error in (wrong.value, missing.value, short.value):
        assert error.__context__ is None
        said += [str(error), repr(error)]
    for each in said:
        assert encoded[:8] not in each
        assert SECRET[:8].hex() not in each
        assert repr(SECRET)[2:10] not in each


@pytest.mark.parametrize(
    "given",
    [
        KeyRing([SECRET]).text(),
        f"env:{KeyRing([SECRET]).text()}",
        KeyRing([SECRET]).text().replace("\n", "") * 20,
        urlsafe_b64encode(SECRET).decode(),
        SECRET.hex(),
    ],
)
def test_a_key_where_a_path_belongs_is_not_repeated(given: str) -> None:
    with pytest.raises(ConfigurationError, match="where a path belongs") as error:
        sojourn.open("memory://", keys=given)
    shown = "".join(traceback.format_exception(error.value, chain=True))
    assert given not in shown
    assert urlsafe_b64encode(SECRET).decode()[:8] not in str(error.value)
    assert error.value.__context__ is None


def test_a_key_is_called_after_itself(path: Path) -> None:
    assert KeyRing([SECRET]).active == KeyRing([SECRET]).active
    assert KeyRing([SECRET]).active != KeyRing([SECRET[::-1]]).active
    one, other = KeyRing.new(), KeyRing.new()
    path.write_text(one.text().replace(one.active, other.active))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="is no ring"):
        KeyRing.load(path)


def test_what_a_newer_version_has_added_is_kept() -> None:
    text = KeyRing.new().text().replace("{", '{"label": {"a": [1]},', 1)
    ring = KeyRing.parse(text).add()
    later = ring.activate(list(ring.ids)[1]).remove(ring.active)
    assert '"label"' in later.text()
    with pytest.raises(ConfigurationError, match="storage format 2"):
        KeyRing.parse(text.replace('"format": "1"', '"format": "2"'))


@given(st.binary() | st.text() | st.from_regex(r'\{"active":"[a-z]{0,3}","keys":.{0,9}\}'))
def test_any_text_is_a_ring_or_a_wrong_configuration(text: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match="is no ring") as error:
        KeyRing.parse(text)
    assert error.value.__cause__ is None


def test_a_ring_does_not_change() -> None:
    ring = KeyRing.new()
    for name in ("active", "migrating", "other"):
        with pytest.raises(AttributeError):
            setattr(ring, name, "x")
    more = ring.add()
    assert len(ring.ids) == 1
    assert more.active == ring.active
    assert ring.active in more
    assert copy.deepcopy(more) == pickle.loads(pickle.dumps(more)) == more


def test_keys_are_added_activated_and_removed() -> None:
    ring = KeyRing.new()
    first = ring.active
    with pytest.raises(InvalidInput, match="active"):
        ring.remove(first)
    with pytest.raises(KeyMissing):
        ring.activate("0123456789abcdef")
    both = ring.add()
    (second,) = set(both.ids) - {first}
    assert both.activate(second).remove(first).ids == {second}
    with pytest.raises(InvalidInput):
        KeyRing([])
    with pytest.raises(InvalidInput):
        KeyRing([SECRET], "0" * 16)


def test_a_wrapped_secret_opens_for_its_owner_alone() -> None:
    ring = KeyRing.new().add()
    wrapped = ring.wrap(SECRET, ADA.bound("1"))
    assert ring.unwrap(wrapped, ADA.bound("1")) == SECRET
    assert SECRET not in wrapped.data
    other = [*ring.ids][1]
    for moved, bound in (
        (wrapped, ADA.bound("2")),
        (wrapped, KeyOwner("shop", None).bound("1")),
        (wrapped, KeyOwner("shop", "").bound("1")),
        (wrapped, KeyOwner("sho", "pada").bound("1")),
        (wrapped._replace(master=other), ADA.bound("1")),
    ):
        with pytest.raises(Tampered):
            ring.unwrap(moved, bound)


def test_any_change_of_a_wrapped_secret_is_noticed() -> None:
    ring = KeyRing.new()
    wrapped = ring.wrap(SECRET, b"")
    for bit in range(8 * len(wrapped.data)):
        data = bytearray(wrapped.data)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Tampered):
            ring.unwrap(wrapped._replace(data=bytes(data)), b"")
    for size in range(len(wrapped.data)):
        with pytest.raises(Tampered):
            ring.unwrap(wrapped._replace(data=wrapped.data[:size]), b"")


def test_a_ring_without_the_key_names_it() -> None:
    wrapped = KeyRing.new().wrap(SECRET, b"")
    with pytest.raises(KeyMissing, match=wrapped.master) as error:
        KeyRing.new().unwrap(wrapped, b"")
    assert error.value.key_id == wrapped.master


# ── providers ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass for providers."""
    passed = 0.0
    clock = providers.monotonic

    def let_pass(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(providers, "monotonic", lambda: clock() + passed)
    return let_pass


async def test_a_file_is_read_again_after_a_while(
    path: Path, later: Callable[[float], None]
) -> None:
    ring = KeyRing.new()
    ring.save(path)
    provider = RingProvider(str(path), 60, 1)
    more = ring.add()
    more.save(path, replace=True)
    later(59)
    assert await provider.ring() == ring
    later(1)
    assert await provider.ring() == more
    path.chmod(0o644)  # noqa: ASYNC240
    assert await provider.ring() == more
    later(60)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        await provider.ring()


async def test_a_function_is_called_in_a_thread_and_its_ring_is_used_for_a_while(
    later: Callable[[float], None],
) -> None:
    rings, threads = [KeyRing.new(), KeyRing.new()], list[int]()

    def give() -> KeyRing:
        threads.append(threading.get_ident())
        return rings[len(threads) - 1]

    provider = RingProvider(give, 60, 1)
    assert await asyncio.gather(*(provider.ring() for _ in range(5))) == [rings[0]] * 5
    later(59)
    assert await provider.ring() == rings[0]
    later(1)
    assert await provider.ring() == rings[1]
    assert len(threads) == 2
    assert threading.get_ident() not in threads


async def test_a_function_may_be_async() -> None:
    ring = KeyRing.new()

    async def give() -> KeyRing:
        return ring

    class Giver:
        async def __call__(self) -> KeyRing:
            return ring

    for each in (give, Giver(), lambda: give()):  # noqa: PLW0108 - an ordinary one
        assert await RingProvider(each, 60, 1).ring() == ring


async def test_a_function_that_fails_is_an_outage_and_asked_again() -> None:
    ring, word = KeyRing.new(), secrets.token_hex()
    calls = 0

    async def give() -> KeyRing:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(word)
        return ring

    provider = RingProvider(give, 60, 1)
    with pytest.raises(Unavailable, match="OSError") as error:
        await provider.ring()
    assert word not in str(error.value)
    assert await provider.ring() == ring


async def test_a_slow_function_goes_on_for_the_next_call() -> None:
    ring, answer, calls = KeyRing.new(), asyncio.Event(), 0

    async def give() -> KeyRing:
        nonlocal calls
        calls += 1
        await answer.wait()
        return ring

    provider = RingProvider(give, 60, 0.05)
    with pytest.raises(Unavailable, match="too long"):
        await provider.ring()
    answer.set()
    assert await provider.ring() == ring
    assert calls == 1


async def test_what_gives_no_ring_is_a_wrong_configuration() -> None:
    with pytest.raises(ConfigurationError, match="NoneType"):
        await RingProvider(lambda: None, 60, 1).ring()  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigurationError, match="int"):
        RingProvider(7, 60, 1)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        RingProvider(os.devnull + "/none", 60, 1)


async def test_a_ring_without_an_active_key_reads_and_seals_nothing() -> None:
    ring = KeyRing.new(migrating=True, active=False)
    with pytest.raises(ConfigurationError, match="no active one"):
        ring.wrap(b"secret", b"here")
    with pytest.raises(InvalidInput):
        KeyRing.new(active=False)
    assert KeyRing.parse(ring.text()) == ring
    (name,) = ring.ids
    wrapped = ring.activate(name).wrap(b"secret", b"here")
    assert ring.unwrap(wrapped, b"here") == b"secret"


def test_a_missing_library_is_said_when_the_store_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigurationError, match="crypto"):
        sojourn.open("memory://", keys=KeyRing([bytes(32)]))
