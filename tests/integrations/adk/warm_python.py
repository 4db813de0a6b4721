"""A Python that has imported ADK, and forks for each command: what takes seconds is done once."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import sojourn

ROOT = Path(sojourn.__file__).parents[1]

_WARM = """\
import json, os, sys
import google.adk.cli.cli_tools_click, google.adk.cli.fast_api
import sojourn.integrations.adk.command
child = False
for line in sys.stdin:
    words, folder, out, err = json.loads(line)
    child = not (pid := os.fork())
    if child:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
if child:
    for number, (name, flags) in enumerate([(os.devnull, os.O_RDONLY), (out, os.O_WRONLY),
                                            (err, os.O_WRONLY)]):
        os.dup2(os.open(name, flags), number)
    sys.stdin = open(0)
    os.chdir(folder)
    if words[0] == "-c":
        sys.argv = words[1:]
        exec(words[1], {"__name__": "__main__"})
    else:
        sys.argv = ["sojourn", *words]
        from sojourn.__main__ import main
        main()
"""


def environment() -> dict[str, str]:
    """Without our folder on its path twice, and with lines that do not break."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


@cache
def _warm() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _WARM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    atexit.register(process.kill)
    return process


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`sojourn WORDS`, or `python -c CODE WORDS`, in a process of its own."""
    warm = _warm()
    assert warm.stdin is not None
    assert warm.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder) / name for name in ("out", "err"))
        out.touch()
        err.touch()
        warm.stdin.write(json.dumps([words, str(cwd or Path.cwd()), str(out), str(err)]) + "\n")
        warm.stdin.flush()
        code = int(warm.stdout.readline())
        return subprocess.CompletedProcess(words, code, out.read_text(), err.read_text())
