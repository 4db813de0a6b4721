"""Files that hold keys: readable by their owner alone, and written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sojourn.errors import ConfigurationError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def named_file(name: str | os.PathLike[str]) -> Path:
    """The path of a file.

    Raises:
        ConfigurationError: it can be the name of none.
    """
    path = Path(name)
    if not path.name or "\0" in str(path):
        raise ConfigurationError("The file of keys has a name that no file can have.")
    return path


def write_file(path: Path, data: bytes, *, replace: bool) -> None:
    """Write a file with mode 0600. After a crash it is there whole, or as it was before.

    Args:
        path: the file.
        data: what is to stand in it.
        replace: whether one that is there may be replaced.

    Raises:
        ConfigurationError: it is there and may not be replaced, or it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            if replace:
                temporary.replace(path)
            else:
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}); it is as it was."
        ) from error


def can_lock() -> bool:
    """Whether `locked` keeps others out."""
    return fcntl is not None


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Let no other process change a file meanwhile: a lock on `.NAME.lock` beside it.

    Raises:
        OSError: the lock cannot be made.
    """
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
