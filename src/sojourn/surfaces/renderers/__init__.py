"""Renderers: an event of any framework as people read it. One small file a framework.

`RENDERERS` says by the kind of an event which one reads it; any other is read by `plain`. A
renderer never fails over what an event holds: what it does not know is JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sojourn.sessions import Event
from sojourn.surfaces.renderers import adk, messages, plain
from sojourn.surfaces.renderers.model import Part, Rendered, mapping

__all__ = ["RENDERERS", "Part", "Rendered", "Renderer", "message", "render"]

Renderer: TypeAlias = Callable[[Event], Rendered]

RENDERERS: dict[str, Renderer] = {"adk": adk.render}
"""By kind of event. An application adds its own."""


def render(event: Event) -> Rendered:
    """An event as people read it."""
    return RENDERERS.get(event.kind, plain.render)(event)


def message(value: object) -> Rendered | None:
    """A message of LangChain's or OpenAI's form, such as threads hold; None if it is none."""
    return messages.render(mapping(value)) if messages.is_message(value) else None
