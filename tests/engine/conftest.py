"""An embedded server's folder, and those who join it; no process, lock or socket may be left."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from embedded_kit import Client, processes_in, wait_until_free

from sojourn.engine.embedded import EmbeddedServer


@pytest.fixture
def runtime(monkeypatch):
    """Where the sockets go; nothing may be left there."""
    path = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    yield path
    left = list(path.iterdir())
    shutil.rmtree(path)
    assert left == []


@pytest.fixture
def folder(tmp_path, runtime):
    """A folder for the data; no process may be left in it."""
    yield tmp_path / "data"
    for lock in tmp_path.rglob("*.lock"):
        wait_until_free(lock)
    assert processes_in(tmp_path) == []


@pytest.fixture
def join(folder):
    """Make an EmbeddedServer of the folder; all are released at the end."""
    made = []

    def make(directory=folder, **options):
        made.append(EmbeddedServer(directory, **options))
        return made[-1]

    yield make
    for embedded in made:
        embedded.release()


@pytest.fixture
def client(folder):
    """Start client processes; all are killed at the end, with what they forked."""
    made = []

    def start():
        made.append(Client(folder))
        return made[-1]

    yield start
    for each in made:
        with suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.communicate()
