"""Metrics for Prometheus: what they say, and what they never say."""

from __future__ import annotations

import os
import re
import secrets
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import sojourn
from servers import Server
from sojourn import CallFact, Event, sync
from sojourn.security import AccessLog, Principal
from sojourn.telemetry import ReplayReport, prometheus
from sojourn.telemetry.prometheus import MOST_SERIES, MOST_STORES, CallDurations, register


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"sojourn_{name}", {"store": "default", **labels})


async def test_what_calls_did_is_counted(
    shared_server: Server, registry: CollectorRegistry
) -> None:
    user = secrets.token_hex(4)
    async with sojourn.open(shared_server.url) as store:
        register(store, registry=registry)
        made = await store.sessions.create("counted", user)
        for number in range(3):
            await store.sessions.append(made.key, Event(author="a", payload=number))
        for _ in range(2):
            await store.sessions.get(made.key)
        await store.cache.put(f"counted-{user}", 1)
        await store.cache.get(f"counted-{user}")
        with pytest.raises(sojourn.SessionNotFound):
            await store.sessions.append(
                sojourn.SessionKey("counted", user, "none"), Event(author="a", payload=1)
            )
        append = {"room": "sessions", "operation": "append", "outcome": "ok"}
        assert value(registry, "call_duration_seconds_count", **append) == 4  # one was answered no
        assert value(registry, "call_duration_seconds_bucket", **append, le="+Inf") == 4
        assert 0 < (value(registry, "call_duration_seconds_sum", **append) or 0) < 60
        create = {**append, "operation": "create"}
        assert value(registry, "call_duration_seconds_count", **create) == 1
        near = store.stats().near_cache
        assert near.hits + near.misses > 0
        assert value(registry, "cache_reads_total", cache="sessions", result="hit") == near.hits
        assert value(registry, "cache_reads_total", cache="results", result="hit") == 1
        assert value(registry, "available") == 1
        assert value(registry, "buffered_writes") == 0
        assert (value(registry, "connections_opened_total") or 0) >= 1


async def test_no_id_is_in_a_label(shared_server: Server, registry: CollectorRegistry) -> None:
    app, user, key = (f"{word}-{secrets.token_hex(4)}" for word in ("app", "user", "session"))
    async with sojourn.open(shared_server.url, namespace="secretspace") as store:
        register(store, registry=registry)
        made = await store.sessions.create(app, user, key, state={"statekey": 1})
        await store.sessions.append(made.key, Event(author="author", payload="content"))
        await store.memory.user(user, app=app).put("memorykey", "text")
        await store.cache.put("cachekey", 1, tags=["tag"])
        text = generate_latest(registry).decode()
    assert 'operation="append"' in text
    for word in (app, user, key, "statekey", "content", "memorykey", "cachekey", "secretspace"):
        assert word not in text


def test_names_that_are_no_words_and_further_ones_are_other() -> None:
    durations = CallDurations()
    for name in ("sessions.append", "toy.x-17", "ping", "a.b.c", "sessions.ada@example.org"):
        durations.count(CallFact(name, "ok", 0.001, 1, 10))
    durations.count(CallFact("sessions.append", "SomebodysError", 0.001, 1, 10))
    series, _ = durations.figures()
    assert {tuple(labels) for labels, _, _ in series} == {
        ("sessions", "append", "ok"),
        ("other", "other", "ok"),
        ("sessions", "append", "other"),
    }
    for number in range(3 * MOST_SERIES):
        name = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        durations.count(CallFact(f"toy.{name}", "ok", 0.001, 1, 10))
    series, _ = durations.figures()
    assert len(series) <= MOST_SERIES + 1
    assert sum(sum(counts) for _, counts, _ in series) == 6 + 3 * MOST_SERIES


