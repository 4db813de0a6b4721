"""`sojourn …` in this process, or as the real command; and a store to fill behind its back."""

from __future__ import annotations

import asyncio
import io
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import sojourn
from sojourn.surfaces.cli import main

SOJOURN = (sys.executable, "-m", "sojourn")
SECONDS = 20


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Cli:
    """The command line on one namespace of one server."""

    def __init__(self, url: str, namespace: str) -> None:
        self.url = url
        self.namespace = namespace

    def run(self, *words: str) -> Ran:
        """In this process."""
        out, err = io.StringIO(), io.StringIO()
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.MonkeyPatch.context() as patch,
        ):
            for name, value in self.environment().items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as end:
                main(words)
        return Ran(int(end.value.code or 0), out.getvalue(), err.getvalue())

    def call(self, *words: str, cwd: Path | None = None, **environment: str) -> Ran:
        """As a process of its own."""
        done = subprocess.run(
            [*SOJOURN, *words],
            capture_output=True,
            encoding=environment.get("PYTHONIOENCODING", "utf-8"),
            env={**os.environ, **self.environment(), **environment},
            stdin=subprocess.DEVNULL,
            cwd=cwd,
            timeout=SECONDS,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """As a process of its own that goes on running."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        environment = {**os.environ, **self.environment()}
        command = [*SOJOURN, *words]
        return subprocess.Popen(command, encoding="utf-8", env=environment, **options)

    def environment(self) -> Mapping[str, str]:
        return {"SOJOURN_URL": self.url, "SOJOURN_NAMESPACE": self.namespace}

    def fill(self, work: Callable[[sojourn.Sojourn], Awaitable[Any]]) -> Any:
        """Do something with the store itself."""

        async def filled() -> Any:
            async with sojourn.open(self.url, namespace=self.namespace) as store:
                return await work(store)

        return asyncio.run(filled())

    def create(
        self, app: str, user: str, session: str | None, **options: Any
    ) -> sojourn.SessionKey:
        return self.fill(lambda store: store.sessions.create(app, user, session, **options)).key

    def append(self, key: sojourn.SessionKey, *events: sojourn.Event) -> None:
        self.fill(lambda store: store.sessions.append(key, *events))

    def exists(self, key: sojourn.SessionKey) -> bool:
        return self.fill(lambda store: store.sessions.get(key, last=0)) is not None


class Lines:
    """What a process writes, line by line, with a deadline."""

    def __init__(self, stream: Any) -> None:
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def next(self) -> str:
        """The next line; empty at the end."""
        return self._lines.get(timeout=SECONDS)

    def until(self, word: str) -> str:
        """The first line with the word in it."""
        while word not in (line := self.next()):
            assert line, f"the output ended without {word!r}"
        return line

    def _read(self, stream: Any) -> None:
        for line in stream:
            self._lines.put(line)
        self._lines.put("")
