"""Conversations of `store.history`, LangChain's among them, and events of any other application."""

from __future__ import annotations

from sojourn.sessions import Event
from sojourn.surfaces.renderers import messages
from sojourn.surfaces.renderers.model import JsonPart, Rendered, TextPart, mapping

_LANGCHAIN = "langchain"
"""Of a message's metadata: LangChain's fields without the content."""


def render(event: Event) -> Rendered:
    """Text as text, a message as a message, everything else as JSON."""
    said = event.payload
    if isinstance(said, str):
        return Rendered(messages.role_of(event.author), [TextPart(said)])
    known = mapping(said)
    if messages.is_message(known):
        return messages.render(known)
    if "content" in known:
        theirs = mapping(mapping(known.get("metadata")).get(_LANGCHAIN))
        return messages.render({**known, **theirs, "content": known["content"]}, event.author)
    text = known.get("text")
    if len(known) == 1 and isinstance(text, str):
        return Rendered(messages.role_of(event.author), [TextPart(text)])
    parts = [] if said in (None, {}) and event.state_delta else [JsonPart(said)]
    return Rendered(messages.role_of(event.author), parts)
