"""Clients in processes of their own, one after the other: each until its end or until killed."""

from __future__ import annotations

import asyncio
import os
import sys
from types import TracebackType
from typing import Self


class Mortals:
    """The process that makes them.

    Args:
        module: what it runs: `faults.mortal`, or one that knows other lives.
    """

    def __init__(self, module: str = "faults.mortal") -> None:
        self._module = module

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        paths = os.pathsep.join(filter(None, sys.path))
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self._module),
            stdin=pipe,
            stdout=pipe,
            env={**os.environ, "PYTHONPATH": paths},
        )
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        await self._process.wait()

    async def bear(self, life: str, *arguments: object) -> int:
        """A new process, that waits for `go`. Gives its id."""
        self._in.write(f"{life} {' '.join(map(str, arguments))}\n".encode())
        return int(await self._out.readline())

    def go(self) -> None:
        self._in.write(b"go\n")

    async def ended(self) -> None:
        assert await self._out.readline() == b"ended\n"
