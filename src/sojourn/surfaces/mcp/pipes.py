"""Stdin and stdout as the lines of a client that may leave at any moment.

Threads read and write: a call that blocks in one of them holds nobody up, neither the event loop
nor the end of the process.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from mcp_types import JSONRPCNotification, JSONRPCRequest, jsonrpc_message_adapter

_PIECE = 65_536
_AHEAD = 64
"""Lines that are read before they are asked for."""
_GRACE = 30.0
"""Seconds that the next answer may take when no more questions come."""


class Pipes:
    """What comes from a client and goes to it: the two files that `stdio_server` takes.

    All requests that came before the end of what is read are answered before it is the end.

    Args:
        source: the descriptor to read from.
        sink: the descriptor to write to.
    """

    def __init__(self, source: int, sink: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(_AHEAD)
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._asked: set[str] = set()
        self._answered = asyncio.Event()
        self._gone = False
        self._jobs: queue.SimpleQueue[tuple[bytes, asyncio.Future[bool]]] = queue.SimpleQueue()
        for work, end in ((self._read, source), (self._write, sink)):
            threading.Thread(target=work, args=(end,), daemon=True).start()

    def __aiter__(self) -> Pipes:
        """The lines that come."""
        return self

    async def __anext__(self) -> str:
        """The next line."""
        line = None if self._gone else await self._lines.get()
        if line is None:
            await self._all_answered()
            raise StopAsyncIteration
        self._room.release()
        self._note_asked(line)
        return line

    async def write(self, text: str) -> None:
        """Send an answer; nothing happens when nobody reads any more."""
        if not self._gone:
            done: asyncio.Future[bool] = self._loop.create_future()
            self._jobs.put((text.encode(), done))
            if not await done:
                self._gone = True
                self._lines.put_nowait(None)
        self._note_answered(text)

    async def flush(self) -> None:
        """All is sent already."""

    def _note_asked(self, line: str) -> None:
        with suppress(ValueError):
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            if isinstance(message, JSONRPCRequest):
                self._asked.add(repr(message.id))
            elif (
                isinstance(message, JSONRPCNotification)
                and message.method == "notifications/cancelled"  # it may never be answered
            ):
                self._asked.discard(repr((message.params or {}).get("requestId")))

    def _note_answered(self, text: str) -> None:
        with suppress(ValueError):
            message = jsonrpc_message_adapter.validate_json(text, by_name=False)
            if not isinstance(message, JSONRPCRequest | JSONRPCNotification):
                self._asked.discard(repr(message.id))
                self._answered.set()

    async def _all_answered(self) -> None:
        with suppress(TimeoutError):
            while self._asked and not self._gone:
                self._answered.clear()
                async with asyncio.timeout(_GRACE):
                    await self._answered.wait()

    # ── threads ────────────────────────────────────────────────────────────────────────────────

    def _read(self, source: int) -> None:
        rest = bytearray()
        while True:
            try:
                piece = os.read(source, _PIECE)
            except OSError:
                piece = b""
            searched = len(rest)
            rest += piece
            while (end := rest.find(b"\n", searched)) >= 0:
                if not self._hand_over(bytes(rest[: end + 1])):
                    return
                del rest[: end + 1]
                searched = 0
            if not piece:
                if rest:
                    self._hand_over(bytes(rest))
                self._tell(self._lines.put_nowait, None)
                return

    def _hand_over(self, line: bytes) -> bool:
        self._room.acquire()
        return self._tell(self._lines.put_nowait, line.decode(errors="replace"))

    def _write(self, sink: int) -> None:
        while True:
            data, done = self._jobs.get()
            try:
                while data:
                    data = data[os.write(sink, data) :]
            except OSError:  # nobody reads any more
                pass
            if not self._tell(_settle, done, not data):
                return

    def _tell(self, call: Callable[..., None], *values: object) -> bool:
        """Call in the event loop; whether there still is one."""
        try:
            self._loop.call_soon_threadsafe(call, *values)
        except RuntimeError:
            return False
        return True


def _settle(done: asyncio.Future[bool], sent: bool) -> None:
    if not done.done():
        done.set_result(sent)


@contextmanager
def standard_pipes() -> Generator[Pipes]:
    """Those of this process. Meanwhile others read nothing from stdin, and print to stderr."""
    sys.stdout.flush()
    source, sink = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    os.dup2(2, 1)
    try:
        yield Pipes(source, sink)
    finally:
        os.dup2(source, 0)
        os.dup2(sink, 1)  # the copies stay open: a thread may be waiting for one
