"""What tests of the outage buffer have in common."""

from __future__ import annotations

import asyncio

import sojourn
from servers import Server
from sojourn import Event, Session
from sojourn.client import Sojourn
from sojourn.telemetry import ReplayReport

ALWAYS = ["--appendonly", "yes", "--appendfsync", "always"]


def buffering(server: Server, **options: object) -> Sojourn:
    chosen = {"on_outage": "buffer", "operation_timeout": 0.8, **options}
    return sojourn.open(server.url, **chosen)  # type: ignore[arg-type]


def said(text: str, **delta: object) -> Event:
    return Event(author="user", payload=text, state_delta=delta)


async def replayed(store: Sojourn) -> ReplayReport:
    """Wait until nothing is buffered any more."""
    told = asyncio.get_running_loop().create_future()
    stop = store.on_replay(lambda report: told.done() or told.set_result(report))
    async with asyncio.timeout(20):
        report: ReplayReport = await told
    stop()
    return report


def texts(session: Session[Event] | None) -> list[str]:
    assert session is not None
    return [event.payload for event in session.events]
