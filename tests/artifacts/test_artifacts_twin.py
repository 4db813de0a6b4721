"""Hypothesis drives the artifacts on a server and their twin in memory, and compares."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import sojourn
from extent import examples
from servers import Server
from sojourn import SessionKey, SojournError, UserKey

sessions = st.sampled_from(["", "s", "s:a"])
names = st.sampled_from(["a", "a:data:op1", "user:a"])
sizes = st.sampled_from([0, 1, 9, 10, 11, 30, 35, 90])
operations = st.none() | st.sampled_from(["op1", "op2", "op:3"])
versions = st.none() | st.integers(-1, 4)
metadata = st.none() | st.dictionaries(st.text(max_size=2), st.none() | st.integers(), max_size=2)


class Twins(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.user = secrets.token_hex(6)
        self.stores = [sojourn.open(where, max_artifact_bytes=80) for where in self.places()]
        self.turn = 0

    def places(self) -> list[str]:
        return [f"{self.url}?artifact_ttl=100", "memory://"]

    def teardown(self) -> None:
        for store in self.stores:
            self.loop.run_until_complete(store.close())
        self.loop.close()

    def owner(self, session: str) -> SessionKey | UserKey:
        if session:
            return SessionKey.of("twin", self.user, session)
        return UserKey.of("twin", self.user)

    def both(self, call: Any) -> None:
        """Run a call on both; they must answer alike, error for error."""
        answers = []
        for store in self.stores:
            try:
                answers.append(self.loop.run_until_complete(call(store.artifacts)))
            except SojournError as error:
                answers.append((type(error), getattr(error, "size", None)))
        real, twin = answers
        assert real == twin

    @rule(session=sessions, name=names, size=sizes, about=metadata, op=operations)
    def save(self, session: str, name: str, size: int, about: Any, op: str | None) -> None:
        self.turn += 1
        data = bytes([self.turn % 256]) * size
        self.both(
            lambda room: room.save(
                *(self.owner(session), name, data),
                mime_type=f"a/{size}",
                metadata=about,
                created=float(self.turn),
                operation_id=op,
            )
        )

    @rule()
    def reopen_for_longer(self) -> None:
        """Lifetimes of all that is there have to change."""
        ttl = 1000 * (self.turn + 1)
        self.loop.run_until_complete(self.stores[0].close())
        self.stores[0] = sojourn.open(self.url, artifact_ttl=ttl, max_artifact_bytes=80)

    @rule(session=sessions, name=names, version=versions)
    def load(self, session: str, name: str, version: int | None) -> None:
        self.both(lambda room: room.load(self.owner(session), name, version=version))
        self.both(lambda room: room.find(self.owner(session), name, version=version))

    @rule(session=sessions, name=names, op=operations)
    def delete(self, session: str, name: str, op: str | None) -> None:
        self.both(lambda room: room.delete(self.owner(session), name, operation_id=op))

    @rule(session=sessions, to=sessions)
    def move(self, session: str, to: str) -> None:
        self.both(lambda room: room.move(self.owner(session), self.owner(to)))

    @rule(session=sessions, name=names)
    def versions(self, session: str, name: str) -> None:
        self.both(lambda room: room.versions(self.owner(session), name))

    @invariant()
    def listed(self) -> None:
        for session in ("", "s", "s:a"):
            self.both(lambda room, session=session: room.names(self.owner(session)))


def test_the_twins_agree(shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sojourn.artifacts.records.CHUNK", 10)

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
