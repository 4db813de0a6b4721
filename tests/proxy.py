"""A TCP proxy that hurts on purpose: between a client and a server, both real."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Proxy:
    """Forwards to a port until told otherwise.

    `on_request` sees each piece of bytes from a client and answers what to do with it:

    - `pass`; or how many seconds to hold it back (a float);
    - `drop`: cut before the server sees it;
    - `lose`: the server gets it, its reply is cut off; `trim`: half of its reply is;
    - `stall`: nothing passes any more until the client hangs up; `mute`: the server still gets it;
    - at which byte to halt while `between` is called, which may cut by raising `ConnectionError`.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.on_request: Callable[[bytes], str | float] = lambda _: "pass"
        self.between: Callable[[], None] = lambda: None
        self.rate = math.inf
        """Bytes a second that pass, in each direction."""
        self.connections = 0
        self.requests: list[bytes] = []
        self.cut = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        replies = asyncio.create_task(self._replies(up_reader, writer))
        try:
            while (data := await reader.read(1 << 20)) and (what := self._told(data)) != "drop":
                if what in ("stall", "mute", "lose", "trim"):
                    replies.cancel()
                    await asyncio.wait([replies])
                if what != "stall":
                    await self._forward(data, what, up_writer)
                if what in ("stall", "mute"):
                    while await reader.read(1 << 20):
                        pass
                    return
                if what in ("lose", "trim"):
                    reply = await self._answer(up_reader)
                    writer.write(reply[: len(reply) // 2] if what == "trim" else b"")
                    await writer.drain()
                    return
        except ConnectionError:
            pass
        finally:
            self.cut.set()
            replies.cancel()
            writer.close()
            up_writer.close()

    def _told(self, data: bytes) -> str | float:
        what = self.on_request(data)
        self.requests.append(data)
        return what

    async def _forward(
        self, data: bytes, what: str | float, up_writer: asyncio.StreamWriter
    ) -> None:
        if isinstance(what, float):
            await asyncio.sleep(what)
        if isinstance(what, int):
            up_writer.write(data[:what])
            await up_writer.drain()
            await asyncio.to_thread(self.between)
            data = data[what:]
        await self._pass(data, up_writer)

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        """In pieces of a fiftieth of a second, when slow."""
        size = len(data) if self.rate == math.inf else max(1, int(self.rate / 50))
        for start in range(0, len(data), size):
            if self.rate != math.inf:
                await asyncio.sleep(min(len(data), size) / self.rate)
            writer.write(data[start : start + size])
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        """All of an answer, so that the server has done it: that to what came before is first."""
        reply = await reader.read(1 << 16)
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.05):
                    more = await reader.read(1 << 16)
                if not more:
                    break
                reply += more
        return reply

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 20):
                await self._pass(data, writer)
        except ConnectionError:
            pass
        writer.close()
