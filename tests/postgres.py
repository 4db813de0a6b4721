"""A PostgreSQL server for tests, Debian's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from servers import NotHere, free_port

USER, PASSWORD = "agent", "sécret/:@ %"


class PostgresServer:
    """A server on 127.0.0.1 with an empty database, for one user with a password.

    As root it runs as `nobody`: PostgreSQL refuses root.
    """

    def __init__(self) -> None:
        self.port = free_port()
        programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="sj-pg-"))
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            self._as = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self._folder, "nobody")
        secret = self._folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = self._folder / "data"
        words = ["-D", data, "-U", USER, "-A", "scram-sha-256", "--pwfile", secret, "--no-sync"]
        words += ["-E", "UTF8", "--locale", "C"]
        quiet = {"stdout": subprocess.DEVNULL, "cwd": self._folder}
        subprocess.run([programs / "initdb", *words], check=True, **quiet, **self._as)
        words = ["-D", data, "-h", "127.0.0.1", "-p", str(self.port), "-k", self._folder]
        words += ["-c", "fsync=off", "-c", "log_destination=stderr", "-c", "logging_collector=off"]
        self._process = subprocess.Popen(
            [programs / "postgres", *words], stderr=subprocess.PIPE, text=True, **quiet, **self._as
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "ready to accept connections" in line:
                break
        else:
            raise RuntimeError("PostgreSQL did not start")

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:s%C3%A9cret%2F%3A%40%20%25@127.0.0.1:{self.port}/postgres"

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate()
        shutil.rmtree(self._folder)


def _programs() -> Path:
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    if not places:
        raise NotHere("PostgreSQL is not installed (apt install postgresql)")
    return places[-1].parent


def _version(path: Path) -> int:
    return int(re.sub(r"\D", "", path.parts[-3]) or 0)
