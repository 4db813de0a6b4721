"""Store of data keys in a file, where the server and its backups are not to have them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from sojourn.calls.operation import Operation, R
from sojourn.codecs.growth import check_format
from sojourn.errors import ConfigurationError, CorruptRecord, SojournError, Unavailable
from sojourn.keys.files import can_lock, locked, write_file
from sojourn.keys.inmemory import InMemoryDataKeys
from sojourn.keys.model import KeyOwner

_Signature = tuple[int, int, int]


class _Owned(NamedTuple):
    """The data keys of an owner, as a line of the file."""

    app: str
    user: str | None
    fields: dict[str, str]


class _Content(NamedTuple):
    """What the file holds, and members that this version does not know."""

    keys: InMemoryDataKeys
    more: dict[str, Any]


class FileDataKeys:
    """Data keys in one file, shared by the processes of a machine under a lock.

    Each change writes the file anew, so it is for some ten thousand users; beyond that, give the
    keys a server of their own.

    Args:
        path: the file; its folder has to be there.

    Raises:
        ConfigurationError: there is no such folder, or this platform locks no files: two processes
            could lose each other's keys.
    """

    def __init__(self, path: Path) -> None:
        if not can_lock():
            raise ConfigurationError(
                "key_store=file:PATH needs locks of files, which this platform does not have: give "
                "the data keys a server of their own."
            )
        if not path.parent.is_dir():
            raise ConfigurationError(
                f"{path.parent} is no folder: key_store=file:PATH needs one that is there."
            )
        self.path = path
        self._known: tuple[_Signature, _Content] | None = None

    async def run(self, operation: Operation[R]) -> R:
        """As `RoomStore`; in a thread, as it waits for the lock and the disk."""
        return await asyncio.to_thread(self._run, operation)

    def _run(self, operation: Operation[R]) -> R:
        try:
            with locked(self.path):
                content = self._load()
                keys = content.keys
                keys.changed = False
                self._known = None  # unless all goes well
                result = _finished(operation.in_memory(keys))
                if keys.changed:
                    write_file(self.path, _text(content), replace=True)
                self._known = self._signature(), content
                return result
        except OSError as error:
            raise Unavailable(
                f"The data keys in {self.path} cannot be reached ({error.strerror}). Nothing was "
                "read or written."
            ) from error
        except ConfigurationError as error:
            raise Unavailable(f"The data keys cannot be stored: {error}") from error

    def _load(self) -> _Content:
        known = self._known
        signature = self._signature()
        if known is not None and known[0] == signature:
            return known[1]
        if signature == _NO_FILE:
            return _Content(InMemoryDataKeys(), {})
        return _parsed(self.path, self.path.read_bytes())

    def _signature(self) -> _Signature:
        """Changes with each change of the file, as each makes another file."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return _NO_FILE
        return found.st_ino, found.st_mtime_ns, found.st_size


_NO_FILE = (0, 0, 0)


def _finished(work: Coroutine[Any, Any, R]) -> R:
    """The result of an operation in memory, which waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast("R", done.value)
    raise RuntimeError("an operation in memory has waited")


def _text(content: _Content) -> bytes:
    keys = content.keys
    owners = [
        _Owned(*owner, {field.decode(): value.decode() for field, value in fields.items()})
        for owner, fields in keys.records.items()
    ]
    members = {"format": "1", **content.more, "owners": owners, "destroyed": keys.destroyed}
    return msgspec.json.encode(members)


def _parsed(path: Path, data: bytes) -> _Content:
    try:
        more = msgspec.json.decode(data, type=dict[str, Any])
        check_format(more.get("format", "1").encode(), f"The data keys in {path}")
        keys = InMemoryDataKeys()
        keys.destroyed = msgspec.convert(more.pop("destroyed", {}), dict[str, int])
        for app, user, fields in msgspec.convert(more.pop("owners"), list[_Owned]):
            keys.records[KeyOwner(app, user)] = {
                field.encode(): value.encode() for field, value in fields.items()
            }
    except SojournError:
        raise
    except (ValueError, KeyError, AttributeError, msgspec.MsgspecError) as error:
        raise CorruptRecord(
            f"The data keys in {path} cannot be read: the file was damaged, or another program "
            "wrote it. Restore it from a backup: without it what they sealed is lost.",
            key=str(path),
            raw=b"",
        ) from error
    return _Content(keys, more)
