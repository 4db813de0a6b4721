"""Messages of nothing but text become what other messages become, and all come back."""

from __future__ import annotations

import re
import sys
from collections import deque
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import ormsgpack
import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.store.base import Item
from langgraph.types import Command, Interrupt, Send

from sojourn.checkpoints import Leaf
from sojourn.checkpoints.objects import Builder, digest_of
from sojourn.integrations.langgraph import strict, values
from sojourn.integrations.langgraph.strict import StrictSerializer, strict_serializer

TEXT = "".join(map(chr, range(0x300))) + '"\\/\u2028\u2029\ufeff\U0001f600'
PLAIN: list[Any] = [
    HumanMessage(TEXT),
    AIMessage("", id="a"),
    SystemMessage("x"),
    RemoveMessage("i"),
]
OTHERS: list[Any] = [
    HumanMessage([{"type": "text", "text": "x"}]),
    AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1", "type": "tool_call"}]),
    HumanMessage("x", own=1),
    HumanMessage("x", additional_kwargs={"a": 1}),
    AIMessage("x", name=""),
    SystemMessage("x", name=TEXT),
    *(ToolMessage("x", tool_call_id="1", artifact=each) for each in (None, 0, {}, [])),
    HumanMessage("x", id=""),
]


@pytest.mark.parametrize("message", PLAIN, ids=range(len(PLAIN)))
def test_plain_messages_become_the_same_bytes(
    message: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    serde = JsonPlusSerializer()
    quick = values.to_content(message, serde)
    monkeypatch.setattr(values, "_simple", lambda _: None)
    assert quick == values.to_content(message, serde)


@pytest.mark.parametrize("message", PLAIN + OTHERS, ids=range(len(PLAIN + OTHERS)))
def test_each_comes_back_as_it_was(message: Any) -> None:
    serde = strict_serializer()
    made = values.of_content(values.to_content(message, serde), serde)
    assert made == message
    assert type(made) is type(message)


CHANGES: list[Any] = [
    lambda message: setattr(message, "content", "y"),
    lambda message: setattr(message, "content", ["x"]),
    lambda message: setattr(message, "id", "b"),
    lambda message: setattr(message, "name", "n"),
    lambda message: message.additional_kwargs.update(a=1),
    lambda message: message.response_metadata.update(a=1),
    lambda message: message.tool_calls.append(
        {"name": "f", "args": {}, "id": "1", "type": "tool_call"}
    ),
]


@pytest.mark.parametrize("change", CHANGES, ids=range(len(CHANGES)))
def test_a_message_that_was_changed_in_place_is_stored_as_it_is_now(change: Any) -> None:
    serde, message = strict_serializer(), AIMessage("x", id="a")
    before = values.to_content([message], serde)
    assert values.to_content([message], serde) == before
    change(message)
    (made,) = values.of_content(values.to_content([message], serde), serde)
    assert made.model_dump() == message.model_dump() != AIMessage("x", id="a").model_dump()
    assert values.of_content(before, serde) == [AIMessage("x", id="a")]


def test_what_is_remembered_of_a_leaf_is_of_its_body_kind_and_secret() -> None:
    for body in (b'"x"', b"x" * 10_000):
        found = set[str]()
        for kind in ("", "message", "msgpack"):
            for secret in (b"", b"a" * 16, b"b" * 16):
                for _ in range(2):
                    builder = Builder(secret)
                    token = builder.add(Leaf(body, kind))
                    ((digest, stored),) = builder.objects.items()
                    assert token == digest == digest_of(stored, secret)
                found.add(token)
        assert len(found) == 9


AT = datetime(2026, 11, 30, 6, tzinfo=UTC)
SAFE: list[Any] = [
    *(None, b"\x00", bytearray(b"x"), 2**63, {1: "a"}, {1, 2}, frozenset("a"), deque([1])),
    *(AT, date(2026, 11, 30), timedelta(1, 2, 3)),
    *(
        UUID(int=7),
        Decimal("1.50"),
        ip_network("10.0.0.0/8"),
        Path("/a/b"),
        re.compile("a+", re.IGNORECASE),
    ),
    *(ZoneInfo("Europe/Vienna"), Document("text", id="1"), [Send("node", {"a": Decimal(1)})]),
    *(Interrupt("why?", id="i"), Command(update={"a": {1}}, goto=[Send("b", UUID(int=1))])),
    Item(namespace=("a",), key="k", value={"n": 1}, created_at=AT, updated_at=AT),
    *(*PLAIN, *OTHERS, AIMessage("x", response_metadata={"at": {Decimal(2)}})),
]


@pytest.mark.parametrize("value", SAFE, ids=range(len(SAFE)))
def test_the_strict_serializer_for_old_releases_reads_what_is_safe(value: Any) -> None:
    made = StrictSerializer().loads_typed(JsonPlusSerializer().dumps_typed(value))
    assert repr(made) == repr(value)
    assert type(made) is type(value)


def test_its_list_is_langgraphs() -> None:
    msgpack = pytest.importorskip("langgraph.checkpoint.serde._msgpack")
    theirs = msgpack.SAFE_MSGPACK_TYPES | msgpack.SAFE_MSGPACK_METHODS
    ours = set(strict._MAKERS)
    assert ours <= theirs
    newer = {name[0] for name in theirs - ours} - {"pathlib", "pathlib._local"}
    assert newer <= {"langgraph.types", "langgraph.store.base"}


def packed(code: int, *held: Any) -> Any:
    return ormsgpack.Ext(code, ormsgpack.packb(held, option=ormsgpack.OPT_NON_STR_KEYS))


TRAPS = {
    "function": packed(0, "os", "putenv", "x"),
    "arguments": packed(1, "antigravity", "x", ["a", "b"]),
    "words": packed(2, "antigravity", "x", {"a": 1}),
    "method": packed(3, "datetime", "datetime", "x", "strptime"),
    "other method": packed(3, "antigravity", "x", "a", "b"),
    "old model": packed(4, "antigravity", "x", {"a": 1}),
    "model": packed(5, "antigravity", "x", {"a": 1}, "model_validate_json"),
    "nested": packed(
        5,
        HumanMessage.__module__,
        "HumanMessage",
        {"content": "x", "additional_kwargs": {"k": packed(0, "antigravity", "x", "y")}},
        "model_validate_json",
    ),
    "method of a class": packed(0, "datetime", "datetime.now", None),
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("serde", [StrictSerializer(), strict_serializer()], ids=["ours", "usual"])
def test_a_value_imports_and_calls_nothing_that_it_names(serde: Any, trap: str) -> None:
    before = set(sys.modules)
    with strict.blocked_classes() as blocked:
        body = ormsgpack.packb(TRAPS[trap], option=ormsgpack.OPT_NON_STR_KEYS)
        made = serde.loads_typed(("msgpack", body))
    assert "antigravity" not in set(sys.modules) - before
    assert trap == "nested" or isinstance(made, str | list | dict | None)
    assert blocked


def test_json_and_pickle_make_no_objects() -> None:
    serde = StrictSerializer()
    trap = b'{"lc": 2, "type": "constructor", "id": ["antigravity", "x"], "args": []}'
    assert serde.loads_typed(("json", trap))["id"] == ["antigravity", "x"]
    assert "antigravity" not in sys.modules
    with pytest.raises(NotImplementedError):
        serde.loads_typed(("pickle", b"\x80\x04."))


class Unlisted(HumanMessage):
    """A class that LangGraph does not list."""


def test_a_class_is_made_when_it_was_allowed() -> None:
    stored = JsonPlusSerializer().dumps_typed([Unlisted("x")])
    plain = StrictSerializer().loads_typed(stored)
    assert (type(plain[0]), plain[0]["content"]) == (dict, "x")
    allowed = StrictSerializer().with_msgpack_allowlist([Unlisted])
    assert isinstance(allowed.loads_typed(stored)[0], Unlisted)
