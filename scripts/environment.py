"""Makes a virtual environment, and says what it is doing: `environment.py FOLDER PIP-WORDS…`."""

from __future__ import annotations

import subprocess
import sys
import time
import venv
from pathlib import Path

_EVERY = 5.0
"""Seconds between two lines."""
_VERBS = ("Collecting", "Downloading", "Installing collected packages", "Building")


def main(folder: str, *words: str) -> int:
    began = told = time.monotonic()

    def tell(what: str) -> None:
        print(f"{folder}: {time.monotonic() - began:3.0f} s  {what}", flush=True)  # noqa: T201

    tell("making a virtual environment")
    venv.create(folder, with_pip=True, clear=Path(folder).exists())
    pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "install", "--progress-bar", "off"]
    subprocess.run([*pip, "--quiet", "--upgrade", "pip"], check=True)  # noqa: S603
    tell("finding and downloading packages: half a minute, longer on a slow line the first time")
    collected = 0
    with subprocess.Popen([*pip, *words], stdout=subprocess.PIPE, text=True) as running:  # noqa: S603
        for line in running.stdout or ():
            collected += line.startswith("Collecting")
            if line.startswith("Installing collected packages"):
                tell(f"installing {line.count(',') + 1} packages: some 20 s")
            elif time.monotonic() - told > _EVERY and line.lstrip().startswith(_VERBS):
                told = time.monotonic()
                tell(f"{collected} packages, now {' '.join(line.split()[:2])}")
    if running.returncode == 0:
        (Path(folder) / ".done").touch()
        tell("ready")
    return running.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
