"""Facts of calls: free when nobody listens, complete when somebody does."""

from __future__ import annotations

import asyncio
import gc
import secrets
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import CallFact, Event

TIMES = 50
SOURCE = Path(sojourn.__file__).parent


class Calls:
    """Python functions that were called inside `with`, by module and name."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def __enter__(self) -> Counter[str]:
        gc.collect()
        sys.setprofile(self._called)
        return self.counts

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _called(self, frame: FrameType, what: str, _argument: object) -> None:
        if what == "call":
            path = Path(frame.f_code.co_filename)
            place = path.relative_to(SOURCE) if path.is_relative_to(SOURCE) else path.name
            self.counts[f"{place}:{frame.f_code.co_name}"] += 1


async def append(store: sojourn.Sojourn) -> Counter[str]:
    made = await store.sessions.create("steps", secrets.token_hex(4))
    await store.sessions.append(made.key, Event(author="user", payload="first"))
    with Calls() as counts:
        for _ in range(TIMES):
            await store.sessions.append(made.key, Event(author="user", payload="next"))
    return counts


async def test_without_a_sink_an_append_calls_nothing_of_telemetry(shared_server: Server) -> None:
    async with sojourn.open(shared_server.url) as store:
        off = await append(store)
        assert [name for name in off if name.startswith("telemetry")] == []
        assert off["engine/engine.py:tell"] == 0
        assert off["__init__.py:isEnabledFor"] <= TIMES  # of the debug log
        stop = store.on_call(lambda _: None)
        on = await append(store)
        assert on["engine/engine.py:tell"] == on["telemetry/__init__.py:tell"] == TIMES
        stop()
        off = await append(store)
        assert [name for name in off if name.startswith("telemetry")] == []


def test_a_store_imports_no_sink() -> None:
    code = "import sys, sojourn; sojourn.open('memory://'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    sinks = {"sojourn.telemetry.prometheus", "sojourn.telemetry.opentelemetry"}
    assert {*done.stdout.split()} & {*sinks, "prometheus_client"} == set()


async def test_a_fact_is_complete_before_its_caller_goes_on(proxy: Proxy) -> None:
    lost: list[bytes] = []

    def lose_once(data: bytes) -> str:
        if b"EVALSHA" not in data or lost:
            return "pass"
        lost.append(data)
        return "lose"

    async with sojourn.open(proxy.url) as store:
        made = await store.sessions.create("facts", secrets.token_hex(4))
        facts: list[CallFact] = []
        store.on_call(facts.append)
        proxy.on_request = lose_once
        await store.sessions.append(made.key, Event(author="a", payload=1))
        (fact,) = [each for each in facts if each.name == "sessions.append"]
        assert (fact.outcome, fact.attempts, fact.where) == ("ok", 2, proxy.url)
        assert 0 < fact.seconds < 60
        assert store.stats().retries >= 1


async def test_a_fact_tells_how_a_call_has_failed_and_when_its_caller_has_gone(
    proxy: Proxy,
) -> None:
    async with sojourn.open(proxy.url, operation_timeout=0.3) as store:
        made = await store.sessions.create("facts", secrets.token_hex(4))
        facts: list[CallFact] = []
        store.on_call(facts.append)
        stalled = asyncio.Event()

        def stall(data: bytes) -> str:
            if b"EVALSHA" in data:
                stalled.set()
                return "stall"
            return "pass"

        proxy.on_request = stall
        event = Event(author="a", payload=1)
        with pytest.raises(sojourn.OutcomeUnknown):
            await store.sessions.append(made.key, event)
        assert [each.outcome for each in facts if each.name == "sessions.append"] == [
            "OutcomeUnknown"
        ]
        facts.clear()
        stalled.clear()
        waiting = asyncio.create_task(store.sessions.append(made.key, event))
        await stalled.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert [each.outcome for each in facts if each.name == "sessions.append"] == ["cancelled"]
        proxy.on_request = lambda _: "pass"
