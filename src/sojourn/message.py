"""Messages: what was said in a conversation, by sessions and threads alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a conversation.

    Attributes:
        role: the speaker: `user`, `assistant`, `system`, `tool`, or the name of an agent.
        content: the message, as JSON: text, or parts as the model's API has them.
        metadata: JSON of the application's, not meant for the model; of a thread's message what
            else its framework keeps of it.
        id: the id of its event, or what the framework calls the message.
        time: when it was said, seconds since the epoch; 0 in a thread, which does not tell.
        seq: its place in the session's log or in the thread's list, from 1.
    """

    role: str
    content: Any
    metadata: Mapping[str, Any]
    id: str
    time: float
    seq: int

    def as_dict(self) -> dict[str, Any]:
        """Role and content, as chat models take them."""
        return {"role": self.role, "content": self.content}


ROLES: Mapping[str, str] = {
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "system": "system",
    "developer": "system",
}
"""Frameworks' words for who speaks."""


def role_of(word: str) -> str:
    """Who speaks under a framework's word; chunks of messages speak as these.

    A word that none of them has is itself.
    """
    return ROLES.get(word.lower().removesuffix("chunk").removesuffix("message"), word)
