"""Who writes, and who listens."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import sojourn
from sojourn import Event, SessionKey, Unavailable
from sojourn.ids import new_operation_id
from sojourn.notices import Notice


def said(payload: object = 1) -> Event:
    return Event(author="a", payload=payload)


async def write(store: sojourn.Sojourn, key: SessionKey, number: int) -> None:
    """So many appends, each repeated until it is known to be done."""
    for _ in range(number):
        operation_id = new_operation_id()
        async with asyncio.timeout(40):
            while True:
                try:
                    await store.sessions.append(key, said(), operation_id=operation_id)
                except Unavailable:
                    await asyncio.sleep(0.01)
                else:
                    break


async def heard(
    store: sojourn.Sojourn, key: SessionKey, after: str, last: int, told: list[Notice] | None = None
) -> list[Notice]:
    """The notices until that of a version."""
    told = [] if told is None else told
    async with (
        asyncio.timeout(50),
        aclosing(store.notices.subscribe(key.app, key.user, after=after)) as notices,
    ):
        async for notice in notices:
            told.append(notice)
            if notice.version == last:
                break
    return told


def versions(told: list[Notice]) -> list[int]:
    return [each.version for each in told]


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)
