"""Response headers that forbid caching of one user's data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_NAME = b"cache-control"
_NO_STORE = b"no-store"


def never_stored(send: Send) -> Send:
    """A `send` of ASGI whose answers carry `Cache-Control: no-store`, with what else they say."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[tuple[bytes, bytes]] = [*message.get("headers", ())]
            said = [value for name, value in headers if name.lower() == _NAME]
            kept = [(name, value) for name, value in headers if name.lower() != _NAME]
            if not any(_NO_STORE in value.lower() for value in said):
                said.append(_NO_STORE)
            message = {**message, "headers": [*kept, (_NAME, b", ".join(said))]}
        await send(message)

    return sending
