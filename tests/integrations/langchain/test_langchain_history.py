"""A chat history of LangChain's is a view of a session."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from secrets import token_hex
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_kit import everything
from pydantic import BaseModel

import sojourn
from servers import Server
from sojourn import Event, Message, SessionKey, TooLarge
from sojourn.client import Sojourn
from sojourn.integrations.langchain import ChatMessageHistory, fitting
from sojourn.integrations.langchain.fitting import _size  # pyright: ignore[reportPrivateUsage]


@pytest.fixture
def session() -> str:
    return f"s-{token_hex(4)}"


@pytest.fixture
def history(store: Sojourn, session: str) -> ChatMessageHistory:
    return ChatMessageHistory(session, store)


async def test_all_messages_come_back_in_order(
    store: Sojourn, session: str, history: ChatMessageHistory
) -> None:
    assert await history.aget_messages() == []
    await history.aadd_messages(everything())
    await history.aadd_messages([HumanMessage("more")])
    again = ChatMessageHistory(session, store)
    assert await again.aget_messages() == [*everything(), HumanMessage("more")]


def test_all_messages_come_back_without_a_loop(store_without_a_loop: Sojourn, session: str) -> None:
    history = ChatMessageHistory(session, store_without_a_loop)
    assert history.messages == []
    history.add_messages(everything())
    assert history.messages == everything()
    history.clear()
    assert history.messages == []
    history.add_user_message("hi")
    history.add_ai_message("hello")
    assert str(history) == "Human: hi\nAI: hello"


async def test_clear_leaves_the_session(store: Sojourn, history: ChatMessageHistory) -> None:
    await history.aclear()
    await history.aadd_messages([HumanMessage("one")])
    await store.sessions.append(
        history.key, Event(author="user", payload="two", state_delta={"k": 1})
    )
    await history.aclear()
    assert await history.aget_messages() == []
    await history.aadd_messages([HumanMessage("three")])
    assert await history.aget_messages() == [HumanMessage("three")]
    found = await store.sessions.get(history.key)
    assert found is not None
    assert found.state == {"k": 1}


async def test_others_read_role_and_content(
    store: Sojourn, session: str, history: ChatMessageHistory
) -> None:
    call = {"name": "f", "args": {}, "id": "c", "type": "tool_call"}
    await history.aadd_messages(
        [
            SystemMessage("Be brief."),
            HumanMessage([{"type": "text", "text": "hi"}]),
            AIMessage("", tool_calls=[call]),
            ToolMessage("3", tool_call_id="c"),
            ChatMessage("no", role="critic"),
        ]
    )
    found = await store.history(session).all()
    assert [(m.role, m.content) for m in found] == [
        ("system", "Be brief."),
        ("user", [{"type": "text", "text": "hi"}]),
        ("assistant", ""),
        ("tool", "3"),
        ("critic", "no"),
    ]
    assert found[2].metadata == {"langchain": {"type": "ai", "tool_calls": [call]}}


async def test_what_others_wrote_is_seen(
    store: Sojourn, session: str, history: ChatMessageHistory
) -> None:
    await store.history(session).extend(
        [
            {"role": "user", "content": [{"type": "text", "text": "hi"}], "metadata": {"x": 1}},
            {"role": "assistant", "content": "hello"},
            {"role": "system", "content": {"a": 1}},
            {"role": "planner", "content": [1]},
        ]
    )
    found = await history.aget_messages()
    said: list[Message] = await store.history(session).all()
    assert found == [
        HumanMessage([{"type": "text", "text": "hi"}], id=said[0].id),
        AIMessage("hello", id=said[1].id),
        SystemMessage('{"a":1}', id=said[2].id),
        ChatMessage("[1]", role="planner", id=said[3].id),
    ]


async def test_messages_belong_to_whoever_read_them(history: ChatMessageHistory) -> None:
    await history.aadd_messages([HumanMessage(["a"])])
    (first,) = await history.aget_messages()
    first.content.append("b")  # type: ignore[union-attr]
    assert await history.aget_messages() == [HumanMessage(["a"])]


class Weather(BaseModel):
    city: str
    at: dt.datetime


class Loud(AIMessage):
    volume: int = 11


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]


WHEN = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
LOGPROBS = {"logprobs": {"content": [{"token": "a", "logprob": -math.inf}]}}
HARD: list[tuple[BaseMessage, str, Any]] = [
    (AIMessage("said", response_metadata=LOGPROBS), "response_metadata",
     {"logprobs": {"content": [{"token": "a", "logprob": "-Infinity"}]}}),
    (AIMessage("said", additional_kwargs={"parsed": Weather(city="Lima", at=WHEN)}),
     "additional_kwargs", {"parsed": {"city": "Lima", "at": "2026-01-02T00:00:00Z"}}),
    (ToolMessage("said", tool_call_id="1", artifact=Weather(city="Lima", at=WHEN)), "artifact",
     {"city": "Lima", "at": "2026-01-02T00:00:00Z"}),
    (ToolMessage("said", tool_call_id="1", artifact=b"\xff\xfe"), "artifact", "__4="),
    (ToolMessage("said", tool_call_id="1", artifact=(1, {2: "x"})), "artifact", [1, {"2": "x"}]),
    (ToolMessage("said", tool_call_id="1", artifact={"k": Hostile()}), "artifact", None),
    (HumanMessage("said", additional_kwargs={"half": "\ud83d"}), "additional_kwargs",
     {"half": "\ufffd"}),
    (Loud("said"), "volume", None),
    (BaseMessage(content="said", type="odd"), "", None),
]  # fmt: skip


@pytest.mark.parametrize(("hard", "name", "stored"), HARD, ids=range(len(HARD)))
async def test_what_was_said_is_stored_whatever_a_message_carries(  # noqa: PLR0917 - fixtures
    store: Sojourn,
    history: ChatMessageHistory,
    caplog: pytest.LogCaptureFixture,
    hard: BaseMessage,
    name: str,
    stored: Any,
) -> None:
    await history.aadd_messages([HumanMessage("asked"), hard])
    asked, found = await history.aget_messages()
    assert (asked.content, found.content) == ("asked", "said")
    if stored is not None:
        assert type(found) is type(hard)
        assert getattr(found, name) == stored
    marks = [
        each.metadata.get("langchain_changed") for each in await store.history(history.key).all()
    ]
    assert marks == [None, [name] if name else []]
    (warning,) = [each.message for each in caplog.records if each.name == "sojourn.langchain"]
    assert name in warning
    assert "said" not in warning


BIG = "x" * (9 * 2**20)
IMAGE = {"type": "image", "base64": BIG, "mime_type": "image/png"}
SAYING = {"type": "text", "text": "said"}
CALL = {"name": "f", "args": {"file": BIG, "n": 1}, "id": "c", "type": "tool_call"}

OVER: list[tuple[BaseMessage, str]] = [
    (ToolMessage("said", tool_call_id="1", artifact=BIG), "artifact"),
    (ToolMessage("said", tool_call_id="1", artifact=BIG.encode()), "artifact"),
    (ToolMessage("said", tool_call_id="1", artifact=list(range(2**21))), "artifact"),
    (AIMessage("said", additional_kwargs={"parsed": {"rows": [BIG]}}), "additional_kwargs"),
    (AIMessage("said", response_metadata={"logprobs": [BIG]}), "response_metadata"),
    (AIMessage("said", tool_calls=[CALL]), "tool_calls"),  # type: ignore[list-item]
    (HumanMessage([SAYING, IMAGE]), "content"),  # type: ignore[list-item]
    (HumanMessage("said", of_their_own=BIG), "of_their_own"),  # type: ignore[call-arg]
]


@pytest.mark.parametrize(("hard", "name"), OVER, ids=range(len(OVER)))
async def test_what_was_said_is_stored_without_what_is_over_the_cap(
    store: Sojourn,
    history: ChatMessageHistory,
    caplog: pytest.LogCaptureFixture,
    hard: BaseMessage,
    name: str,
) -> None:
    await history.aadd_messages([HumanMessage("asked"), hard])
    asked, found = await history.aget_messages()
    assert (asked.content, type(found)) == ("asked", type(hard))
    if isinstance(found.content, list):
        assert found.content[0] == SAYING
        assert found.content[1] == {
            "type": "text",
            "text": f"[image of {len(BIG) + 52:,} bytes: not stored, over the cap]",
        }
    else:
        assert found.content == "said"
    if isinstance(found, AIMessage) and found.tool_calls:
        assert [(each["name"], each["id"]) for each in found.tool_calls] == [("f", "c")]
        assert "over the cap" in found.tool_calls[0]["args"]["not_stored"]
    marks = [
        each.metadata.get("langchain_changed") for each in await store.history(history.key).all()
    ]
    assert marks == [None, [name]]
    warning = [each.message for each in caplog.records if each.name == "sojourn.langchain"][-1]
    assert name in warning
    assert "max_event_bytes" in warning
    assert "said" not in warning
    assert hard == hard.model_copy()  # what the caller has is as it was
    if isinstance(hard, AIMessage) and hard.tool_calls:
        assert hard.tool_calls[0]["args"] == CALL["args"]


async def test_only_what_has_to_go_is_left_out(store: Sojourn, session: str) -> None:
    history = ChatMessageHistory(session, store)
    half = "y" * (5 * 2**20)
    said = AIMessage("said", additional_kwargs={"a": half}, response_metadata={"b": half + "y"})
    await history.aadd_messages([said])
    (found,) = await history.aget_messages()
    assert found.additional_kwargs == {"a": half}
    assert found.response_metadata == {}


async def test_a_message_of_many_parts_is_not_measured_for_each_of_them(
    history: ChatMessageHistory, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = list[int]()

    def measure(value: object) -> int:
        size = _size(value)
        if isinstance(value, dict) and "metadata" in value:
            measured.append(size)
        return size

    monkeypatch.setattr(fitting, "_size", measure)
    image = {"type": "image", "base64": "x" * 10_000, "mime_type": "image/png"}
    parts = [SAYING, *(dict(image) for _ in range(1000))]
    await history.aadd_messages([HumanMessage(parts)])  # type: ignore[arg-type]
    (found,) = await history.aget_messages()
    kept = [part for part in found.content if part == image]
    assert len(measured) <= 5
    assert (measured[0] - measured[-1]) // 10_000 <= 1000 - len(kept)
    assert 0 <= 2**23 - 1024 - measured[-1] <= 10_100  # one more would be over the cap
    assert found.content[0] == SAYING
    assert len(caplog.records[-1].getMessage()) < 2000


async def test_a_message_of_too_many_members_is_stored_without_some_of_its_parts(
    history: ChatMessageHistory,
) -> None:
    table = {"type": "table", "rows": list(range(1000))}
    parts = [SAYING, *(dict(table) for _ in range(150))]
    await history.aadd_messages([HumanMessage(parts)])  # type: ignore[arg-type]
    (found,) = await history.aget_messages()
    assert found.content[0] == SAYING
    assert sum(part == table for part in found.content) >= 50


async def test_what_is_just_below_the_cap_is_stored_whole(
    store: Sojourn, session: str, caplog: pytest.LogCaptureFixture
) -> None:
    history = ChatMessageHistory(session, store)
    for below in (600, 900, 5000):
        said = HumanMessage("said", additional_kwargs={"a": "y" * (2**23 - below)})
        await history.aadd_messages([said])
        assert (await history.aget_messages())[-1] == said
    assert not caplog.records


async def test_a_role_longer_than_an_author_is_cut_for_others_only(
    store: Sojourn, history: ChatMessageHistory
) -> None:
    await history.aadd_messages([ChatMessage("said", role="r" * 600)])
    assert await history.aget_messages() == [ChatMessage("said", role="r" * 600)]
    assert [each.role for each in await store.history(history.key).all()] == ["r" * 512]


async def test_a_turn_of_a_runnable_is_stored_whatever_its_answer_carries(
    store: Sojourn, session: str
) -> None:
    chain = RunnableWithMessageHistory(
        RunnableLambda(lambda _: AIMessage("said", response_metadata=LOGPROBS)),
        lambda session: ChatMessageHistory(session, store),
        input_messages_key="input",
        history_messages_key="past",
    )
    config: Any = {"configurable": {"session_id": session}}
    assert (await chain.ainvoke({"input": "asked"}, config)).content == "said"
    found = await ChatMessageHistory(session, store).aget_messages()
    assert [each.content for each in found] == ["asked", "said"]


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"leaf": 1}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("levels", [*range(248, 258), 600, 3000])
async def test_what_is_nested_too_deeply_takes_no_turn_along(
    history: ChatMessageHistory, levels: int
) -> None:
    """Each around the cap on levels: that of a field, of a message, and of the row it is in."""
    deep = nested(levels)
    calls: list[Any] = [{"name": "f", "args": deep, "id": "1", "type": "tool_call"}]
    given = [
        AIMessage("one", additional_kwargs={"k": deep}),
        AIMessage("two", tool_calls=calls),
        ToolMessage("three", tool_call_id="1", artifact=deep),
        HumanMessage(["four", deep]),
        HumanMessage("five", additional_kwargs={"many": [0] * 100_001, "long": 10**600}),
    ]
    await history.aadd_messages(given)
    found = await history.aget_messages()
    assert [type(each) for each in found] == [type(each) for each in given]
    assert [each.content for each in found[:3]] == ["one", "two", "three"]
    assert (found[3].content[0], found[4].content) == ("four", "five")


async def test_a_batch_is_stored_whole_or_not_at_all(history: ChatMessageHistory) -> None:
    with pytest.raises(TooLarge):
        await history.aadd_messages([HumanMessage("fine"), HumanMessage("x" * 2**23)])
    assert await history.aget_messages() == []


async def test_a_batch_is_one_round_trip(server_url: str) -> None:
    async with sojourn.open(server_url) as store:
        history = ChatMessageHistory("s", store)
        await history.aadd_messages([HumanMessage("first")])
        calls: list[str] = []
        store.on_call(lambda fact: calls.append(fact.name))
        await history.aadd_messages([HumanMessage(str(n)) for n in range(100)])
        assert calls == ["sessions.append"]
        assert len(await history.aget_messages()) == 101


async def test_nothing_to_add_asks_nobody() -> None:
    async with sojourn.open("redis://127.0.0.1:1") as store:
        await ChatMessageHistory("s", store).aadd_messages([])


async def test_the_last_of_a_thousand(store: Sojourn, session: str) -> None:
    messages: list[BaseMessage] = [HumanMessage(str(n), id=str(n)) for n in range(1000)]
    await ChatMessageHistory(session, store).aadd_messages(messages)
    assert await ChatMessageHistory(session, store, last=20).aget_messages() == messages[-20:]
    assert await ChatMessageHistory(session, store).aget_messages() == messages


async def test_a_session_of_a_user_may_be_given(store: Sojourn) -> None:
    made = await store.sessions.create(f"app-{token_hex(4)}", "ada")
    history = ChatMessageHistory(made.key, store)
    await history.aadd_messages([HumanMessage("hi")])
    found = await store.sessions.get(made.key)
    assert found is not None
    assert [event.author for event in found.events] == ["user"]
    named = ChatMessageHistory("s", store, app="shop", ttl=60)
    assert named.key == SessionKey.of("shop", "s", "s")
    await named.aadd_messages([HumanMessage("hi")])
    found = await store.sessions.get(named.key)
    assert found is not None
    assert found.ttl == 60


async def test_sync_calls_beside_a_running_loop(history: ChatMessageHistory) -> None:
    await history.aadd_messages([HumanMessage("one")])
    await asyncio.to_thread(history.add_messages, [HumanMessage("two")])
    history.add_messages([HumanMessage("three")])  # as in a notebook's cell
    assert await history.aget_messages() == history.messages
    assert [message.content for message in history.messages] == ["one", "two", "three"]


def echo(messages: Any) -> AIMessage:
    """How many messages the model was given, and the last."""
    said = messages.to_messages()
    return AIMessage(f"{len(said)}: {said[-1].content}", id="a")


def chain(store: Sojourn, session: str) -> RunnableWithMessageHistory:
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("past"), ("human", "{input}")])
    return RunnableWithMessageHistory(
        prompt | RunnableLambda(echo),
        lambda session_id: ChatMessageHistory(session_id, store),
        input_messages_key="input",
        history_messages_key="past",
    ).with_config(configurable={"session_id": session})  # type: ignore[return-value]


SAID = [
    HumanMessage("hi"),
    AIMessage("1: hi", id="a"),
    HumanMessage("again"),
    AIMessage("3: again", id="a"),
]


@pytest.mark.filterwarnings("ignore:.*RunnableWithMessageHistory")
def test_a_runnable_remembers(store_without_a_loop: Sojourn, session: str) -> None:
    store = store_without_a_loop
    for text in ("hi", "again"):
        answer = chain(store, session).invoke({"input": text})
    assert answer.content == "3: again"
    assert ChatMessageHistory(session, store).messages == SAID


@pytest.mark.filterwarnings("ignore:.*RunnableWithMessageHistory")
async def test_an_async_runnable_remembers(store: Sojourn, session: str) -> None:
    for text in ("hi", "again"):
        answer = await chain(store, session).ainvoke({"input": text})
    assert answer.content == "3: again"
    assert await ChatMessageHistory(session, store).aget_messages() == SAID


@pytest.mark.filterwarnings("ignore:.*RunnableWithMessageHistory")
async def test_a_runnable_over_messages_alone(store: Sojourn, session: str) -> None:
    runnable = RunnableWithMessageHistory(
        RunnableLambda(lambda messages: AIMessage(str(len(messages)))),
        lambda session_id: ChatMessageHistory(session_id, store),
    )
    config: Any = {"configurable": {"session_id": session}}
    await runnable.ainvoke([HumanMessage("a")], config)
    await asyncio.to_thread(runnable.invoke, [HumanMessage("b")], config)
    found = await ChatMessageHistory(session, store).aget_messages()
    assert [message.content for message in found] == ["a", "1", "b", "3"]


async def test_a_lent_client_stays_open(shared_server: Server, session: str) -> None:
    with shared_server.client() as client:
        history = ChatMessageHistory(session, client, namespace="lent")
        await history.aadd_messages([HumanMessage("hi")])
        await history.aclose()
        assert client.ping()
        assert client.exists(f"lent:session:{{history:{session}}}:{session}")
