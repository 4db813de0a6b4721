"""Trees of Sojourn that a process can import: wheels of this code and of a commit, unpacked."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]

PARTS = ("src", "pyproject.toml", "README.md", "LICENSE")
"""What a wheel is built from."""

NO_BASELINE = "HEAD"
"""Stands in the file `BASELINE` while there is none: this code is its own neighbour."""


def baseline() -> str:
    """The commit that this code must share a server with, or `NO_BASELINE`."""
    return (Path(__file__).parent / "BASELINE").read_text().strip()


def build_commit(commit: str, folder: Path) -> Path:
    """Unpack the wheel of a commit; gives the folder to import from.

    Raises:
        RuntimeError: this clone has no such commit.
    """
    source = folder / "source"
    source.mkdir(parents=True)
    git = ["git", "-C", str(ROOT), "archive", commit, *PARTS]
    done = subprocess.run(git, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"The baseline {commit} is not in this clone: run `git fetch --unshallow` "
            f"({done.stderr.decode(errors='replace').strip()[:200]})."
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(source, filter="data")
    return _wheel_of(source, folder)


def build_this(folder: Path) -> Path:
    """Unpack the wheel of the code as it stands here; gives the folder to import from."""
    source = folder / "source"
    source.mkdir(parents=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, source / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, source / part)
    return _wheel_of(source, folder)


def _wheel_of(source: Path, folder: Path) -> Path:
    if find_spec("hatchling") is None:
        raise RuntimeError("hatchling is not installed: pip install --group test")
    made = folder / "wheel"
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(made)]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", *options, str(source)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"No wheel was built: {done.stderr.decode(errors='replace')[-2000:]}")
    (wheel,) = made.glob("sojourn-*.whl")
    tree = folder / "tree"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tree)
    return tree
