"""Hypothesis drives the store on a server and its twin in memory, and compares what they say."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import sojourn
from extent import examples
from servers import Server
from sojourn import Event, SessionKey, SessionNotFound, SojournError
from sojourn.sessions.operations import Rotate
from sojourn.sessions.store import WriteOptions

names = st.sampled_from(["a", "a:b", "c"])
users = st.sampled_from(["", "ada"])
keys = st.sampled_from(
    ["n", "user:n", "app:n", "app:m", "temp:n", "user:m", "state:n", ":", "version"]
)
small = st.text(max_size=4) | st.just("x" * 40)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | small,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
deltas = st.dictionaries(keys, values, max_size=3)
operations = st.none() | st.sampled_from(["op1", "op2", "op3"])
labels = st.sampled_from(["flow", "a/b", 'ü"\\/'])
words = st.sampled_from(["x", "y:%", "\x7f\u2028é"])
versions = st.none() | st.integers(1, 6)
times = st.floats(0, 10)


class Twins(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.app = f"twin-{secrets.token_hex(6)}"
        options: dict[str, Any] = {"max_events": 6, "max_state_bytes": 60, "max_sessions": 2}
        self.stores = [sojourn.open(where, **options) for where in (self.url, "memory://")]
        self.turn = 0
        self.seen: set[SessionKey] = set()

    def teardown(self) -> None:
        for store in self.stores:
            self.loop.run_until_complete(store.close())
        self.loop.close()

    def key(self, user: str, name: str) -> SessionKey:
        key = SessionKey.of(self.app, user, name)
        self.seen.add(key)
        return key

    def both(self, call: Any) -> None:
        """Run a call on both; they must answer alike, error for error."""
        answers = []
        for store in self.stores:
            try:
                answers.append(self.loop.run_until_complete(call(store.sessions)))
            except SojournError as error:
                answers.append((type(error), getattr(error, "size", None)))
        real, twin = answers
        assert real == twin

    @rule(user=users, name=names, state=deltas, op=st.none() | st.sampled_from(["c1", "c2"]))
    def create(self, user: str, name: str, state: dict[str, Any], op: str | None) -> None:
        async def call(sessions: Any) -> Any:
            made = await sessions.create(
                *self.key(user, name), state=state, created=1.0, operation_id=op, metadata=state
            )
            return made.state if op is None else (made.state, made.incarnation)

        self.both(call)

    @rule(
        user=users,
        name=names,
        events=st.lists(st.tuples(values, deltas, times), min_size=1, max_size=3),
        op=operations,
        expected=versions,
    )
    def append(self, user: str, name: str, events: Any, op: str | None, expected: int) -> None:
        key = self.key(user, name)
        made = [
            Event(author="a", payload=payload, state_delta=delta, time=when, id="i")
            for payload, delta, when in events
        ]

        async def call(sessions: Any) -> Any:
            return await sessions.append(key, *made, operation_id=op, expected_version=expected)

        self.both(call)

    @rule(
        user=users,
        name=names,
        title=st.text(max_size=3),
        change=st.dictionaries(labels, st.none() | words, max_size=3),
        operation_id=operations,
        expected_version=versions,
    )
    def update(self, user: str, name: str, title: str, change: Any, **guards: Any) -> None:
        key = self.key(user, name)

        async def call(sessions: Any) -> Any:
            version = await sessions.update(key, title=title, labels=change, **guards)
            # Both clocks differ: put the time back where it can be compared.
            await sessions.append(key, Event(author="a", payload=0, time=5.0, id="u"))
            return version

        self.both(call)

    @rule(
        user=users,
        name=names,
        drop=st.integers(0, 3),
        keep=st.none() | st.integers(0, 4),
        op=operations,
    )
    def trim(self, user: str, name: str, op: str | None, **cuts: Any) -> None:
        key = self.key(user, name)

        async def call(sessions: Any) -> Any:
            version = await sessions.trim(key, operation_id=op, **cuts)
            # Both clocks differ: put the time back where it can be compared.
            await sessions.append(key, Event(author="a", payload=1, time=6.0, id="t"))
            return version

        self.both(call)

    @rule(
        user=users,
        name=names,
        state=deltas,
        given=st.dictionaries(labels, words, max_size=2),
        op=st.none() | st.sampled_from(["c1", "c2"]),
    )
    def ensure(self, user: str, name: str, state: Any, given: Any, op: str | None) -> None:
        key = self.key(user, name)

        async def call(sessions: Any) -> Any:
            try:
                found = await sessions.ensure(*key, state=state, operation_id=op, labels=given)
            finally:  # the state of the app may be refused when the session is there
                # Both clocks differ: put the time back where it can be compared.
                with suppress(SessionNotFound):
                    await sessions.append(key, Event(author="a", payload=2, time=7.0, id="e"))
            return found.state, found.version, found.events, found.labels

        self.both(call)

    @rule(
        user=users,
        name=names,
        payloads=st.lists(values, max_size=8),
        state=deltas,
        labels=st.dictionaries(labels, words, max_size=2),
        operation_id=operations,
        expected_version=st.none() | st.integers(0, 6),
    )
    def save(
        self, user: str, name: str, payloads: Any, state: Any, labels: Any, **guards: Any
    ) -> None:
        key = self.key(user, name)
        events = [Event(author="a", payload=each, time=1.0, id="s") for each in payloads]

        async def call(sessions: Any) -> Any:
            version = await sessions.save(key, events=events, state=state, labels=labels, **guards)
            # Both clocks differ: put the time back where it can be compared.
            await sessions.append(key, Event(author="a", payload=3, time=8.0, id="w"))
            return version

        self.both(call)

    @rule(user=users, name=names, op=operations)
    def delete(self, user: str, name: str, op: str | None) -> None:
        self.both(lambda sessions: sessions.delete(self.key(user, name), operation_id=op))

    @rule(user=users, name=names, to=names, op=operations)
    def rotate(self, user: str, name: str, to: str, op: str | None) -> None:
        key, new = self.key(user, name), self.key(user, to)
        self.turn += 1
        write = WriteOptions(op or secrets.token_hex(8))
        self.both(lambda room: room._store.run(Rotate(key, new, f"i:{self.turn}", write)))

    @rule(user=users, name=names)
    def touch(self, user: str, name: str) -> None:
        self.both(lambda sessions: sessions.touch(self.key(user, name)))

    @rule(
        user=users,
        name=names,
        last=st.none() | st.integers(0, 8),
        since=st.none() | times,
        after=st.none() | st.integers(0, 12),
    )
    def get(self, user: str, name: str, **filters: Any) -> None:
        key = self.key(user, name)

        async def call(sessions: Any) -> Any:
            found = await sessions.get(key, **filters)
            return found and (
                found.events,
                found.state,
                found.version,
                found.length,
                found.labels,
                found.complete,
            )

        self.both(call)

    @rule(
        user=st.none() | users,
        limit=st.integers(1, 4),
        wanted=st.dictionaries(labels, words, max_size=2),
    )
    def list(self, user: str | None, limit: int, wanted: Any) -> None:
        async def call(sessions: Any) -> Any:
            found, cursor = [], None
            while True:
                page = await sessions.list(
                    self.app, user, labels=wanted, limit=limit, cursor=cursor
                )
                found += [(s.key, s.state, s.length) for s in page.sessions]
                cursor = page.cursor
                if cursor is None:
                    return found if user is not None else sorted(found, key=repr)

        self.both(call)

    @invariant()
    def user_state(self) -> None:
        for user in {key.user for key in self.seen}:
            self.both(lambda sessions, user=user: sessions.user_state(self.app, user))


def test_the_twins_agree(shared_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    class Machine(Twins):
        url = shared_server.url

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples(100),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
