"""The server of the protocol: its tools, its resources, and what it says of itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import PackageNotFoundError, version

from mcp.server.mcpserver import MCPServer

from sojourn.rooms import ROOMS, register_installed
from sojourn.surfaces.mcp.caller import RequestContext
from sojourn.surfaces.mcp.resources import add_resources

_INSTRUCTIONS = """\
A durable store of one user: sessions (logs of events with state), conversations, a memory that
outlives sessions, and a cache. What a tool acknowledged is kept, also when this server restarts.

Each tool that changes something takes an `operation_id`. Make one up for each change. If the answer
does not come, repeat the very same call with the same id: it takes effect once.

Lists come in pages: go on with `cursor` until it is null."""


def server_of(context: RequestContext) -> MCPServer[RequestContext]:
    """A server whose requests are answered from this context."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[RequestContext]) -> AsyncGenerator[RequestContext]:
        yield context

    register_installed()
    with _logging_left_alone():
        server = MCPServer[RequestContext](
            name="sojourn",
            title="Sojourn",
            instructions=_INSTRUCTIONS,
            version=_version(),
            tools=[tool for room in ROOMS for tool in room.tools()],
            lifespan=lifespan,
            subscriptions=False,
            log_level="WARNING",
        )
    add_resources(server)
    return server


@contextmanager
def _logging_left_alone() -> Generator[None]:
    """The SDK gives the root logger a handler and a level where it has no handler yet."""
    here, root = logging.NullHandler(), logging.getLogger()
    root.addHandler(here)
    try:
        yield
    finally:
        root.removeHandler(here)


def _version() -> str:
    try:
        return version("sojourn")
    except PackageNotFoundError:
        return ""
