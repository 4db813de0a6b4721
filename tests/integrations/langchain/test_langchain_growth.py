"""Messages and answers that a newer langchain-core wrote: served without what this one cannot read.

Nothing here knows a new member by name: each is planted everywhere in messages of every class.
"""

from __future__ import annotations

import copy
import json
import logging
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, Generation
from langchain_kit import OWN, bare, full

from sojourn.client import Sojourn
from sojourn.integrations.langchain import ChatMessageHistory, KeyValueStore, LLMCache
from sojourn.integrations.langchain.messages import dump, load, load_readable, to_stored
from sojourn.telemetry import newer

NEW = "brandNew"
WRONG: list[Any] = ["text", 7, True, None, {NEW: 1}, [NEW], [{NEW: 1}], [7, None]]

every_class = pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)


def fields_of(message: BaseMessage) -> dict[str, Any]:
    """A message as it is stored."""
    plain: dict[str, Any] = json.loads(json.dumps(dump(message)))
    return plain


def served(fields: dict[str, Any], role: str = "critic") -> BaseMessage:
    before = copy.deepcopy(fields)
    found = load_readable(fields, role)
    assert fields == before
    return found


def reads(fields: dict[str, Any]) -> bool:
    """Whether it can be read with nothing left out."""
    try:
        load(fields)
    except ValueError:
        return False
    return True


def members(message: BaseMessage) -> dict[str, Any]:
    return {**vars(message), **(message.model_extra or {})}


@every_class
def test_an_unknown_member_stays_beside_the_others(kind: type[BaseMessage]) -> None:
    for message in (full(kind), bare(kind)):
        found = served({**fields_of(message), NEW: {"deep": [1]}})
        assert type(found) is kind
        assert members(found) == {**members(message), NEW: {"deep": [1]}}


@every_class
def test_an_unknown_member_of_what_it_holds_is_passed_over(kind: type[BaseMessage]) -> None:
    message = full(kind)
    fields = fields_of(message)
    for name in kind.model_fields.keys() & fields.keys() - {"content"}:
        value = fields[name]
        inner = value if isinstance(value, list) else [value]
        for n, each in enumerate(inner):
            if isinstance(each, dict):
                changed = copy.deepcopy(fields)
                place = changed[name][n] if isinstance(value, list) else changed[name]
                place |= {NEW: 1, "another": 2}
                found = served(changed)
                assert type(found) is kind
                if not reads(changed):
                    assert members(found) == members(message), name
                found_others, others = members(found), members(message)
                assert {**found_others, name: 0} == {**others, name: 0}, name


@every_class
def test_a_field_of_another_type_is_left_out_alone(kind: type[BaseMessage]) -> None:
    fields = fields_of(full(kind))
    needed = {name for name, field in kind.model_fields.items() if field.is_required()}
    for name in kind.model_fields.keys() - {"type", "content"}:
        for value in WRONG:
            changed = {**fields, name: value}
            found = served(changed)
            if reads(changed):
                assert found == load(changed)
            elif name in needed or (kind is RemoveMessage and name == "id"):
                assert type(found) is ChatMessage
                assert (found.content, found.role) == (fields["content"], "critic")
            else:
                assert type(found) is kind
                rest = {key: fields[key] for key in fields if key != name}
                assert members(found) == members(load(rest)), (name, value)


@pytest.mark.parametrize(
    "kind", [kind for kind in OWN if kind is not RemoveMessage], ids=lambda kind: kind.__name__
)
def test_content_of_another_type_is_its_json(kind: type[BaseMessage]) -> None:
    fields = fields_of(full(kind))
    for value, text in [
        (7, "7"),
        (None, "null"),
        ({NEW: [1]}, '{"brandNew":[1]}'),
        (["a", 7, {"type": NEW}, [1]], ["a", "7", {"type": NEW}, "[1]"]),
    ]:
        found = served({**fields, "content": value})
        assert type(found) is kind
        assert members(found) == {**members(load(fields)), "content": text}


@pytest.mark.parametrize("type_", ["robot", "os.system", ["human"], None, 7, {"lc": 1}])
@pytest.mark.parametrize(
    ("role", "kind"),
    [
        ("user", HumanMessage),
        ("assistant", AIMessage),
        ("system", SystemMessage),
        ("tool", ChatMessage),
        ("critic", ChatMessage),
    ],
)
def test_a_message_of_an_unknown_class_is_that_of_its_role(
    type_: Any, role: str, kind: type[BaseMessage]
) -> None:
    fields = {**fields_of(bare(HumanMessage)), "content": "hi", "id": "m", "type": type_, NEW: 1}
    found = served({**fields, "name": 7, "additional_kwargs": {"a": 1}}, role)
    assert type(found) is kind
    assert (found.content, found.id, found.name) == ("hi", "m", None)
    assert found.additional_kwargs == {"a": 1}
    assert found.type == kind.model_fields["type"].default
    if isinstance(found, ChatMessage):
        assert found.role == role


@pytest.mark.parametrize("fields", [{}, {"content": "x"}, {"type": "tool", "content": "x"}])
def test_a_message_that_lacks_what_it_needs_is_served(fields: dict[str, Any]) -> None:
    assert served(fields, "user") == HumanMessage(fields.get("content", ""))


