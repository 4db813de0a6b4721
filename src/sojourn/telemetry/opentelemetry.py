"""OpenTelemetry spans and metrics of calls to a server (extra `otel`).

    from sojourn.telemetry import opentelemetry

    uninstrument = opentelemetry.instrument(store)

They follow the semantic conventions for database clients, in the version of `SCHEMA_URL`: one
`CLIENT` span for each call with all of its retries, beneath the span that was current when the call
was made, and the histogram `db.client.operation.duration`. Beside these are the figures of
`store.stats()`, read when they are collected. Only the API of OpenTelemetry is needed; without an
SDK nothing is recorded. `error.type` is the class of the error that the caller gets.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from sojourn.errors import InvalidInput
from sojourn.extras import how_to_install
from sojourn.ids import SessionKey, escape
from sojourn.telemetry import CallFact, TraceHook
from sojourn.telemetry.figures import FIGURES, Figure, store_name

try:
    from opentelemetry.metrics import (
        CallbackOptions,
        Meter,
        MeterProvider,
        NoOpHistogram,
        Observation,
        get_meter,
        get_meter_provider,
    )
    from opentelemetry.trace import (
        SpanKind,
        Status,
        StatusCode,
        TracerProvider,
        get_current_span,
        get_tracer,
    )
except ImportError as error:  # pragma: no cover
    raise ImportError(
        f"sojourn.telemetry.opentelemetry needs opentelemetry-api ({error}): "
        f"{how_to_install('otel')}"
    ) from error

if TYPE_CHECKING:
    from sojourn.calls.call import Call
    from sojourn.stats import Stats

__all__ = ["SCHEMA_URL", "conversation_id", "instrument"]

SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"
"""The version of the semantic conventions that names spans and attributes."""

MIN_SECRET = 16
"""Bytes of the secret that hashes ids of conversations."""

_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Those that the conventions advise."""
_MOST = 2000
"""Kinds of calls whose attributes are remembered."""

_WHERE = re.compile(r"[a-z+]+:(?://)?(?P<hosts>[^/? ]*)(?P<path>[^? ]*)")
_PORT = re.compile(r"(?P<host>\[.+\]|[^:]+):(?P<port>\d+)")
_SESSION = re.compile(r"(?:[^:{}]+:)?session:\{([^:{}]*:[^:{}]*)\}:([^:{}]+)(?::.*)?")

Attributes = Mapping[str, str | int]


class TracedStore(Protocol):
    """A store, with or without an event loop."""

    @property
    def where(self) -> str:
        """The server's address, without secrets."""
        ...

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        ...

    def stats(self) -> Stats:
        """The figures now."""
        ...

    def on_trace(self, hook: TraceHook) -> Callable[[], None]:
        """Tell `hook` of calls."""
        ...


