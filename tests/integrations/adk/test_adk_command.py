"""`sojourn adk …`: ADK's command line that knows our schemes, and `services.py` for plain ADK."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.adk.version import __version__ as adk_version
from warm_python import environment, run

from extent import FULL
from servers import free_port

EXAMPLES = Path(__file__).parents[3] / "examples"
LOAD = (
    "import sys\n"
    "from google.adk.cli.service_registry import get_service_registry, load_services_module\n"
    "load_services_module(sys.argv[1])\n"
    "print(sorted({'redis', 'embedded'} & get_service_registry()._session_factories.keys()))\n"
)


def adk(*words: str) -> subprocess.CompletedProcess[str]:
    return really(*words) if FULL else run("adk", *words)


def really(*words: str) -> subprocess.CompletedProcess[str]:
    """The command as people start it, without credentials."""
    return subprocess.run(
        [sys.executable, "-m", "sojourn", "adk", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment(),
    )


def test_help_is_adks():
    done = adk("--help")
    assert done.returncode == 0
    assert "sojourn adk" in done.stdout
    assert all(f"  {command}" in done.stdout for command in ("web", "run", "api_server", "deploy"))


@pytest.mark.parametrize("command", ["web", "run"])
def test_the_help_of_a_command_is_adks(command):
    done = adk(command, "--help")
    assert done.returncode == 0
    assert "--session_service_uri" in done.stdout


def test_version_is_adks():
    done = really("--version")
    assert done.returncode == 0
    assert adk_version in done.stdout


def test_an_unknown_command_fails_as_in_adk():
    done = adk("frobnicate")
    assert done.returncode == 2
    assert "frobnicate" in done.stderr


def one_line_of(done: subprocess.CompletedProcess[str]) -> str:
    """What a failed command says: one line of error, and no traceback."""
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    return line


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("web", ["--session_service_uri=nope://localhost"]),
        ("web", ["--session_service_uri", "Redis+x://h"]),
        ("api_server", ["--session_service_uri", "nothing"]),
        ("api_server", ["--session_service_uri=redi://:s3cret@h"]),
    ],
)
def test_an_unknown_scheme_is_one_line(command, option):
    done = adk(command, *option, str(EXAMPLES))
    line = one_line_of(done)
    assert "redis" in line
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["web", "api_server"])
def test_an_unreachable_server_is_one_line(command):
    port = free_port()
    done = (really if command == "web" else adk)(
        command,
        f"--session_service_uri=redis://:s3cret@127.0.0.1:{port}",
        f"--port={free_port()}",
        str(EXAMPLES),
    )
    assert f"127.0.0.1:{port}" in one_line_of(done)
    assert "s3cret" not in done.stdout + done.stderr


def test_an_unreachable_server_is_one_line_for_run():
    port = free_port()
    uri = f"--session_service_uri=redis://:s3cret@127.0.0.1:{port}"
    done = adk("run", uri, str(EXAMPLES / "demo_agent"))
    assert f"127.0.0.1:{port}" in one_line_of(done)
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("uri", ["redis://:s3cret@h:port", "redis://:s3cret@[::1"])
def test_a_wrong_uri_is_one_line(uri):
    done = adk("web", f"--session_service_uri={uri}", str(EXAMPLES))
    assert "--session_service_uri" in one_line_of(done)
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("what", ["artifact", "memory"])
@pytest.mark.parametrize("uri", ["redis://:s3cret@h:port", "nope://:s3cret@h"])
def test_a_wrong_uri_for_another_service_is_one_line(what, uri):
    done = adk("web", f"--{what}_service_uri={uri}", str(EXAMPLES))
    assert what in one_line_of(done)
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("what", ["artifact", "memory"])
def test_an_unreachable_server_for_another_service_is_one_line(what):
    port = free_port()
    uri = f"--{what}_service_uri=redis://:s3cret@127.0.0.1:{port}"
    done = adk("web", uri, f"--port={free_port()}", str(EXAMPLES))
    assert f"127.0.0.1:{port}" in one_line_of(done)
    assert "s3cret" not in done.stdout + done.stderr


def test_init_writes_what_plain_adk_loads(tmp_path):
    assert run("-c", LOAD, str(tmp_path)).stdout.strip() == "[]"
    done = adk("init", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert str(tmp_path / "services.py") in done.stdout
    for service in ("session", "memory", "artifact"):
        assert f"--{service}_service_uri=" in done.stdout
    assert run("-c", LOAD, str(tmp_path)).stdout.strip() == "['embedded', 'redis']"


def test_what_init_writes_says_what_is_missing(tmp_path):
    """ADK says nothing about a ModuleNotFoundError in services.py."""
    adk("init", str(tmp_path))
    hide = "import sys\nsys.modules['sojourn.integrations.adk'] = None\n"
    done = run("-c", hide + LOAD, str(tmp_path))
    assert done.stdout.strip() == "[]"
    assert "pip install '.[adk]'" in done.stderr


def test_init_again_changes_nothing(tmp_path):
    adk("init", str(tmp_path))
    before = (tmp_path / "services.py").read_bytes()
    done = adk("init", str(tmp_path))
    assert done.returncode == 0
    assert "already" in done.stdout
    assert (tmp_path / "services.py").read_bytes() == before


def test_init_knows_what_an_older_version_wrote(tmp_path):
    adk("init", str(tmp_path))
    written = tmp_path / "services.py"
    older = '"""An older text."""' + written.read_text().partition("\n")[2]
    written.write_text(older)
    assert "already" in adk("init", str(tmp_path)).stdout
    assert written.read_text() == older


def test_init_leaves_a_foreign_file_alone(tmp_path):
    theirs = tmp_path / "services.py"
    theirs.write_text("MINE = 1\n")
    line = one_line_of(adk("init", str(tmp_path)))
    assert str(theirs) in line
    assert "register" in line
    assert theirs.read_text() == "MINE = 1\n"


@pytest.mark.parametrize("words", [[], ["--force"], ["no/such/folder"]])
def test_init_of_no_folder_is_a_usage_error(words):
    done = adk("init", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_init_of_a_folder_that_may_not_be_written_is_one_line(tmp_path):
    (tmp_path / "services.py").mkdir()
    assert "services.py" in one_line_of(adk("init", str(tmp_path)))


def test_web_says_where_its_sessions_can_be_looked_at(capsys):
    from sojourn.integrations.adk.command import _tell_of_page

    _tell_of_page("redis://:secret@localhost:6379/0")
    said = capsys.readouterr().err
    assert "sojourn serve --url=redis://" in said
    assert "http://127.0.0.1:8100/" in said
    assert "secret" not in said
    for uri in (None, "memory://", "sqlite:///a.db"):
        _tell_of_page(uri)
    assert not capsys.readouterr().err
