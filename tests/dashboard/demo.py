"""A shop's agent as it might have been used today: what the dashboard's tests and pictures show."""

from __future__ import annotations

import asyncio
import base64
import operator
import struct
import time
import zlib
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

import sojourn
from sojourn import Event

APP = "shop"
USER = "ada"
SESSION = "8e42c1f0a7"
THREAD = "refund-10442"
USERS = ["ada", "grace.hopper@example.com", "linus", "marie", ""]

_TITLES = [
    ("Refund for order 10442", "done", {"flow": "refund", "model": "gemini-2.5"}),
    ("Which tea goes with dark chocolate?", "active", {"flow": "advice"}),
    ("Change the delivery address", "done", {"flow": "delivery"}),
    ("", "active", {}),
    ("Invoice is missing the VAT number", "waiting", {"flow": "billing", "model": "gemini-2.5"}),
    ("Plan a tasting for twelve people", "active", {"flow": "advice", "model": "gpt-4.1"}),
    ("Parcel has not arrived", "failed", {"flow": "delivery"}),
    ("", "done", {"flow": "advice"}),
]
_SUMMARY = "Charged twice for one order; the second charge was returned, and it was said when."


def png(width: int, height: int) -> bytes:
    """A small picture: a quiet gradient."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    rows = b"".join(
        b"\0"
        + bytes(
            v for x in range(width) for v in (60 + y * 90 // height, 110 + x * 90 // width, 160)
        )
        for y in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def adk(author: str, at: float, *parts: dict[str, Any], **members: Any) -> Event:
    """An event as ADK's session service stores it."""
    delta = members.pop("state_delta", {})
    role = "user" if author == "user" else "model"
    payload = {
        "invocation_id": "e-91b2",
        "content": {"role": role, "parts": list(parts)},
        **members,
    }
    return Event(author=author, payload=payload, kind="adk", time=at, state_delta=delta)


def _usage(given: int, made: int) -> dict[str, int]:
    return {
        "prompt_token_count": given,
        "candidates_token_count": made,
        "total_token_count": given + made,
    }


def _conversation(start: float) -> list[Event]:
    picture = base64.b64encode(png(96, 60)).decode()
    order = {"order": "10442", "items": [{"name": "Sencha", "grams": 100, "price": 14.5}] * 2}
    charges = [{"id": "ch_1", "amount": 29.0}, {"id": "ch_2", "amount": 29.0, "duplicate": True}]
    call = {"function_call": {"id": "c1", "name": "find_order", "args": {"order": "10442"}}}
    result = {
        "function_response": {
            "id": "c1",
            "name": "find_order",
            "response": {**order, "charges": charges},
        }
    }
    refund = {"function_call": {"id": "c2", "name": "refund", "args": {"charge": "ch_2"}}}
    refunded = {"function_response": {"id": "c2", "name": "refund", "response": {"ok": True}}}
    return [
        adk(
            "user",
            start,
            {"text": "I was charged twice for order 10442. This is what my bank shows."},
            {"inline_data": {"mime_type": "image/png", "data": picture}},
        ),
        adk(
            "support",
            start + 1.2,
            {"text": "Look at the order and its charges first.", "thought": True},
            call,
            usage_metadata=_usage(812, 41),
        ),
        adk("support", start + 1.9, result, state_delta={"order": "10442", "charges": 2}),
        adk("support", start + 3.1, refund, usage_metadata=_usage(1104, 28)),
        adk("support", start + 4.4, refunded, state_delta={"refunded": "ch_2", "charges": 1}),
        adk(
            "support",
            start + 6.0,
            {
                "text": "You are right: there were two charges of 29.00 €. I have returned the "
                "second one. Your bank shows it within three working days."
            },
            usage_metadata=_usage(1180, 63),
            state_delta={"user:language": "en"},
        ),
        adk("user", start + 41.0, {"text": "Thank you! Is the tea on its way?"}),
        adk(
            "support",
            start + 43.2,
            {"text": "Yes, both bags of Sencha left this morning and arrive on Wednesday."},
            usage_metadata=_usage(1302, 22),
        ),
    ]