def test_a_call_stays_a_pair_with_its_response() -> None:
    call = {"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}
    unknown = {**call, NEW: 1, "another": [2]}
    broken = {"name": "g", NEW: 1}
    found = served({"type": "ai", "content": "", "tool_calls": [unknown, broken], "name": 7})
    assert isinstance(found, AIMessage)
    assert found.tool_calls == [call]
    answer = served({"type": "tool", "content": "x", "tool_call_id": "c", "status": NEW})
    assert isinstance(answer, ToolMessage)
    assert (answer.tool_call_id, answer.status) == ("c", "success")


async def plant(store: Sojourn, message: BaseMessage, **changed: Any) -> None:
    stored = to_stored(message)
    fields = {**stored["metadata"]["langchain"], **changed}
    await store.history("s").append(stored["role"], stored["content"], {"langchain": fields})


async def test_a_history_has_every_message_in_its_place(store: Sojourn) -> None:
    told: list[object] = []
    store.on_corrupt(told.append)
    history = ChatMessageHistory("s", store)
    await history.aadd_messages([HumanMessage("one")])
    await plant(store, AIMessage("two"), usage_metadata={"input_tokens": {}}, type="ai")
    await plant(store, HumanMessage("three"), type="robot")
    await plant(store, ToolMessage("four", tool_call_id="c"), tool_call_id=None)
    await history.aadd_messages([HumanMessage("five")])
    before, stored = store.stats().newer, await store.history("s").all()
    expected = [
        HumanMessage("one"),
        AIMessage("two"),
        HumanMessage("three"),
        ChatMessage("four", role="tool"),
        HumanMessage("five"),
    ]
    for _ in range(2):
        assert await history.aget_messages() == expected
    assert store.stats().newer == before + 6
    assert await store.history("s").all() == stored
    assert (told, await store.admin.quarantined("history", "s")) == ([], [])
    read = await store.sessions.get(history.key)
    assert read is not None
    assert read.complete


async def test_an_id_may_come_twice(store: Sojourn) -> None:
    """LangChain's ids are those of messages, chosen by callers; events have ids of their own."""
    history = ChatMessageHistory("s", store)
    twice = HumanMessage("one", id="m")
    await history.aadd_messages([twice, twice])
    await history.aadd_messages([HumanMessage("two", id="m")])
    assert await history.aget_messages() == [twice, twice, HumanMessage("two", id="m")]
    read = await store.sessions.get(history.key)
    assert read is not None
    assert len({event.id for event in read.events} - {"m"}) == 3


def test_names_are_logged_once_a_day_and_never_content(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = newer.NewerRecords()
    for module in ("pruning", "langchain.messages", "langchain.generations"):
        monkeypatch.setattr(f"sojourn.integrations.{module}.NEWER", made)
    call = {"name": "SECRET", "args": {"SECRET": "SECRET"}, "id": "SECRET", NEW: "SECRET"}
    with caplog.at_level(logging.WARNING, "sojourn"):
        for _ in range(2):
            served({"type": "ai", "content": "SECRET", "tool_calls": [call], "id": ["SECRET"]})
            served({"type": "SECRET", "content": ["SECRET", 7], "response_metadata": "SECRET"})
    assert len(caplog.records) == 2
    assert made.counts() == {"A LangChain message": 4}
    for name in (f"'tool_calls … {NEW}'", "'id'", "'type'", "'content'", "'response_metadata'"):
        assert name in caplog.text
    assert "SECRET" not in caplog.text


async def cached(store: Sojourn, kept: Any) -> list[Generation] | None:
    name = await LLMCache(store)._name("p", "m")
    await store.cache.put(name, kept)
    return await LLMCache(store).alookup("p", "m")


async def test_a_cached_answer_is_given_without_members_that_are_unknown(store: Sojourn) -> None:
    call = {"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}
    message = {"type": "ai", "content": "x", "tool_calls": [{**call, NEW: 1}]}
    before = store.stats().newer
    assert await cached(store, [{"class": "Generation", "text": "x", NEW: 1}]) == [
        Generation(text="x")
    ]
    assert await cached(
        store, [{"class": "ChatGeneration", "text": "x", "message": message, NEW: 1}]
    ) == [ChatGeneration(message=AIMessage("x", tool_calls=[call]))]
    assert store.stats().newer == before + 3


@pytest.mark.parametrize(
    "changed",
    [
        {"class": NEW},
        {"generation_info": 7},
        {"message": {"type": "robot", "content": "x"}},
        {"message": {"type": "ai", "content": "x", "tool_calls": [{"name": "f"}]}},
        {"message": {"type": "ai", "content": "x", "usage_metadata": 7}},
    ],
)
async def test_a_cached_answer_of_which_something_is_missing_is_no_answer(
    store: Sojourn, changed: dict[str, Any]
) -> None:
    answer = {"class": "ChatGeneration", "text": "x", "message": {"type": "ai", "content": "x"}}
    assert await cached(store, [answer]) is not None
    assert await cached(store, [{**answer, **changed}]) is None


async def test_a_value_with_a_mark_that_is_unknown_is_itself(store: Sojourn) -> None:
    values = KeyValueStore[Any]("values", store)
    scope = store.memory.knowledge("values")
    for value in ({"$later": "x"}, {"$bytes": "aGk=", NEW: 1}, {NEW: {"$value": 1}}):
        await scope.put("k", value)
        assert await values.amget(["k"]) == [value]
