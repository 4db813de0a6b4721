"""ADK's web server as a process of its own that a test can kill and start again."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from servers import free_port

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples"
SOJOURN_ADK = (sys.executable, "-m", "sojourn", "adk")
PLAIN_ADK = (str(Path(sysconfig.get_path("scripts")) / "adk"),)
START_SECONDS = 30
STOP_SECONDS = 10
START_ATTEMPTS = 3
CREDENTIALS = (
    "GOOGLE_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_GENAI_USE_ENTERPRISE",
)


class WebProcess:
    """The README's command in a session of its own; its output goes to a file."""

    def __init__(
        self,
        session_uri: str,
        directory: Path,
        *,
        command: Sequence[str] = SOJOURN_ADK,
        subcommand: str = "web",
        agents: Path = EXAMPLES,
        options: Sequence[str] = (),
    ) -> None:
        self.session_uri = session_uri
        self.directory = directory
        self.command = command
        self.subcommand = subcommand
        self.agents = agents
        self.options = options
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait for an answer; a restart keeps the port for the page that is open."""
        ports = [self.port] if self.port else [free_port() for _ in range(START_ATTEMPTS)]
        for self.port in ports:
            self._spawn()
            if becomes_ready(self.process, self._answers):
                return
            self.kill()
            if "address already in use" not in self.output():
                break
        raise AssertionError(f"{self.subcommand} did not start:\n{self.output()}")

    def kill(self) -> None:
        """End it as `kill -9` does: no handler of its own runs."""
        self._signal(signal.SIGKILL)
        self.process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """End it politely, or by force if it does not listen."""
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def _log(self) -> Path:
        return self.directory / f"{self.subcommand}.log"

    def _spawn(self) -> None:
        options = ["--port", str(self.port), f"--session_service_uri={self.session_uri}"]
        options += self.options
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self.command, self.subcommand, *options, str(self.agents)],
                cwd=PROJECT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        """No credentials, so the demo agent is scripted; no question about telemetry in the UI."""
        config = self.directory / ".adk" / "config.json"
        config.parent.mkdir(exist_ok=True)
        config.write_text(json.dumps({"telemetry": False}))
        inherited = {k: v for k, v in os.environ.items() if k not in CREDENTIALS}
        return {
            **inherited,
            "HOME": str(self.directory),
            "ADK_DISABLE_LOAD_DOTENV": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/list-apps", trust_env=False).is_success
        return False

    def _signal(self, number: signal.Signals) -> None:
        # The group, so that a child does not outlive it and keep the port.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def becomes_ready(process: subprocess.Popen[bytes], is_ready: Callable[[], bool]) -> bool:
    """Ask until it is ready; give up when the process has exited or time is over."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if is_ready():
            return process.poll() is None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            return False
    return False
