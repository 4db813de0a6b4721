"""Files that commands write: new ones that only their owner can read, whole or not there."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sojourn.surfaces.cli.exits import Ended, ExitCode


@contextmanager
def new_file(path: Path) -> Generator[BinaryIO]:
    """A new file. One that is not whole is not left behind.

    Raises:
        Ended: there is one of this name, or it cannot be written.
    """
    try:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        raise Ended(
            f"error: {path} cannot be written ({error.strerror}): name a file that is not there "
            "yet.",
            ExitCode.WRONG_INPUT,
        ) from error
    try:
        with file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
