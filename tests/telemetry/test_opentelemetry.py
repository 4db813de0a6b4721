"""Spans and durations for OpenTelemetry: by the conventions, with the right parent, without ids."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import Event, SessionKey, sync
from sojourn.telemetry.opentelemetry import SCHEMA_URL, conversation_id, instrument

SECRET = b"sixteen bytes ok"


class Recorded:
    """What was exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])

    def instrument(self, store: Any, **options: Any) -> Any:
        return instrument(
            store, tracer_provider=self.provider, meter_provider=self.meters, **options
        )

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def points(self, name: str = "db.client.operation.duration") -> list[Any]:
        data: Any = self.reader.get_metrics_data()
        return (
            []
            if data is None
            else [
                point
                for resource in data.resource_metrics
                for scope in resource.scope_metrics
                for metric in scope.metrics
                if metric.name == name
                for point in metric.data.data_points
            ]
        )


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    made = Recorded()
    yield made
    made.provider.shutdown()
    made.meters.shutdown()


async def test_a_span_and_a_duration_by_the_conventions(
    shared_server: Server, recorded: Recorded
) -> None:
    async with sojourn.open(f"{shared_server.url}/1") as store:
        stop = recorded.instrument(store)
        made = await store.sessions.create("traced", secrets.token_hex(4))
        await store.sessions.append(made.key, Event(author="a", payload=1))
        await store.sessions.get(made.key)
        (span,) = recorded.spans("sessions.append")
        assert span.kind is trace.SpanKind.CLIENT
        assert dict(span.attributes or {}) == {
            "db.system.name": "redis",
            "db.namespace": "1",
            "db.operation.name": "EVALSHA",
            "db.query.summary": "sessions.append",
            "db.stored_procedure.name": "append",
            "server.address": "127.0.0.1",
            "server.port": shared_server.port,
            "sojourn.call.attempts": 1,
        }
        assert span.instrumentation_scope is not None
        assert span.instrumentation_scope.schema_url == SCHEMA_URL
        assert span.status.is_unset
        assert span.start_time is not None
        assert span.end_time is not None
        assert 0 < span.end_time - span.start_time < 60e9
        (read,) = recorded.spans("sessions.read")
        attributes = read.attributes or {}
        assert str(attributes["db.operation.name"]).startswith("BATCH")
        assert attributes["db.operation.batch.size"] == 5
        (point,) = [
            point
            for point in recorded.points()
            if point.attributes["db.query.summary"] == "sessions.append"
        ]
        assert point.count == 1
        assert point.sum == pytest.approx((span.end_time - span.start_time) / 1e9, abs=1e-6)
        assert "error.type" not in point.attributes
        stop()
        await store.sessions.get(made.key)
        assert len(recorded.spans("sessions.read")) == 1


async def test_one_span_for_a_call_that_is_sent_twice(proxy: Proxy, recorded: Recorded) -> None:
    lost: list[bytes] = []

    def lose_once(data: bytes) -> str:
        if b"EVALSHA" not in data or lost:
            return "pass"
        lost.append(data)
        return "lose"

    async with sojourn.open(proxy.url) as store:
        made = await store.sessions.create("traced", secrets.token_hex(4))
        recorded.instrument(store)
        proxy.on_request = lose_once
        await store.sessions.append(made.key, Event(author="a", payload=1))
        (span,) = recorded.spans("sessions.append")
        assert (span.attributes or {})["sojourn.call.attempts"] == 2


async def test_an_error_is_said_by_its_class(proxy: Proxy, recorded: Recorded) -> None:
    async with sojourn.open(proxy.url, operation_timeout=0.3) as store:
        made = await store.sessions.create("traced", secrets.token_hex(4))
        recorded.instrument(store)
        proxy.on_request = lambda data: "stall" if b"EVALSHA" in data else "pass"
        with pytest.raises(sojourn.OutcomeUnknown):
            await store.sessions.append(made.key, Event(author="a", payload="content"))
        (span,) = recorded.spans("sessions.append")
        assert span.status.status_code is trace.StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == "OutcomeUnknown"
        assert not span.events
        assert "content" not in span.to_json()
        (point,) = [point for point in recorded.points() if "error.type" in point.attributes]
        assert point.attributes["error.type"] == "OutcomeUnknown"


@pytest.mark.parametrize("way", ["tasks", "batch"])
async def test_calls_that_leave_together_have_each_its_own_parent(
    shared_server: Server, recorded: Recorded, way: str
) -> None:
    times = 20
    async with sojourn.open(shared_server.url) as store:
        user = secrets.token_hex(4)
        made = [await store.sessions.create("traced", user) for _ in range(times)]
        recorded.instrument(store)

        async def ask(key: SessionKey) -> int:
            with recorded.tracer.start_as_current_span("caller") as span:
                if way == "batch":
                    await store.batch.get([key])
                else:
                    await store.sessions.append(key, Event(author="a", payload=1))
                return span.get_span_context().span_id

        callers = await asyncio.gather(*(ask(each.key) for each in made))
        spans = recorded.spans("sessions.append" if way == "tasks" else "sessions.read")
        parents = [span.parent.span_id for span in spans if span.parent is not None]
        assert sorted(parents) == sorted(callers)


def test_the_parent_of_a_call_without_an_event_loop(
    shared_server: Server, recorded: Recorded
) -> None:
    with sync.open(shared_server.url) as store:
        recorded.instrument(store)
        with recorded.tracer.start_as_current_span("caller") as span:
            store.sessions.create("traced", secrets.token_hex(4))
        (made,) = recorded.spans("sessions.create")
        assert made.parent is not None
        assert made.parent.span_id == span.get_span_context().span_id


