"""`sojourn serve` as a process of its own, keys for it, and a client."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx

from sojourn.security.tokens import KeyScope, new_token
from surfaces.cli_kit import SOJOURN, Lines


class Keys:
    """A file of keys: for all users `ops` (admin), `writer`, `viewer`; and each a user's."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.file = folder / "keys.toml"
        self.of: dict[str, str] = {}
        lines = [
            self._made("ops", scope="admin", all_users=True),
            self._made("writer", all_users=True),
            self._made("viewer", scope="read", all_users=True),
            self._made("shopkeeper", ["shop"], scope="admin", all_users=True),
            self._made("ada"),
            self._made("eve"),
            self._made("reader", scope="read"),
            self._made("joe", ["other"]),
        ]
        self.file.write_text("\n".join(["[tokens]", *lines, *more]) + "\n")
        self.file.chmod(0o600)

    def _made(
        self,
        user: str,
        apps: list[str] | None = None,
        *,
        scope: KeyScope = "write",
        all_users: bool = False,
    ) -> str:
        self.of[user], line = new_token(user, apps or (), scope=scope, all_users=all_users)
        return line


class Api:
    """`sojourn serve` as a process that can be killed and started again at its address."""

    def __init__(self, url: str, keys: Keys | None, *words: str, namespace: str = "") -> None:
        self.keys = keys
        self._words = ["--url", url, *words]
        if namespace:
            self._words += ["--namespace", namespace]
        if keys is not None:
            self._words += ["--auth", str(keys.file)]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.log = Path()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [*SOJOURN, "serve", "--port", str(self.port), *self._words]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8")
        self.lines = Lines(self._process.stderr)
        self.told = self.lines.until("listening on")
        self.port = int(self.told.partition("127.0.0.1:")[2].partition("/")[0])

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; how the process ended."""
        process = self._process
        if process is None:
            return 0
        self._process = None
        process.send_signal(number)
        return process.wait(20)

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def client(self, user: str | None = None, **headers: str) -> httpx.AsyncClient:
        """A client with a user's key, whose paths begin with `/v1`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if user is not None and self.keys is not None:
            sent["authorization"] = f"Bearer {self.keys.of[user]}"
        return httpx.AsyncClient(base_url=self.url + "/v1", headers=sent, timeout=20)


def problem(reply: httpx.Response, status: int, kind: str = "") -> dict[str, Any]:
    """A problem, which the answer must be."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    document = reply.json()
    assert document["status"] == status
    assert document["type"].startswith("urn:sojourn:")
    assert document["instance"] == reply.headers["x-request-id"]
    if kind:
        assert document["type"] == f"urn:sojourn:{kind}"
    return document
