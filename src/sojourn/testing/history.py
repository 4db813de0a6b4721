"""Contract of every store: the history of a conversation."""

# ruff: noqa: D102, PLR2004, S101 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from sojourn.client import Sojourn
from sojourn.errors import InvalidInput
from sojourn.sessions import Event, History


@pytest.mark.anyio
class HistoryContract:
    """Derive from it and give the fixture `store`."""

    @pytest.fixture
    def app(self) -> str:
        """An app of the test's own."""
        return f"app-{secrets.token_hex(6)}"

    @pytest.fixture
    def history(self, store: Sojourn) -> History:
        return store.history(f"user-{secrets.token_hex(4)}")

    async def test_messages_come_back_as_they_were(self, history: History) -> None:
        parts = [{"type": "text", "text": "🦊"}, {"type": "image_url", "image_url": {"url": "x"}}]
        said: list[tuple[str, Any, dict[str, Any]]] = [
            ("system", "Be brief.", {}),
            ("user", parts, {"tokens": 3, "nested": {"a": [1, None]}}),
            ("assistant", "", {"b": True}),
        ]
        for message in said:
            await history.append(*message)
        found = await history.all()
        assert [(m.role, m.content, m.metadata) for m in found] == said
        assert [m.seq for m in found] == [1, 2, 3]
        assert found[1].as_dict() == {"role": "user", "content": parts}

    async def test_what_was_never_said_is_empty(self, history: History) -> None:
        assert await history.all() == []
        assert await history.last(5) == []
        assert await history.pop() is None
        await history.clear()
        assert await history.all() == []

    async def test_the_last_are_the_last_in_order(self, history: History) -> None:
        for n in range(30):
            await history.append("user", n)
        assert [m.content for m in await history.last(3)] == [27, 28, 29]
        assert await history.last(0) == []
        assert len(await history.last(100)) == 30

    async def test_pop_takes_the_last_away(self, history: History) -> None:
        for n in (1, 2, 3):
            await history.append("user", n)
        popped = await history.pop()
        assert popped is not None
        assert popped.content == 3
        await history.append("user", 4)
        assert [m.content for m in await history.all()] == [1, 2, 4]

    async def test_no_message_is_popped_twice(self, history: History) -> None:
        for n in range(8):
            await history.append("user", n)
        popped = await asyncio.gather(*(history.pop() for _ in range(10)))
        contents = [message.content for message in popped if message is not None]
        assert sorted(contents) == list(range(8))

    async def test_clear_leaves_the_session(self, store: Sojourn, history: History) -> None:
        await history.append("user", 1)
        await store.sessions.append(
            history.key, Event(author="user", payload=2, state_delta={"name": "Ada"})
        )
        await history.clear()
        assert await history.all() == []
        await history.append("user", 3)
        assert [m.content for m in await history.all()] == [3]
        found = await store.sessions.get(history.key)
        assert found is not None
        assert found.state == {"name": "Ada"}

    async def test_writers_that_begin_together_lose_nothing(self, history: History) -> None:
        await asyncio.gather(*(history.append("user", n) for n in range(12)))
        assert sorted(m.content for m in await history.all()) == list(range(12))

    async def test_a_repeated_message_is_there_once(self, history: History) -> None:
        for _ in range(3):
            await history.append("user", "once", operation_id="op")
        assert len(await history.all()) == 1

    async def test_a_batch_is_there_in_order_and_once(self, history: History) -> None:
        said = [{"role": "user", "content": n, "metadata": {"n": n}} for n in range(50)]
        await history.extend([])
        assert await history.all() == []
        for _ in range(2):
            await history.extend(said, operation_id="op")
        found = await history.all()
        assert [(m.role, m.content, m.metadata) for m in found] == [
            ("user", n, {"n": n}) for n in range(50)
        ]

    async def test_of_a_batch_all_is_stored_or_nothing(self, history: History) -> None:
        fine = {"role": "user", "content": "x"}
        wrong: list[Any] = [
            {"role": "", "content": "x"},
            {"role": "user", "content": {1, 2}},
            {"role": "user"},
            {"role": "user", "content": "x", "tool_calls": []},
            {"role": "user", "content": "x", "metadata": 3},
            "text",
        ]
        for each in wrong:
            with pytest.raises(InvalidInput):
                await history.extend([fine, each])
        assert await history.all() == []

    async def test_it_is_a_view_of_the_session(self, store: Sojourn, app: str) -> None:
        made = await store.sessions.create(app, "ada")
        history = store.history(made.key)
        await store.sessions.append(made.key, Event(author="agent", payload={"x": 1}, kind="step"))
        await history.append("user", "hello")
        assert [(m.role, m.content) for m in await history.all()] == [
            ("agent", {"x": 1}),
            ("user", "hello"),
        ]
        found = await store.sessions.get(made.key)
        assert found is not None
        assert [event.author for event in found.events] == ["agent", "user"]

    @pytest.mark.parametrize(("role", "content"), [("", "x"), (3, "x"), ("user", {1, 2})])
    async def test_what_is_no_message_is_refused(
        self, history: History, role: Any, content: Any
    ) -> None:
        with pytest.raises(InvalidInput):
            await history.append(role, content)
        assert await history.all() == []