async def test_a_span_that_is_not_sampled_has_none_beneath(
    shared_server: Server, recorded: Recorded
) -> None:
    unsampled = TracerProvider(sampler=ALWAYS_OFF).get_tracer("test")
    recorded.provider.sampler = ALWAYS_ON  # it would take a span beneath any other
    async with sojourn.open(shared_server.url) as store:
        recorded.instrument(store)
        with unsampled.start_as_current_span("caller"):
            await store.ping()
        assert recorded.spans("engine.ping") == []
        assert sum(point.count for point in recorded.points()) == 1  # measured all the same
        await store.ping()
        (span,) = recorded.spans("engine.ping")
        assert span.parent is None


class SwitchedOff(Sampler):
    """`ALWAYS_OFF`, which notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def should_sample(self, context: Any, trace_id: int, name: str, *rest: Any, **more: Any) -> Any:
        self.asked.append(name)
        return ALWAYS_OFF.should_sample(context, trace_id, name, *rest, **more)

    def get_description(self) -> str:
        return ALWAYS_OFF.get_description()


async def test_an_sdk_that_is_switched_off_is_not_asked(shared_server: Server) -> None:
    sampler = SwitchedOff()
    async with sojourn.open(shared_server.url) as store:
        instrument(store, tracer_provider=TracerProvider(sampler=sampler))
        await store.ping()
        assert sampler.asked == []


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ParentBased(ALWAYS_OFF)], ids=["off", "parent"])
async def test_an_sdk_that_is_switched_off_makes_no_root_and_follows_its_parent(
    shared_server: Server, recorded: Recorded, sampler: Any
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with sojourn.open(shared_server.url) as store:
        instrument(store, tracer_provider=provider)
        await store.ping()
        assert exporter.get_finished_spans() == ()
        with recorded.tracer.start_as_current_span("caller"):
            await store.ping()
        made = [span.name for span in exporter.get_finished_spans()]
        assert made == ([] if sampler is ALWAYS_OFF else ["engine.ping"])


async def test_figures_of_stores_are_collected(recorded: Recorded) -> None:
    async with sojourn.open("memory://") as one, sojourn.open("memory://") as two:
        recorded.instrument(one, name="one")
        stop = recorded.instrument(two, name="two")
        await two.cache.get("nothing")
        reads = {
            tuple(point.attributes[f"sojourn.{label}"] for label in ("store", "cache", "result")): (
                point.value
            )
            for point in recorded.points("sojourn.cache_reads")
        }
        assert reads["one", "results", "miss"] == 0
        assert reads["two", "results", "miss"] == 1
        assert [point.value for point in recorded.points("sojourn.available")] == [1, 1]
        stop()
        assert [point.value for point in recorded.points("sojourn.available")] == [1]
        with pytest.raises(sojourn.InvalidInput, match="cannot name"):
            recorded.instrument(two, name="a b")
    assert recorded.points("sojourn.available") == []


async def test_ids_are_left_out_or_hashed(shared_server: Server, recorded: Recorded) -> None:
    ids = [f"{word}-{secrets.token_hex(4)}" for word in ("app:x", "user{y}", "session z")]
    async with sojourn.open(shared_server.url, namespace="spaced") as store:
        stop = recorded.instrument(store)
        made = await store.sessions.create(*ids)
        await store.sessions.append(made.key, Event(author="a", payload=1))
        stop()
        (span,) = recorded.spans("sessions.append")
        assert "gen_ai.conversation.id" not in (span.attributes or {})
        recorded.instrument(store, conversation_secret=SECRET)
        await store.sessions.append(made.key, Event(author="a", payload=1))
        await store.sessions.get(made.key)
        await store.memory.user(ids[1], app=ids[0]).put("key", "value")
        everything = "".join(span.to_json() for span in recorded.exporter.get_finished_spans())
        for name in (*ids, "spaced"):
            assert name not in everything
    name = conversation_id(SECRET, made.key)
    for found in (recorded.spans("sessions.append")[-1], recorded.spans("sessions.read")[-1]):
        assert (found.attributes or {})["gen_ai.conversation.id"] == name
    assert name != conversation_id(SECRET[::-1], made.key)
    others = [
        SessionKey(ids[0], ids[1], "z"),
        SessionKey("a", *ids[1:]),
        SessionKey(*"a:b"[::2], "c"),
    ]
    assert len({name, *(conversation_id(SECRET, each) for each in others)}) == 4
    (put,) = recorded.spans("memory.put")
    assert "gen_ai.conversation.id" not in (put.attributes or {})


async def test_a_short_secret_is_refused() -> None:
    async with sojourn.open("memory://") as store:
        with pytest.raises(sojourn.InvalidInput, match="16 bytes"):
            instrument(store, conversation_secret=b"short")


@pytest.mark.parametrize(
    ("where", "address"),
    [
        ("redis://cache.example:6380/3", ("cache.example", 6380, "3")),
        ("rediss://[::1]:6379/0", ("[::1]", 6379, "0")),
        ("unix:///run/redis.sock", ("/run/redis.sock", None, None)),
        ("embedded:./data", ("./data", None, None)),
        ("redis+cluster://a:1,b:2", ("a:1,b:2", None, None)),
        ("redis://10.0.0.1:7001 (an address that x announces)", ("10.0.0.1", 7001, None)),
    ],
)
def test_addresses(where: str, address: tuple[object, ...]) -> None:
    from sojourn.telemetry.opentelemetry import _address

    found = _address(where)
    names = ("server.address", "server.port", "db.namespace")
    assert tuple(map(found.get, names)) == address
