"""Hypothesis drives the cache on a server and its twin in memory, and compares what they say.

Half of it calls what users call, half what only `fetch` calls: leases that are taken, renewed, lost
and given back in any order. Where a lifetime is as short as can be, both stores let it pass.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import sojourn
from extent import examples
from servers import Server
from sojourn import SojournError
from sojourn.cache import Cache
from sojourn.cache.operations.leases import FulfilLease, RenewLease
from sojourn.cache.operations.reads import FetchCached
from sojourn.cache.store import CacheEntry, CacheLifetime, EntryKey
from sojourn.calls.operation import Operation

TENANTS, NAMES = ["", "acme"], ["a", "a:b", "é"]
SHORT, LONG = 0.001, 1000.0
"""Seconds."""

tenants, names = st.sampled_from(TENANTS), st.sampled_from(NAMES)
values = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.text(), max_size=20)
tags = st.lists(st.sampled_from(["t", "u", "t u"]), max_size=2)
operations = st.none() | st.sampled_from(["op1", "op2"])
tokens = st.sampled_from(["one", "two"])
seconds = st.sampled_from([SHORT, LONG])
stale = st.sampled_from([0.0, SHORT, LONG])


class Twins(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.own = secrets.token_hex(6)
        self.stores = [sojourn.open(at, max_event_bytes=60) for at in (self.url, "memory://")]
        self.since: list[dict[tuple[EntryKey, str], int]] = [{}, {}]

    def teardown(self) -> None:
        for store in self.stores:
            self.loop.run_until_complete(store.close())
        self.loop.close()

    def tenant(self, name: str) -> str:
        return f"{self.own}{name}"

    def key(self, tenant: str, name: str) -> EntryKey:
        return EntryKey(self.tenant(tenant), name)

    def both(self, call: Callable[[Cache], Awaitable[Any]]) -> None:
        """Run a call on both; they must answer alike, error for error."""
        answers: list[Any] = []
        for store in self.stores:
            try:
                answers.append(self.loop.run_until_complete(call(store.cache)))
            except SojournError as error:
                answers.append((type(error), getattr(error, "size", None)))
        real, twin = answers
        assert real == twin

    def pass_by(self, *spans: float) -> None:
        """Let what is short be over, by everybody's clock."""
        if SHORT in spans:
            self.loop.run_until_complete(asyncio.sleep(5 * SHORT))

    # ── what users call ────────────────────────────────────────────────────────────────────────

    @rule(
        tenant=tenants, name=names, value=values, ttl=seconds, stale=stale, tags=tags, op=operations
    )
    def put(self, tenant: str, name: str, value: Any, op: str | None, **options: Any) -> None:
        self.both(
            lambda cache: cache.put(
                name, value, tenant=self.tenant(tenant), operation_id=op, **options
            )
        )
        self.pass_by(options["ttl"], options["stale"])

    @rule(tenant=tenants, name=names, op=operations)
    def delete(self, tenant: str, name: str, op: str | None) -> None:
        self.both(lambda cache: cache.delete(name, tenant=self.tenant(tenant), operation_id=op))

    @rule(tenant=tenants, tag=st.sampled_from(["t", "u", "x"]))
    def invalidate(self, tenant: str, tag: str) -> None:
        self.both(lambda cache: cache.invalidate(tag, tenant=self.tenant(tenant)))

    # ── what computes a value ──────────────────────────────────────────────────────────────────

    @rule(tenant=tenants, name=names, token=tokens, lease=seconds)
    def ask(self, tenant: str, name: str, token: str, lease: float) -> None:
        key, turns = self.key(tenant, name), iter(self.since)

        async def call(cache: Cache) -> Any:
            since = next(turns)
            found = await run(cache, FetchCached(key, token, lease))
            if found.leased:
                since[key, token] = found.since
            return found._replace(since=0)

        self.both(call)
        self.pass_by(lease)

    @rule(tenant=tenants, name=names, token=tokens, lease=seconds)
    def renew(self, tenant: str, name: str, token: str, lease: float) -> None:
        key = self.key(tenant, name)
        self.both(lambda cache: run(cache, RenewLease(key, token, lease)))
        self.pass_by(lease)

    @rule(
        tenant=tenants,
        name=names,
        token=tokens,
        value=st.none() | st.integers(),
        life=st.builds(CacheLifetime, seconds, stale),
        tags=tags,
    )
    def fulfil(self, tenant: str, name: str, token: str, value: int | None, **entry: Any) -> None:
        key, turns = self.key(tenant, name), iter(self.since)
        computed = None if value is None else CacheEntry(str(value).encode(), **entry)
        self.both(
            lambda cache: run(
                cache, FulfilLease(key, computed, token, next(turns).get((key, token), 0))
            )
        )
        self.pass_by(*entry["life"])

    @invariant()
    def what_is_there(self) -> None:
        async def call(cache: Cache) -> Any:
            keys = [self.key(tenant, name) for tenant in TENANTS for name in NAMES]
            found = [await run(cache, FetchCached(key)) for key in keys]
            return [each._replace(since=0) for each in found]

        self.both(call)


def run(cache: Cache, operation: Operation[Any]) -> Coroutine[Any, Any, Any]:
    return cache._store.run(operation)


def test_the_twins_agree(shared_server: Server) -> None:
    class Machine(Twins):
        url = shared_server.url

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples(60),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
