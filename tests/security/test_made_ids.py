"""Ids of our making: 128 bits of a CSPRNG, and nothing of the user or the time in them."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Awaitable, Callable

import pytest
from google.adk.platform import uuid as adk_uuid

import sojourn
from sojourn.ids import SessionKey, new_incarnation, new_session_id, session_id_of
from sojourn.integrations.adk import SessionService

Make = Callable[[sojourn.Sojourn, str, str], Awaitable[str]]


async def created(store: sojourn.Sojourn, app: str, user: str) -> str:
    return (await store.sessions.create(app, user, title=user)).key.session


async def rotated(store: sojourn.Sojourn, app: str, user: str) -> str:
    key = (await store.sessions.ensure(app, user, user)).key
    return (await store.sessions.rotate(key, operation_id=user)).key.session


async def made_by_adk(store: sojourn.Sojourn, app: str, user: str) -> str:
    return (await SessionService(store).create_session(app_name=app, user_id=user)).id


async def made_by_adk_of_a_blank_id(store: sojourn.Sojourn, app: str, user: str) -> str:
    service = SessionService(store)
    return (await service.create_session(app_name=app, user_id=user, session_id="  ")).id


MAKERS: list[Make] = [created, rotated, made_by_adk, made_by_adk_of_a_blank_id]


class Source:
    """Random bytes that are known beforehand; it counts what it is asked for."""

    def __init__(self) -> None:
        self.bits = 0
        self.asked: list[int] = []

    def token_bytes(self, size: int | None = None) -> bytes:
        assert size is not None
        self.asked.append(size)
        return bytes((7 * len(self.asked) + n) % 256 for n in range(size))


@pytest.mark.parametrize("make", MAKERS)
async def test_an_id_is_made_of_random_bits_and_nothing_else(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bits for another user, another app and at another time: the same id."""
    ids: set[str] = set()
    for app, user, year in (("shop", "ada", 0), ("forum", "bob", 10)):
        source, now = Source(), time.time() + year * 31_557_600
        with monkeypatch.context() as patch:
            patch.setattr(secrets, "token_bytes", source.token_bytes)
            patch.setattr(time, "time", lambda now=now: now)
            patch.setattr(adk_uuid, "new_uuid", lambda user=user: f"{user}-1")
            async with sojourn.open("memory://") as store:
                ids.add(await make(store, app, user))
        assert max(source.asked) * 8 >= 128
    assert len(ids) == 1


@pytest.mark.parametrize("make", MAKERS)
async def test_every_bit_of_an_id_comes_up(make: Make) -> None:
    async with sojourn.open("memory://") as store:
        numbers = [int(await make(store, "shop", f"u{n}"), 16) for n in range(200)]
    assert len(set(numbers)) == 200
    for bit in range(128):  # a fair coin leaves 60 to 140 but once in 10⁸
        assert 60 <= sum(number >> bit & 1 for number in numbers) <= 140, bit


def test_the_source_is_the_operating_system() -> None:
    assert isinstance(secrets._sysrand, secrets.SystemRandom)  # type: ignore[attr-defined]
    assert math.log2(16) * len(new_session_id()) == 128
    assert math.log2(64) * len(new_incarnation()) >= 128
    assert math.log2(16) * len(session_id_of(new_incarnation())) == 128


async def test_histories_make_no_ids_but_those_of_events() -> None:
    async with sojourn.open("memory://") as store:
        history = store.history("given")
        await history.append("user", "Hello")
        assert history.key == SessionKey.of("history", "given", "given")
        (message,) = await history.all()
        assert len(bytes.fromhex(message.id)) == 16