class _Step(TypedDict):
    messages: Annotated[list[Any], operator.add]
    order: str
    charges: int
    refunded: bool


async def _thread(store: sojourn.Sojourn) -> None:
    from langgraph.graph import END, START, StateGraph

    from sojourn.integrations.langgraph import CheckpointSaver

    builder = StateGraph(_Step)
    call = {"name": "find_order", "args": {"order": "10442"}, "id": "c1", "type": "tool_call"}
    asked = {"type": "ai", "content": "I look at the charges.", "tool_calls": [call]}
    answer = '{"charges": [29.0, 29.0]}'
    told = {"type": "tool", "content": answer, "name": "find_order", "tool_call_id": "c1"}
    done = {"type": "ai", "content": "The second charge is on its way back to you."}
    builder.add_node("find_order", lambda _: {"charges": 2, "messages": [asked, told]})
    builder.add_node("refund", lambda _: {"refunded": True, "charges": 1, "messages": [done]})
    builder.add_edge(START, "find_order")
    builder.add_edge("find_order", "refund")
    builder.add_edge("refund", END)
    graph = builder.compile(checkpointer=CheckpointSaver(store, owner=lambda _: (APP, USER)))
    config: Any = {"configurable": {"thread_id": THREAD}}
    said = [{"type": "human", "content": "I was charged twice for order 10442."}]
    start = {"messages": said, "order": "10442", "charges": 0, "refunded": False}
    await graph.ainvoke(start, config)
    history = [each async for each in graph.aget_state_history(config)]
    await graph.aupdate_state(history[1].config, {"charges": 3})


async def fill(url: str, *, sessions: int = 60, options: Mapping[str, Any] | None = None) -> None:
    """Write it: users, sessions, a conversation, memory, artifacts, a thread."""
    now = time.time()
    async with sojourn.open(url, **(options or {})) as store:
        # The newest comes last, as it does in life.
        for n in reversed(range(1, sessions)):
            title, status, labels = _TITLES[n % len(_TITLES)]
            user = USERS[n % len(USERS)]
            made = await store.sessions.create(
                APP,
                user,
                created=now - n * 700 - 300,
                title=title,
                status=status,
                labels=labels,
                summary=_SUMMARY if n % 8 == 0 else "",
                metadata={"channel": "web" if n % 3 else "phone"},
            )
            at = now - n * 700
            said = [
                Event(author=who, payload={"role": who, "content": f"{what} {n}.{m}"}, time=at)
                for m in range(1 + n % 5)
                for who, what in (("user", "Question"), ("assistant", "Answer"))
            ]
            await store.sessions.append(made.key, *said)
        title, _, labels = _TITLES[0]
        made = await store.sessions.create(
            APP, USER, SESSION, title=title, labels=labels, summary=_SUMMARY, created=now - 400
        )
        for event in _conversation(now - 380):
            await store.sessions.append(made.key, event)
        await store.sessions.create("travel", "marie", title="A weekend in Lisbon")
        ada = store.user(APP, USER)
        await ada.memory.put_many(
            {
                "preferences": {"tea": "green", "language": "en", "newsletter": False},
                "address": "12 Analytical Row, London",
                "allergies": ["hazelnut"],
            }
        )
        await ada.artifacts.save("receipt.txt", b"Order 10442\n2 x Sencha 100 g\n29.00 EUR\n")
        await ada.artifacts.save("statement.png", png(320, 200), mime_type="image/png")
        await ada.artifacts.save("statement.png", png(480, 300), mime_type="image/png")
        await ada.cache.put("shipping:10442", {"carrier": "Royal Mail"}, ttl=3600, tags=["10442"])
        await _thread(store)


if __name__ == "__main__":
    import sys

    asyncio.run(fill(sys.argv[1]))
