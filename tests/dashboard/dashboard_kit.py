"""The dashboard as people meet it: `sojourn serve` as a process, and a page of a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sojourn.security.tokens import KeyScope, new_token
from surfaces.cli_kit import SOJOURN, Lines

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: the dashboard in a browser not run"
)
axe = pytest.importorskip(
    "axe_playwright_python.base", reason="axe-playwright-python is not installed"
)

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SHOWN_SECONDS = 15
STOP_SECONDS = 10
WCAG_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

_WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


def browsers_path() -> str:
    """Chromium's path; without it the tests are skipped, or fail in CI."""
    if not os.access(CHROMIUM, os.X_OK):
        missing = "chromium is not installed: the dashboard in a browser not run"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    return CHROMIUM


class Dashboard:
    """`sojourn serve` on a store: it can be killed, and started again at its address."""

    def __init__(self, store_url: str, folder: Path, *words: str) -> None:
        self.store_url = store_url
        self.keys: dict[str, str] = {}
        lines = [
            self._key("ops", scope="admin", all_users=True),
            self._key("viewer", scope="read", all_users=True),
            self._key("ada", scope="write"),
        ]
        self.auth = folder / "keys.toml"
        self.auth.write_text("\n".join(["[tokens]", *lines]) + "\n")
        self.auth.chmod(0o600)
        self._words = ["--url", store_url, "--auth", str(self.auth), *words]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        """The key for everything."""
        return self.keys["ops"]

    def _key(self, user: str, *, scope: KeyScope, all_users: bool = False) -> str:
        self.keys[user], line = new_token(user, (), scope=scope, all_users=all_users)
        return line

    def start(self) -> None:
        command = [*SOJOURN, "serve", "--port", str(self.port), *self._words]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8")
        told = Lines(self._process.stderr).until("listening on")
        self.port = int(told.partition("127.0.0.1:")[2].partition("/")[0])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """As `kill -9` does: no handler of its own runs."""
        self.stop(signal.SIGKILL)


class Tab:
    """A page of the browser, and all that it complained about.

    Args:
        browser: Playwright's.
        served: the dashboard.
        key: who looks at it, by the name of the key; "" for nobody.
        options: of a browser context.
    """

    def __init__(self, browser: Any, served: Dashboard, key: str = "ops", **options: Any) -> None:
        self.served = served
        self.key = key
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, **options}
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(SHOWN_SECONDS * 1000)
        self.page.add_init_script(_WATCH)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", self._requested)
        if key:
            self.page.goto(f"{served.url}/#key={served.keys[key]}")
            self.page.get_by_role("main").get_by_role("heading", level=1).wait_for()

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((self.served.url + "/", "blob:")):
            self.foreign.append(request.url)

    def open(self, path: str) -> None:
        """Load a page of the dashboard, and wait until it shows its heading and nothing waits."""
        self.page.goto(self.served.url + path)
        self.page.locator("main h1").first.wait_for()
        self.settled()

    def settled(self) -> None:
        """Wait until no part of the page is still on its way."""
        self.page.locator(".skeleton").first.wait_for(state="detached")

    def theme(self, name: str) -> None:
        self.page.emulate_media(color_scheme=name)

    def faults(self, *rules: str) -> list[str]:
        """What axe finds: of all rules for WCAG 2.2 AA, or of these."""
        self.page.evaluate(axe.AXE_SCRIPT)
        only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": WCAG_AA}
        found = self.page.evaluate(
            "(runOnly) => axe.run(document, {runOnly, resultTypes: ['violations']})", only
        )
        return [
            f"{each['id']}: {node['target']} {node['html'][:160]} {node['failureSummary'][:300]}"
            for each in found["violations"]
            for node in each["nodes"]
        ]

    def width(self) -> int:
        """How wide the page is, what can be scrolled to included."""
        return self.page.evaluate("document.documentElement.scrollWidth")

    def close(self) -> None:
        self.context.close()
