"""Connection options of commands: they choose the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import sojourn
from sojourn.admin import Admin
from sojourn.client import Sojourn
from sojourn.errors import ConfigurationError
from sojourn.keys import KeyRing
from sojourn.options import Options, from_query
from sojourn.sessions import Sessions
from sojourn.surfaces.cli.console import note
from sojourn.surfaces.cli.exits import Ended, ExitCode, one_line_errors
from sojourn.surfaces.cli.plain import counted, visible

_BUFFER = ("on_outage", "journal", "buffer_calls", "buffer_bytes", "buffer_seconds")
"""Arguments that are the application's: a command tells of an outage and buffers nothing."""

_SILENCE = logging.NullHandler()
"""Here what Sojourn logs is told as notes and errors; without any handler Python would print it."""

T = TypeVar("T")


class Connection:
    """An open store, and the event loop that it lives in.

    Attributes:
        store: all of it.
        sessions: the sessions room.
        admin: calls for operators.
        guard: makes handles that can name one user only.
        where: the server's address and namespace, without secrets.
    """

    def __init__(self, store: Sojourn, where: str, runner: asyncio.Runner) -> None:
        self.store = store
        self.sessions: Sessions = store.sessions
        self.admin: Admin = store.admin
        self.guard = store.guard
        self.where = where
        self._runner = runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until done; between two runs Ctrl-C is Python's own, so that a prompt can end."""
        return self._runner.run(work)


class _Target(NamedTuple):
    url: str
    said_by: str
    arguments: dict[str, Any]


@contextmanager
def connect(
    url: str | None,
    namespace: str | None,
    *,
    said_by: str = "--url",
    memory: bool = False,
    keys: str | None = None,
    whatever_keys: bool = False,
) -> Generator[Connection]:
    """Open the store of a command and say which; errors inside become a line and an exit code.

    With `memory` it may be `memory://`: the command goes on for long. `keys` is a file of master
    keys, in place of that of the environment. With `whatever_keys` that file is read only when a
    key is needed: the command says itself what is wrong with it.
    """
    logging.getLogger("sojourn").addHandler(_SILENCE)
    with one_line_errors():
        target = _target(url, namespace, said_by, memory=memory)
        if keys is not None:
            target.arguments["keys"] = keys
        if whatever_keys:
            target = _reading_keys_later(target)
        store = sojourn.open(target.url, **target.arguments)
        where = store.where
        _, options = from_query(target.url, Options(**target.arguments))
        if options.namespace:
            where += f", namespace {visible(options.namespace)}"
        note(f"using {where} ({target.said_by})")
        if store.where.startswith("embedded:") and not _is_there(store.where):
            note("nothing was there: it is begun anew. Choose another with --url or SOJOURN_URL.")
        with asyncio.Runner() as runner:
            try:
                yield Connection(store, where, runner)
            finally:
                runner.run(store.close())
        if count := store.stats().corrupt:
            records = counted(count, "stored record")
            note(f"{records} cannot be read: see sojourn quarantine ls")


def connect_to(
    server: str | None,
    url: str | None,
    namespace: str | None,
    *,
    keys: str | None = None,
    whatever_keys: bool = False,
) -> AbstractContextManager[Connection]:
    """The same for a command whose URL may be an argument, too."""
    with one_line_errors():
        if server is not None and url is not None:
            raise Ended("error: one URL: as the argument or as --url.", ExitCode.WRONG_INPUT)
    url, said_by = (url, "--url") if server is None else (server, "the argument")
    return connect(url, namespace, said_by=said_by, keys=keys, whatever_keys=whatever_keys)


def _reading_keys_later(target: _Target) -> _Target:
    """The same, with a function in place of the file of master keys."""
    url, options = from_query(target.url, Options(**target.arguments))
    if isinstance(options.keys, str):
        options = options._replace(keys=partial(KeyRing.load, options.keys))
    return target._replace(url=url, arguments=options._asdict())


def _is_there(where: str) -> bool:
    return Path(where.removeprefix("embedded:")).exists()


def _target(url: str | None, namespace: str | None, said_by: str, *, memory: bool) -> _Target:
    """What the command line says, else the environment, else the embedded server."""
    settings = sojourn.Settings()
    if url is None:
        url = settings.url
        said_by = settings.said_by or "the default; choose with --url or SOJOURN_URL"
    if not memory and url.partition(":")[0].lower() == "memory":
        raise ConfigurationError(
            f"memory:// ({said_by}) is the memory of one process, so here it would always be "
            "empty: name the server of your application, as in --url redis://localhost:6379."
        )
    arguments = {name: each for name, each in settings.arguments.items() if name not in _BUFFER}
    if namespace is not None:
        arguments["namespace"] = namespace
    return _Target(url, said_by, arguments)
