"""The agent and its tools. The tools read and write the session that is really stored.

Without an API key a scripted model answers; with one, Gemini does.
"""

import os
from typing import Any

from google.adk.agents import Agent
from google.adk.models.base_llm import BaseLlm
from google.adk.tools.tool_context import ToolContext

from .scripted_model import ScriptedModel

KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
VERTEX_SWITCHES = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")
PREFIXES = {"user:": "user", "app:": "app", "temp:": "turn"}
SCOPES = ("session", *PREFIXES.values())


def show_session_info(tool_context: ToolContext) -> dict[str, Any]:
    """Show the id, user, app, number of events and state of this session."""
    session = tool_context.session
    state: dict[str, dict[str, Any]] = {"session": {}, "user": {}, "app": {}}
    for full_key, value in tool_context.state.to_dict().items():
        scope, key = split_scope(full_key)
        state.setdefault(scope, {})[key] = value
    return {
        "session_id": session.id,
        "user_id": session.user_id,
        "app_name": session.app_name,
        "events": len(session.events),
        "state": state,
    }


def store_value(key: str, value: str, tool_context: ToolContext) -> dict[str, Any]:
    """Store a value in this session.

    Args:
        key: The name to find the value by.
        value: The value to store.
    """
    return store(key, value, tool_context)


def remember_for_user(key: str, value: str, tool_context: ToolContext) -> dict[str, Any]:
    """Store a value for this user, for all of their sessions.

    Args:
        key: The name to find the value by.
        value: The value to store.
    """
    return store(f"user:{key}", value, tool_context)


def remember_for_everyone(key: str, value: str, tool_context: ToolContext) -> dict[str, Any]:
    """Store a value for all users of this app.

    Args:
        key: The name to find the value by.
        value: The value to store.
    """
    return store(f"app:{key}", value, tool_context)


def recall_value(key: str, tool_context: ToolContext) -> dict[str, Any]:
    """Find a stored value by its name: in this session, for this user and for everyone.

    Args:
        key: The name that the value was stored by.
    """
    found = []
    for full_key, value in tool_context.state.to_dict().items():
        scope, bare_key = split_scope(full_key)
        if bare_key.casefold() == key.casefold():
            found.append({"key": bare_key, "value": value, "scope": scope})
    found.sort(key=lambda entry: SCOPES.index(entry["scope"]))
    return {"key": key, "found": found}


def store(full_key: str, value: str, tool_context: ToolContext) -> dict[str, Any]:
    """Write one value; ADK carries it to the session service as a state delta."""
    tool_context.state[full_key] = value
    scope, key = split_scope(full_key)
    return {"key": key, "value": value, "scope": scope}


def split_scope(full_key: str) -> tuple[str, str]:
    """ADK's prefix of a state key says whose it is: `user:color` is the user's `color`."""
    for prefix, scope in PREFIXES.items():
        if full_key.startswith(prefix):
            return scope, full_key.removeprefix(prefix)
    return "session", full_key


def choose_model() -> str | BaseLlm:
    """Name the real model where there are credentials for one."""
    has_key = any(os.environ.get(name) for name in KEYS)
    on_vertex = any(os.environ.get(name, "").lower() in {"1", "true"} for name in VERTEX_SWITCHES)
    if has_key or on_vertex:
        return os.environ.get("DEMO_MODEL") or "gemini-2.5-flash"
    return ScriptedModel(model="scripted")


root_agent = Agent(
    name="demo_agent",
    model=choose_model(),
    description="Shows and changes the session that it runs in.",
    instruction=(
        "You demonstrate where an agent's session is kept. Use the tools to show the session and "
        "to store and recall values; never answer about them from memory. Answer briefly."
    ),
    tools=[show_session_info, store_value, recall_value, remember_for_user, remember_for_everyone],
)
