"""Hypothesis drives the memory on a server and its twin, and compares what they say."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import sojourn
from extent import examples
from servers import Server
from sojourn import SojournError
from sojourn.memory import Draft

users = st.sampled_from(["", "ada"])
keys = st.sampled_from(["a", "a:b", "é", "b"])
words = st.sampled_from(["run", "running shoes", "parrots", "green parrot", "走る人", "", "Ёлка"])
values = words | st.none() | st.integers() | st.dictionaries(keys, words, max_size=2)
operations = st.none() | st.sampled_from(["op1", "op2", "op3"])
versions = st.none() | st.integers(0, 6)


class Twins(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.app = f"twin-{secrets.token_hex(6)}"
        options: dict[str, Any] = {"max_event_bytes": 60}
        self.stores = [sojourn.open(where, **options) for where in (self.url, "memory://")]

    def teardown(self) -> None:
        for store in self.stores:
            self.loop.run_until_complete(store.close())
        self.loop.close()

    def both(self, user: str, call: Any) -> None:
        """Run a call on both; they must answer alike, error for error."""
        answers = []
        for store in self.stores:
            scope = store.memory.user(user, app=self.app)
            try:
                answers.append(self.loop.run_until_complete(call(scope)))
            except SojournError as error:
                answers.append((type(error), getattr(error, "actual", None)))
        real, twin = answers
        assert real == twin

    @rule(
        user=users,
        key=keys,
        value=values,
        text=st.none() | words,
        op=operations,
        expected=versions,
        ttl=st.none() | st.just(100),
    )
    def put(self, user: str, key: str, value: Any, op: str, expected: int, **options: Any) -> None:
        self.both(
            user,
            lambda scope: scope.put(
                key, value, operation_id=op, expected_version=expected, **options
            ),
        )

    @rule(user=users, items=st.dictionaries(keys, values, max_size=3), op=operations)
    def put_many(self, user: str, items: dict[str, Any], op: str) -> None:
        self.both(user, lambda scope: scope.put_many(items, operation_id=op))

    @rule(
        user=users,
        items=st.dictionaries(
            keys, st.tuples(values, st.none() | words, st.none() | keys), max_size=3
        ),
        op=operations,
        replace=st.booleans(),
        ttl=st.none() | st.sampled_from([100, 1000]),
    )
    def add(self, user: str, items: dict[str, Any], op: str, **options: Any) -> None:
        drafts = {
            key: Draft(value=value, text=text, unless=unless)
            for key, (value, text, unless) in items.items()
        }
        self.both(user, lambda scope: scope.add(drafts, operation_id=op, **options))

    @rule(user=users, key=keys, changes=st.dictionaries(keys, words, max_size=2), op=operations)
    def merge(self, user: str, key: str, changes: dict[str, Any], op: str) -> None:
        self.both(user, lambda scope: scope.merge(key, changes, operation_id=op))

    @rule(user=users, key=keys, op=operations, expected=versions)
    def delete(self, user: str, key: str, op: str, expected: int) -> None:
        self.both(user, lambda scope: scope.delete(key, operation_id=op, expected_version=expected))

    @rule(user=users)
    def clear(self, user: str) -> None:
        self.both(user, lambda scope: scope.clear())

    @rule(
        user=users,
        limit=st.integers(1, 3),
        prefix=st.sampled_from(["", "a", "é", "x"]),
        newest=st.booleans(),
    )
    def list(self, user: str, limit: int, prefix: str, newest: bool) -> None:
        async def call(scope: Any) -> Any:
            found, cursor = [], None
            while True:
                page = await scope.list(
                    limit=limit, cursor=cursor, prefix=prefix, newest_first=newest
                )
                found += [
                    (e.key, e.value, e.version, e.text, e.expires is None) for e in page.entries
                ]
                cursor = page.cursor
                if cursor is None:
                    return found

        self.both(user, call)

    @rule(user=users, limit=st.integers(1, 3))
    def latest(self, user: str, limit: int) -> None:
        async def call(scope: Any) -> Any:
            return [(e.key, e.value, e.version) for e in (await scope.latest(limit=limit)).entries]

        self.both(user, call)

    @rule(user=users, query=words, limit=st.integers(1, 3))
    def search(self, user: str, query: str, limit: int) -> None:
        async def call(scope: Any) -> Any:
            hits = await scope.search(query, limit=limit)
            return [(hit.entry.key, hit.entry.value, round(hit.score, 9)) for hit in hits]

        self.both(user, call)

    @invariant()
    def who_has_entries(self) -> None:
        real, twin = [
            self.loop.run_until_complete(store.admin.memory.scopes("user", app=self.app)).names
            for store in self.stores
        ]
        assert sorted(real) == twin


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
