"""What metrics and traces cost: appends a second of 64 tasks, with each sink and without.

python -m bench.telemetry
python -m bench.telemetry --rounds 20

The sinks take turns, another one first each round, so that all share the machine's weather. Figures
are medians; *off* stands twice, so that the second says how far apart equals are. CPU is that of
this process, for one append; a server on another processor can hide it from the rate.
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import statistics
import time

from opentelemetry import context, trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from prometheus_client import CollectorRegistry

import sojourn
from sojourn.telemetry import opentelemetry, prometheus

from . import server

TASKS, EACH = 64, 40
SWITCHED_OFF = TracerProvider(sampler=ALWAYS_OFF)


class Sink:
    """A sink on a store of its own; `beneath` is the span that is current while it appends."""

    def __init__(self, name, start=None, beneath=None):
        self.name, self.start, self.beneath = name, start, beneath
        self.rates, self.processor = [], []

    def open(self, url):
        self.store = sojourn.open(url)
        if self.start is not None:
            self.start(self.store)

    @contextlib.contextmanager
    def span(self):
        token = self.beneath and context.attach(trace.set_span_in_context(self.beneath))
        try:
            yield
        finally:
            if token:
                context.detach(token)


def traced(spans, meters=None):
    meters = meters or NoOpMeterProvider()
    return lambda store: opentelemetry.instrument(
        store, tracer_provider=spans, meter_provider=meters
    )


def sinks():
    recording = TracerProvider()
    recording.add_span_processor(SpanProcessor())  # exports nothing
    unsampled = SWITCHED_OFF.get_tracer("bench").start_span("request")
    sampled = recording.get_tracer("bench").start_span("request")
    registry = CollectorRegistry()
    return [
        Sink("off"),
        Sink("off, again"),
        Sink("prometheus", lambda store: prometheus.register(store, registry=registry)),
        Sink("spans, request not sampled", traced(TracerProvider()), unsampled),
        Sink("spans, sampler always off", traced(SWITCHED_OFF)),
        Sink("spans, recorded", traced(recording), sampled),
        Sink(
            "OpenTelemetry's histogram",
            traced(SWITCHED_OFF, MeterProvider([InMemoryMetricReader()])),
        ),
    ]


async def burst(store, user):
    made = [await store.sessions.create("telemetry", user) for _ in range(TASKS)]
    waiting = [
        [sojourn.Event(author="user", payload={"text": "x" * 1000, "n": n}) for n in range(EACH)]
        for _ in made
    ]

    async def write(key, events):
        for event in events:
            await store.sessions.append(key, event)

    gc.collect()
    started, used = time.perf_counter(), time.process_time()
    await asyncio.gather(
        *(write(one.key, events) for one, events in zip(made, waiting, strict=True))
    )
    taken, used = time.perf_counter() - started, time.process_time() - used
    return TASKS * EACH / taken, used / (TASKS * EACH) * 1e6


async def measure(url, rounds):
    all_sinks = sinks()
    for sink in all_sinks:
        sink.open(url)
        await burst(sink.store, "warm")
    for number in range(rounds):
        shift = number % len(all_sinks)
        for sink in all_sinks[shift:] + all_sinks[:shift]:
            with sink.span():
                rate, used = await burst(sink.store, f"user-{number}")
            sink.rates.append(rate)
            sink.processor.append(used)
    for sink in all_sinks:
        await sink.store.close()
    return all_sinks


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.telemetry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    logging.disable(logging.WARNING)
    with server.running() as (url, version):
        print(f"{version}, {TASKS} tasks, {rounds} rounds of {TASKS * EACH:,} appends")
        measured = asyncio.run(measure(url, rounds))
    base = statistics.median(measured[0].rates)
    processor = statistics.median(measured[0].processor)
    for sink in measured:
        rate, used = statistics.median(sink.rates), statistics.median(sink.processor)
        print(
            f"{sink.name:28} {rate:8,.0f} appends/s  {rate / base:5.2f} x"
            f"   {used:5.1f} us CPU  {used - processor:+5.1f}"
        )


if __name__ == "__main__":
    main()
