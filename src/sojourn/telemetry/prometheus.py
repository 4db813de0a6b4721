"""Prometheus metrics of the stores of this process (extra `metrics`).

    from prometheus_client import start_http_server
    from sojourn.telemetry import prometheus

    unregister = prometheus.register(store)
    start_http_server(9464, addr="127.0.0.1")

Nothing is counted twice: durations of calls come from facts, everything else is read from
`store.stats()` when Prometheus asks. Labels are words of code (room, operation, outcome) and the
name that the program gives a store; no id, no key and no app is among them. Sojourn counts by
process, and its collector knows no multiprocess mode: give each process a port of its own, or use
`sojourn.telemetry.opentelemetry`. Figures of the server are those of `sojourn metrics`.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

from sojourn import errors
from sojourn.errors import InvalidInput
from sojourn.extras import how_to_install
from sojourn.process_bound import tell_after_fork
from sojourn.telemetry import CallFact, CallHook, ReplayHook, ReplayReport
from sojourn.telemetry.figures import FIGURES, Figure, store_name
from sojourn.telemetry.newer import NEWER

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ImportError as error:  # pragma: no cover
    raise ImportError(
        f"sojourn.telemetry.prometheus needs prometheus-client ({error}): "
        f"{how_to_install('metrics')}"
    ) from error

if TYPE_CHECKING:
    from sojourn.security.audit import Decision
    from sojourn.stats import Stats

__all__ = ["access_sink", "register"]

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds: a call takes half a millisecond, and `operation_timeout` is seconds."""
MOST_STORES = 64
MOST_SERIES = 500
"""Pairs of call and outcome of one store; all further ones are `other`."""

OTHER = "other"
_BOUNDS = [*map(str, BUCKETS), "+Inf"]
_CALL = re.compile(r"([a-z][a-z_]{0,39})\.([a-z][a-z_]{0,39})")
_OUTCOMES = frozenset({"ok", "cancelled", *errors.__all__})


class ObservedStore(Protocol):
    """A store, with or without an event loop."""

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        ...

    def stats(self) -> Stats:
        """The figures now."""
        ...

    def on_call(self, hook: CallHook) -> Callable[[], None]:
        """Tell `hook` of calls."""
        ...

    def on_replay(self, hook: ReplayHook) -> Callable[[], None]:
        """Tell `hook` of replays."""
        ...


def register(
    store: ObservedStore, *, name: str = "default", registry: CollectorRegistry = REGISTRY
) -> Callable[[], None]:
    """Add a store to the metrics of this process. Asks nobody.

    Args:
        store: from `sojourn.open` or `sojourn.sync.open`. Once closed, it is left out.
        name: the label `store` of its metrics, for a process with several.
        registry: where prometheus-client collects.

    Returns:
        what takes it out again.

    Raises:
        InvalidInput: the name is not 1 to 64 letters, digits or `_.-`, another open store has it,
            or there are 64 stores.
    """
    collector = StoreCollector()
    found = _collectors.setdefault(registry, collector)
    if found is collector:
        registry.register(collector)
    return found.add(name, store)


def access_sink(registry: CollectorRegistry = REGISTRY) -> Callable[[Decision], None]:
    """Count the decisions of guards: a sink for `sojourn.security.AccessLog`.

    Once for a registry: prometheus-client refuses to register the same counter twice.
    """
    from prometheus_client import Counter as Counted  # noqa: PLC0415 - a name of collections, too

    decisions = Counted(
        "sojourn_access_decisions",
        "Decisions of guards, by action and outcome.",
        ["action", "outcome"],
        registry=registry,
    )
    known = dict[tuple[str, str], Any]()

    def count(decision: Decision) -> None:
        key = (decision.action, str(decision.outcome))
        if key not in known and len(known) >= MOST_SERIES:
            key = (OTHER, OTHER)
        if key not in known:
            known[key] = decisions.labels(*key)
        known[key].inc()

    return count


class CallSeries:
    """Durations of the calls of one name and outcome."""

    __slots__ = ("counts", "labels", "seconds")

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = labels
        self.counts = [0] * len(_BOUNDS)
        self.seconds = 0.0