def instrument(
    store: TracedStore,
    *,
    name: str = "default",
    conversation_secret: bytes | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Callable[[], None]:
    """Make spans and metrics of a store's calls. Asks nobody.

    A call inside a span that is not sampled makes none, whatever the sampler: it costs no more than
    a look at that span.

    Args:
        store: from `sojourn.open` or `sojourn.sync.open`.
        name: the attribute `sojourn.store` of its figures, for a process with several.
        conversation_secret: at least 16 bytes. With it, spans of calls about a session have
            `gen_ai.conversation.id`: `conversation_id` of the session. Without it no id leaves the
            process.
        tracer_provider: instead of the global one.
        meter_provider: instead of the global one; `NoOpMeterProvider()` for spans alone.

    Returns:
        what ends it.

    Raises:
        InvalidInput: the secret is too short, or the name is not 1 to 64 letters, digits or `_.-`.
    """
    store_name(name)
    if conversation_secret is not None and len(conversation_secret) < MIN_SECRET:
        raise InvalidInput(f"conversation_secret has at least {MIN_SECRET} bytes, all random.")
    meter = get_meter("sojourn", "", meter_provider, SCHEMA_URL)
    tracer = get_tracer("sojourn", "", tracer_provider, SCHEMA_URL)
    remove = store.on_trace(CallTracer(store.where, tracer, meter, conversation_secret).trace)
    observed = _observed(meter_provider or get_meter_provider(), meter)
    entry = (store, {"sojourn.store": name, **_address(store.where)})
    observed.append(entry)

    def uninstrument() -> None:
        remove()
        observed[:] = [each for each in observed if each is not entry]

    return uninstrument


ObservedStores = list[tuple[TracedStore, Attributes]]

_observers: WeakKeyDictionary[MeterProvider, ObservedStores] = WeakKeyDictionary()


def _observed(provider: MeterProvider, meter: Meter) -> ObservedStores:
    """The stores whose figures a provider collects; their instruments can be made only once."""
    stores: ObservedStores = []
    found = _observers.setdefault(provider, stores)
    if found is stores:
        for figure in FIGURES:
            make = (
                meter.create_observable_counter if figure.counts else meter.create_observable_gauge
            )
            make(f"sojourn.{figure.name}", [partial(_observe, figure, stores)], "", figure.about)
    return found


def _observe(figure: Figure, stores: ObservedStores, _: CallbackOptions) -> Iterator[Observation]:
    """Read a figure of all stores; those that were closed go."""
    stores[:] = [each for each in stores if not each[0].closed]
    for store, attributes in stores:
        for values, number in figure.read(store.stats()):
            words = {
                f"sojourn.{label}": value
                for label, value in zip(figure.labels, values, strict=True)
            }
            yield Observation(number, {**attributes, **words})


def conversation_id(secret: bytes, key: SessionKey) -> str:
    """The name that spans give a session: 32 hexadecimal digits, without the secret no id."""
    named = f"{escape(key.app)}:{escape(key.user)}:{escape(key.session)}"
    return _hashed(secret, named)


def _hashed(secret: bytes, named: str) -> str:
    return hmac.digest(secret, named.encode(), "sha256")[:16].hex()


class CallTracer:
    """Makes a span and a measurement of each call, when it has ended.

    Args:
        where: the server's address.
        tracer: makes spans.
        meter: makes the histogram.
        secret: hashes sessions; None to leave them out.
    """

    def __init__(self, where: str, tracer: Any, meter: Any, secret: bytes | None) -> None:
        self._where = where
        self._tracer = tracer
        self._durations = meter.create_histogram(
            "db.client.operation.duration",
            "s",
            "Duration of database client operations.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._measures = not isinstance(self._durations, NoOpHistogram)
        self._secret = secret
        self._rootless = _takes_no_root(tracer)
        self._known = dict[tuple[str, Any, int, str], Attributes]()

    def trace(self, fact: CallFact, call: Call[Any]) -> None:
        """Record a call that has just ended, in the context in which it was made."""
        above = get_current_span()
        within = above.get_span_context()
        if within.is_valid:
            spanned = within.trace_flags.sampled or above.is_recording()
        else:
            spanned = not self._rootless
        if not (spanned or self._measures):
            return
        command = call.commands[0][0] if call.script is None else call.script
        kind = (fact.name, command, len(call.commands), fact.where)
        attributes = self._known.get(kind) or self._learn(kind, call)
        failed = fact.outcome != "ok"
        if failed:
            attributes = {**attributes, "error.type": fact.outcome}
        self._durations.record(fact.seconds, attributes)
        if not spanned:
            return
        ended = time.time_ns()
        span = self._tracer.start_span(
            fact.name,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=ended - int(fact.seconds * 1e9),
        )
        if span.is_recording():
            span.set_attribute("sojourn.call.attempts", fact.attempts)
            if self._secret is not None and (name := _session_of(call)):
                span.set_attribute("gen_ai.conversation.id", _hashed(self._secret, name))
            if failed:
                span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def _learn(self, kind: tuple[str, Any, int, str], call: Call[Any]) -> Attributes:
        """The attributes that all calls of a kind have."""
        attributes: dict[str, str | int] = {
            "db.system.name": "redis",
            "db.operation.name": _operation(call),
            "db.query.summary": call.name,
            **_address(kind[-1] or self._where),
        }
        if call.script is not None:
            attributes["db.stored_procedure.name"] = call.script.name
        if len(call.commands) > 1:
            attributes["db.operation.batch.size"] = len(call.commands)
        if len(self._known) < _MOST:
            self._known[kind] = attributes
        return attributes


def _takes_no_root(tracer: Any) -> bool:
    """Whether the SDK is switched off: a span that is made to be dropped costs microseconds."""
    sampler = getattr(tracer, "sampler", None)
    if sampler is None:
        return False
    described: str = sampler.get_description()
    return described.startswith(("AlwaysOffSampler", "ParentBased{root:AlwaysOffSampler"))


def _operation(call: Call[Any]) -> str:
    """The command, as the conventions call it."""
    if call.script is not None:
        return "EVALSHA"
    names = {str(command[0]) for command in call.commands}
    if len(call.commands) == 1:
        return names.pop()
    return f"BATCH {names.pop()}" if len(names) == 1 else "BATCH"


def _address(where: str) -> dict[str, str | int]:
    """Host and port of a server, or its socket or folder, and the number of its database."""
    found = _WHERE.match(where)
    if found is None:
        return {}
    hosts, path = found["hosts"], found["path"]
    if not hosts or where.startswith("embedded:"):
        return {"server.address": hosts + path}
    attributes: dict[str, str | int] = {"server.address": hosts}
    if port := _PORT.fullmatch(hosts):
        attributes |= {"server.address": port["host"], "server.port": int(port["port"])}
    database = path.rpartition("/")[2]
    if database.isdecimal():
        attributes["db.namespace"] = database
    return attributes


def _session_of(call: Call[Any]) -> str:
    """App, user and session, escaped, of a call about one session; empty for others."""
    found = _SESSION.fullmatch(call.keys[0]) if call.keys else None
    return f"{found[1]}:{found[2]}" if found else ""
