"""Hypothesis drives threads on a server and in memory, and looks at what is stored behind both.

The checker reads the keys by itself, from docs/storage-format.md, and shares no code with the room:
every object that a checkpoint, a write or another object names is there, none is there that nothing
names, each is counted as often as it is named, and every key expires.
"""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from typing import Any

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import sojourn
from checkpoints.stored_threads import check
from extent import examples
from servers import Server
from sojourn import SojournError
from sojourn.checkpoints import Branch, CheckpointPlace, Leaf, PendingWrite, ThreadKey

threads = st.sampled_from(["t", "t:x"])
spaces = st.sampled_from(["", "sub:1"])
numbers = st.integers(1, 12)
operations = st.none() | st.sampled_from(["op1", "op2"])
texts = st.sampled_from([b'"%b"' % (b"%d" % n * 70) for n in range(6)])
leaves = st.one_of(
    texts.map(Leaf),
    st.tuples(texts, st.just("message"), st.sampled_from(["", "id 1", "id:2"])).map(
        lambda each: Leaf(*each)
    ),
    st.sampled_from([Leaf(b"1"), Leaf(b"\xff\x00*", "msgpack")]),
)
lists = st.lists(leaves, min_size=1, max_size=20).map(Branch)
pairs = lists.map(lambda each: Branch([each, each], b'{"a":{"$ref":0},"b":{"$ref":1}}'))
contents = st.one_of(leaves, lists, pairs)
values = st.dictionaries(st.sampled_from(["a", "b", "*c"]), contents, max_size=3)


class Threads(RuleBasedStateMachine):
    url = ""
    keys: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.namespace = f"m{secrets.token_hex(6)}"
        places = [
            f"{self.url}?thread_ttl=100&namespace={self.namespace}",
            "memory://?thread_ttl=100",
        ]
        self.stores = [sojourn.open(where) for where in places]
        self.client = redis.Redis.from_url(self.url)
        self.last: dict[tuple[str, str], str] = {}

    def teardown(self) -> None:
        for store in self.stores:
            self.loop.run_until_complete(store.close())
        self.loop.close()
        self.client.close()

    def key(self, thread: str) -> ThreadKey:
        return ThreadKey.of("machine", "ada", thread)

    def both(self, call: Any) -> Any:
        """Run a call on both; they must answer alike, error for error."""
        answers = []
        for store in self.stores:
            try:
                answers.append(self.loop.run_until_complete(call(store.threads)))
            except SojournError as error:
                answers.append(type(error))
        real, twin = answers
        assert real == twin
        return real

    @rule(
        thread=threads,
        space=spaces,
        n=numbers,
        given=values,
        op=operations,
        keep=st.none() | st.integers(1, 3),
        child=st.booleans(),
        delta=st.booleans(),
    )
    def put(  # noqa: PLR0917 - drawn
        self,
        thread: str,
        space: str,
        n: int,
        given: Any,
        op: str | None,
        keep: int | None,
        *,
        child: bool,
        delta: bool,
    ) -> None:
        parent = self.last.get((thread, space), "") if child else ""
        if parent >= f"{n:02}":
            parent = ""
        self.both(
            lambda room: room.put(
                self.key(thread),
                f"{n:02}",
                namespace=space,
                parent=parent,
                data={"n": n},
                metadata={"x": [n]},
                values={name: partial(lambda value: value, value) for name, value in given.items()},
                missing=["d"] if delta else [],
                delta=["d"] if delta else [],
                keep=keep,
                title=f"title {n}",
                operation_id=op,
            )
        )
        self.last[thread, space] = f"{n:02}"

    @rule(
        thread=threads,
        space=spaces,
        n=numbers,
        task=st.sampled_from(["", "one", "two three"]),
        given=st.lists(
            st.tuples(st.integers(-2, 2), contents, st.booleans()),
            min_size=1,
            max_size=3,
            unique_by=lambda each: each[0],
        ),
        op=operations,
    )
    def put_writes(  # noqa: PLR0917 - drawn
        self, thread: str, space: str, n: int, task: str, given: Any, op: str | None
    ) -> None:
        writes = [
            PendingWrite(
                task=task, index=index, channel="c", path=f"p {index}", value=value, waits=waits
            )
            for index, value, waits in given
        ]
        self.both(
            lambda room: room.put_writes(
                self.key(thread), f"{n:02}", task, writes, namespace=space, operation_id=op
            )
        )

    @rule(thread=threads, keep=st.integers(1, 2))
    def prune(self, thread: str, keep: int) -> None:
        self.both(lambda room: room.prune(self.key(thread), keep=keep))

    @rule(thread=threads, space=spaces, some=st.sets(numbers, min_size=1, max_size=4))
    def remove(self, thread: str, space: str, some: set[int]) -> None:
        places = [CheckpointPlace(space, f"{n:02}") for n in sorted(some)]
        self.both(lambda room: room.remove(self.key(thread), places))

    @rule(thread=threads, op=operations)
    def delete(self, thread: str, op: str | None) -> None:
        self.both(lambda room: room.delete(self.key(thread), operation_id=op))

    @rule(thread=threads)
    def copy(self, thread: str) -> None:
        self.both(lambda room: room.copy(self.key(thread), self.key(f"{thread} copy")))
        self.both(lambda room: room.delete(self.key(f"{thread} copy")))

    @rule(thread=threads, space=spaces, n=numbers)
    def read(self, thread: str, space: str, n: int) -> None:
        key = self.key(thread)
        self.both(lambda room: room.get(key, namespace=space))
        self.both(lambda room: room.get(key, f"{n:02}", namespace=space))
        self.both(lambda room: room.before(key, ["d"], namespace=space))

    @rule()
    def another_process_goes_on(self) -> None:
        """Nothing is known there of what is on the server."""
        for store in self.stores:
            store.threads._memo = type(store.threads._memo)()

    @invariant()
    def what_is_stored_is_whole(self) -> None:
        check(self.client, self.namespace)
        for thread in ("t", "t:x"):
            places = self.both(lambda room: room.places(self.key(thread)))  # noqa: B023
            self.both(lambda room: room.read(self.key(thread), places))  # noqa: B023


@pytest.mark.parametrize("extra", [""])
def test_threads_on_a_server_are_as_in_memory(shared_server: Server, extra: str) -> None:
    class Machine(Threads):
        url = shared_server.url

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples(24),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
