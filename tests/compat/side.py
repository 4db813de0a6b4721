"""A process of one version of Sojourn, as its parent sees it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

SECONDS = 60
"""How long an answer may take. A test that waits longer has hung."""


class Version(NamedTuple):
    """A version of Sojourn: a name for people, and the folder to import it from.

    `options` are those of its URL, in which two that are the same code may differ.
    """

    name: str
    tree: Path
    options: str = ""

    def at(self, url: str) -> str:
        """The URL as this version opens it."""
        return f"{url}?{self.options}" if self.options else url


class Refused(Exception):
    """An operation raised one of Sojourn's errors, `kind` is its class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Process:
    """A script that runs on one version and speaks in lines.

    Args:
        version: what it imports as `sojourn`.
        script: a file beside this one.
        arguments: for it.
        folder: where it writes what goes wrong.
    """

    def __init__(self, version: Version, script: str, *arguments: str, folder: Path) -> None:
        self.version = version
        self._errors = folder / f"{script}-{version.name}-{os.urandom(4).hex()}.log"
        variables = {
            k: v for k, v in os.environ.items() if not k.startswith(("SOJOURN_", "PYTEST"))
        }
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-X",
                    "faulthandler",
                    "-P",
                    str(Path(__file__).parent / script),
                    *arguments,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**variables, "PYTHONPATH": str(version.tree)},
            )
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(b"")

    def send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def line(self) -> bytes:
        """The next line; empty when the process has ended.

        Raises:
            TimeoutError: there was none in time; where it hangs is in the message.
        """
        try:
            return self._lines.get(timeout=SECONDS)
        except queue.Empty:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(SECONDS)
            raise TimeoutError(f"{self.version.name} says nothing: {self.log}") from None

    def rest(self) -> list[bytes]:
        """All lines until it ends."""
        return list(iter(self.line, b""))

    @property
    def log(self) -> str:
        """The end of what it wrote on stderr."""
        return self._errors.read_text(errors="replace")[-3000:]

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(SECONDS)

    def close(self) -> None:
        """Let it end by itself."""
        assert self.process.stdin is not None
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(SECONDS)
            finally:
                self.process.kill()


class Side(Process):
    """A version that answers requests, one at a time.

    Attributes:
        asked: how many it has not answered yet.
    """

    def __init__(self, version: Version, folder: Path) -> None:
        super().__init__(version, "child.py", folder=folder)
        self.asked = 0

    def open(self, url: str, **options: Any) -> None:
        """Open a store in place of the one before."""
        url = self.version.at(url)
        where = self.run("opened(url, **options)", url=url, options=options)
        assert where.startswith(str(self.version.tree)), f"{self.version.name} imported {where}"

    def run(self, expression: str, **names: Any) -> Any:
        """The value of an expression.

        Raises:
            Refused: it raised an error of Sojourn's.
        """
        self.ask(expression, **names)
        return self.answer()

    def ask(self, expression: str, **names: Any) -> None:
        """Send an expression, and wait for nothing."""
        self.asked += 1
        self.send(json.dumps({"run": expression, "names": names}))

    def answer(self) -> Any:
        """The value of the expression that was sent."""
        line = self.line()
        if not line:
            raise RuntimeError(f"{self.version.name} has ended: {self.log}")
        self.asked -= 1
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"], answer["message"])
        if "crash" in answer:
            raise RuntimeError(f"{self.version.name}: {answer['crash']}: {answer['message']}")
        return answer["value"]


def common(value: Any, other: Any) -> Any:
    """A value with only those members of Sojourn's own classes that another one has, too."""
    if isinstance(value, dict) and isinstance(other, dict):
        known = other if "$type" in value and value["$type"] == other.get("$type") else value
        return {k: common(v, other.get(k)) for k, v in value.items() if k in known}
    if isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        return [common(one, two) for one, two in zip(value, other, strict=True)]
    return value


def agree(one: Any, two: Any) -> bool:
    """Whether two versions saw the same, as far as both know of it."""
    return bool(common(one, two) == common(two, one))