async def test_several_stores_of_a_process(registry: CollectorRegistry) -> None:
    async with sojourn.open("memory://") as one, sojourn.open("memory://") as two:
        register(one, name="one", registry=registry)
        stop = register(two, name="two", registry=registry)
        with pytest.raises(sojourn.InvalidInput, match="name="):
            register(two, name="one", registry=registry)
        for wrong in ("", "a b", "x" * 65, 'a"b'):
            with pytest.raises(sojourn.InvalidInput):
                register(two, name=wrong, registry=registry)
        await two.cache.get("nothing")
        labels = {"cache": "results", "result": "miss"}
        assert value(registry, "cache_reads_total", store="one", **labels) == 0
        assert value(registry, "cache_reads_total", store="two", **labels) == 1
        stop()
        stop()
        assert value(registry, "available", store="two") is None
        register(two, name="two", registry=registry)
    assert value(registry, "available", store="one") is None  # closed
    async with sojourn.open("memory://") as again:
        register(again, name="one", registry=registry)
        assert value(registry, "available", store="one") == 1
        for number in range(MOST_STORES - 1):
            register(again, name=f"n{number}", registry=registry)
        with pytest.raises(sojourn.InvalidInput, match="stores are registered"):
            register(again, name="more", registry=registry)


async def test_who_is_unregistered_is_not_told(shared_server: Server) -> None:
    async with sojourn.open(shared_server.url) as store:
        register(store, registry=CollectorRegistry())()
        assert not store._hooks.listens


async def test_replayed_writes_are_counted_by_result(registry: CollectorRegistry) -> None:
    async with sojourn.open("memory://") as store:
        register(store, registry=registry)
        refused = (sojourn.telemetry.RefusedWrite("id", "why", b"{}"),)
        store._hooks.tell_replay(ReplayReport(3, 2, refused, 4))
        found = {
            result: value(registry, "replayed_writes_total", result=result)
            for result in ("applied", "duplicate", "refused", "lost")
        }
        assert found == {"applied": 3, "duplicate": 2, "refused": 1, "lost": 4}


def test_a_store_without_an_event_loop(shared_server: Server, registry: CollectorRegistry) -> None:
    with sync.open(shared_server.url) as store:
        register(store, registry=registry)
        store.sessions.create("plain", secrets.token_hex(4))
        labels = {"room": "sessions", "operation": "create", "outcome": "ok"}
        assert value(registry, "call_duration_seconds_count", **labels) == 1


def test_threads_lose_no_count() -> None:
    durations, times = CallDurations(), 5_000
    fact = CallFact("sessions.append", "ok", 0.001, 1, 10)

    def count() -> None:
        for _ in range(times):
            durations.count(fact)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    ((_, counts, seconds),), _ = durations.figures()
    assert sum(counts) == 4 * times
    assert seconds == pytest.approx(4 * times * 0.001)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_counts_for_itself_whoever_held_the_lock(
    registry: CollectorRegistry,
) -> None:
    durations = CallDurations()
    fact = CallFact("sessions.append", "ok", 0.001, 1, 10)
    durations.count(fact)
    with durations._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            durations.count(fact)
            ((_, counts, _),), _ = durations.figures()
            os._exit(sum(counts))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1


async def test_decisions_of_guards_are_counted(registry: CollectorRegistry) -> None:
    async with sojourn.open("memory://") as store:
        guard = store.guard(log=AccessLog(prometheus.access_sink(registry)))
        ada = guard.user(Principal.of("shop", "ada"))
        await ada.sessions.create()
        found = {
            sample.name: sample.labels
            for family in registry.collect()
            for sample in family.samples
            if sample.name == "sojourn_access_decisions_total"
        }
    assert found["sojourn_access_decisions_total"] == {
        "action": "sessions.create",
        "outcome": "allowed",
    }


async def test_each_metric_is_said_in_the_guide(registry: CollectorRegistry) -> None:
    async with sojourn.open("memory://") as store:
        register(store, registry=registry)
        text = generate_latest(registry).decode()
    guide = Path(__file__).parents[2] / "docs" / "guides" / "observability.md"
    families: Mapping[str, Any] = {
        family.name: family for family in text_string_to_metric_families(text)
    }
    assert len(families) > 10
    said = set(re.findall(r"`(sojourn_[a-z_]+)`", guide.read_text("utf-8")))
    of_process = {
        f"{name}_total" if family.type == "counter" else name for name, family in families.items()
    }
    assert of_process <= said