class CallDurations:
    """Histograms of the calls of a store. It is told of each, so it does little.

    A forked child starts with none: what its parent did is the parent's to tell.
    """

    def __init__(self) -> None:
        self.after_fork()
        tell_after_fork(self)

    def after_fork(self) -> None:
        """Start anew; a thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        self._series = dict[tuple[str, str], CallSeries]()
        self._shown = dict[Sequence[str], CallSeries]()
        self._replayed = Counter[str]()

    def count(self, fact: CallFact) -> None:
        """Count a call."""
        with self._lock:
            series = self._series.get((fact.name, fact.outcome)) or self._enter(fact)
            series.counts[bisect_left(BUCKETS, fact.seconds)] += 1
            series.seconds += fact.seconds

    def count_replay(self, report: ReplayReport) -> None:
        """Count what became of buffered writes."""
        with self._lock:
            self._replayed["applied"] += report.applied
            self._replayed["duplicate"] += report.duplicates
            self._replayed["refused"] += len(report.refused)
            self._replayed["lost"] += report.lost

    def _enter(self, fact: CallFact) -> CallSeries:
        """The series of a call that was not met before."""
        found = _CALL.fullmatch(fact.name)
        full = len(self._series) >= MOST_SERIES
        room, operation = (OTHER, OTHER) if found is None or full else found.groups()
        outcome = fact.outcome if fact.outcome in _OUTCOMES else OTHER
        labels = (room, operation, outcome)
        series = self._shown.setdefault(labels, CallSeries(labels))
        if not full:
            self._series[fact.name, fact.outcome] = series
        return series

    def figures(self) -> tuple[list[tuple[Sequence[str], list[int], float]], Counter[str]]:
        """All series, with their counts and seconds, and what became of buffered writes."""
        with self._lock:
            series = [(each.labels, [*each.counts], each.seconds) for each in self._shown.values()]
            return series, Counter(self._replayed)


class RegisteredStore(NamedTuple):
    """A store, what is counted of it, and what ends that."""

    store: ObservedStore
    calls: CallDurations
    removals: Sequence[Callable[[], None]]

    def leave(self) -> None:
        """Count no more."""
        for remove in self.removals:
            remove()


class StoreCollector(Collector):
    """Collects the figures of the stores that were given to `register`."""

    def __init__(self) -> None:
        self.after_fork()
        tell_after_fork(self)
        self._stores = dict[str, RegisteredStore]()

    def after_fork(self) -> None:
        """Take a new lock: a thread of the parent may have held this one."""
        self._lock = threading.RLock()

    def add(self, name: str, store: ObservedStore) -> Callable[[], None]:
        """As `register`."""
        store_name(name)
        with self._lock:
            self._leave_out_closed()
            if name in self._stores:
                raise InvalidInput(f"Another store is registered as {name!r}: give this one name=.")
            if len(self._stores) >= MOST_STORES:
                raise InvalidInput(
                    f"{MOST_STORES} stores are registered: unregister or close those that are not "
                    "used any more."
                )
            durations = CallDurations()
            removals = store.on_call(durations.count), store.on_replay(durations.count_replay)
            entry = self._stores[name] = RegisteredStore(store, durations, removals)

        def unregister() -> None:
            with self._lock:
                if self._stores.get(name) is entry:
                    del self._stores[name]
            entry.leave()

        return unregister

    def _leave_out_closed(self) -> None:
        for name, entry in list(self._stores.items()):
            if entry.store.closed:
                del self._stores[name]
                entry.leave()

    def describe(self) -> Iterable[Metric]:
        """Called by the registry, which then asks no store."""
        return [_calls(), *(family for family, _ in _families()), _replayed(), _newer()]

    def collect(self) -> Iterable[Metric]:
        """Called by the registry, in any thread."""
        with self._lock:
            self._leave_out_closed()
            entries = list(self._stores.items())
        families = _families()
        durations, replayed, newer = _calls(), _replayed(), _newer()
        for name, entry in entries:
            stats = entry.store.stats()
            for family, figure in families:
                for labels, value in figure.read(stats):
                    family.add_metric((name, *labels), value)
            series, writes = entry.calls.figures()
            for labels, counts, seconds in series:
                buckets = list(zip(_BOUNDS, map(float, accumulate(counts)), strict=True))
                durations.add_metric((name, *labels), buckets=buckets, sum_value=seconds)
            for result in _RESULTS:
                replayed.add_metric((name, result), writes[result])
        newer.add_metric((), NEWER.total())
        return [durations, *(family for family, _ in families), replayed, newer]


_collectors: WeakKeyDictionary[CollectorRegistry, StoreCollector] = WeakKeyDictionary()
_RESULTS = ("applied", "duplicate", "refused", "lost")

Family = CounterMetricFamily | GaugeMetricFamily


def _calls() -> HistogramMetricFamily:
    return HistogramMetricFamily(
        "sojourn_call_duration_seconds",
        "Calls to the server, with their retries.",
        labels=("store", "room", "operation", "outcome"),
    )


def _replayed() -> CounterMetricFamily:
    return CounterMetricFamily(
        "sojourn_replayed_writes",
        "Buffered writes, by what became of them after the outage.",
        labels=("store", "result"),
    )


def _newer() -> CounterMetricFamily:
    return CounterMetricFamily(
        "sojourn_newer_records",
        "Records of a framework that were read without members which a newer version wrote.",
        labels=(),
    )


def _families() -> list[tuple[Family, Figure]]:
    """Those of `Stats`."""
    found: list[tuple[Family, Figure]] = []
    for figure in FIGURES:
        kind = CounterMetricFamily if figure.counts else GaugeMetricFamily
        labels = ("store", *figure.labels)
        found.append((kind(f"sojourn_{figure.name}", figure.about, labels=labels), figure))
    return found
