"""Keys of the messages that the MCP server sent."""

from __future__ import annotations

from functools import lru_cache

from sojourn.calls.keys import ID, REMEMBERED, USER_TAG, KeyKind, Keys
from sojourn.ids import SessionKey, UserKey, escape

KINDS = (KeyKind("mcp", rf"mcp:{USER_TAG}:{ID}", record="hash"),)


class StreamRoomKeys(Keys):
    """Builds the keys of this room."""

    kinds = KINDS

    def __init__(self, namespace: str = "") -> None:
        super().__init__(namespace)
        self.mcp = lru_cache(REMEMBERED)(self._mcp)

    def _mcp(self, key: SessionKey) -> str:
        """The latest messages of the MCP server to a client, in the slot of its user."""
        return f"{self.of_user('mcp', key)}:{escape(key.session)}"

    def mcp_by(self, owner: UserKey) -> str:
        """A glob of the messages that the MCP server sent to clients of a user."""
        return f"{self.of_user('mcp', owner)}:*"
