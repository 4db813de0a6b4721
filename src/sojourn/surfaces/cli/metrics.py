"""`sojourn metrics`: figures of a server, for people and for Prometheus."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Annotated, Any, cast

import typer

from sojourn.admin import ServerMetrics
from sojourn.errors import SojournError
from sojourn.surfaces.cli.connection import Connection, connect_to
from sojourn.surfaces.cli.console import note, show
from sojourn.surfaces.cli.exits import Ended, ExitCode
from sojourn.surfaces.cli.options import Namespace, Server, Url
from sojourn.surfaces.cli.plain import counted, prose
from sojourn.surfaces.cli.root import CHECK, app, epilog
from sojourn.surfaces.cli.tables import Column, Table

_FRESH = 10.0
"""Seconds for which `--listen` gives the same figures, however often it is asked."""
_PATIENCE = 5.0
"""Seconds that somebody who connects to `--listen` has for a request."""
_CONTENT = "text/plain; version=0.0.4; charset=utf-8"


class Format(StrEnum):
    """How figures are written."""

    TABLE = "table"
    TEXT = "text"
    JSON = "json"


@app.command(
    "metrics",
    rich_help_panel=CHECK,
    epilog=epilog(
        "sojourn metrics redis://localhost:6379",
        "sojourn metrics --format text",
        "sojourn metrics --listen 127.0.0.1:9465",
        more="Figures of a process (durations, cache hits, retries) are its own: "
        "`sojourn.telemetry.prometheus`.",
    ),
)
def metrics(
    server: Server = None,
    *,
    format: Annotated[  # noqa: A002 - the option's name
        Format, typer.Option("--format", help="For people, for Prometheus, or one JSON object.")
    ] = Format.TABLE,
    keys: Annotated[
        int, typer.Option(min=0, help="Look at so many keys of each server at most; 0: none.")
    ] = 10_000,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            show_default=False,
            help="Serve them to Prometheus at /metrics until Ctrl-C.",
        ),
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Count sessions, users, keys and memory by room. Figures of keys are estimates by a sample.

    Sessions and users are counted by indexes. It only reads.
    """
    with connect_to(server, url, namespace) as store:
        if listen is not None:
            _serve(store, listen, keys)
            return
        found = store.run(store.admin.metrics(keys=keys))
        if format is Format.TABLE:
            show(*_page(found))
        elif format is Format.JSON:
            sys.stdout.write(json.dumps(_document(found)) + "\n")
        else:
            sys.stdout.write(as_text(found))
        sys.stdout.flush()
        if not found.exact:
            note(_estimated(found))


def as_text(found: ServerMetrics) -> str:
    """Figures in the text format of Prometheus."""
    lines: list[str] = []
    for name, about, samples in _families(found):
        lines += [f"# HELP sojourn_server_{name} {about}", f"# TYPE sojourn_server_{name} gauge"]
        lines += [f"sojourn_server_{name}{labels} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _families(found: ServerMetrics) -> Iterator[tuple[str, str, list[tuple[str, int]]]]:
    """Labels are words of Sojourn's own, so that nothing in them needs an escape."""

    def of(each: Any) -> str:
        return f'{{room="{each.room}",kind="{each.kind}"}}'

    yield "apps", "Apps that have users.", [("", found.apps)]
    yield "users", "Users, by the indexes.", [("", found.users)]
    yield "sessions", "Sessions that have not expired, by the indexes.", [("", found.sessions)]
    yield "database_keys", "All keys, others' too.", [("", found.keys)]
    yield "sampled_keys", "Keys that were looked at.", [("", found.looked_at)]
    counts = [(of(each), each.keys) for each in found.kinds]
    yield "keys", "Keys by kind; an estimate where not all were looked at.", counts
    sizes = [(of(each), each.size) for each in found.kinds if each.size is not None]
    yield "memory_bytes", "Memory by kind; an estimate where not all were looked at.", sizes
    if found.used is not None:
        yield "used_memory_bytes", "Memory that the server uses in all.", [("", found.used)]
    if found.most is not None:
        yield "max_memory_bytes", "Its maxmemory; 0 for none.", [("", found.most)]


def _document(found: ServerMetrics) -> dict[str, Any]:
    return {
        **found._asdict(),
        "kinds": [each._asdict() for each in found.kinds],
        "rooms": found.rooms(),
    }


def _page(found: ServerMetrics) -> Iterator[Any]:
    yield (
        f"{prose(found.where)}: {counted(found.sessions, 'session')} of "
        f"{counted(found.users, 'user')} in {counted(found.apps, 'app')}."
    )
    about = "~" if not found.exact else ""
    columns = (
        Column("room", whole=True),
        Column("kind", whole=True),
        Column("keys", right=True),
        Column("memory", right=True, optional=""),
    )
    rows = [
        (
            each.room,
            each.kind,
            f"{about}{each.keys:,}",
            "" if each.size is None else f"{about}{_size(each.size)}",
        )
        for each in found.kinds
    ]
    if rows:
        yield ""
        yield Table(columns, rows)
        yield ""
    sizes = {room: size for room, size in found.rooms().items() if size is not None}
    if sizes:
        yield ", ".join(f"{room} {about}{_size(size)}" for room, size in sizes.items()) + "."
    if found.used is not None:
        limit = f" of {_size(found.most)}" if found.most else ", no maxmemory"
        yield f"The server uses {_size(found.used)}{limit}."


def _size(number: int) -> str:
    """Bytes for people."""
    for power, name in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 1 << power:
            return f"{number / (1 << power):,.1f} {name}"
    return f"{number} B"


def _estimated(found: ServerMetrics) -> str:
    looked = f"{found.looked_at:,} of {counted(found.keys, 'key')} were looked at"
    return f"{looked}: keys and memory are estimates. --keys {found.keys} looks at all."


class MetricsHandler(BaseHTTPRequestHandler):
    """Answers `GET /metrics`, one caller after the other."""

    timeout = _PATIENCE

    def do_GET(self) -> None:
        """Called by http.server."""
        if self.path.partition("?")[0] != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, "Ask for /metrics.\n")
            return
        try:
            text = cast("MetricsServer", self.server).text()
        except SojournError as error:
            note(f"error: {error}")
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "No figures: the log says why.\n")
        else:
            self._answer(HTTPStatus.OK, text)

    def _answer(self, status: HTTPStatus, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", _CONTENT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's
        """Write no line for each request."""


class MetricsServer(HTTPServer):
    """Serves the figures of a store; asks its server at most once in ten seconds."""

    def __init__(self, address: tuple[str, int], store: Connection, keys: int) -> None:
        super().__init__(address, MetricsHandler)
        self._store = store
        self._keys = keys
        self._text = ""
        self._until = 0.0

    def text(self) -> str:
        """The figures now, or those of some seconds ago."""
        if time.monotonic() >= self._until:
            try:
                found = self._store.run(self._store.admin.metrics(keys=self._keys))
            except SojournError:  # no loop runs until the next request, so none would connect again
                self._store.run(self._store.store.disconnect())
                raise
            self._text, self._until = as_text(found), time.monotonic() + _FRESH
        return self._text


def _serve(store: Connection, listen: str, keys: int) -> None:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) >= 2**16:
        raise Ended("error: --listen wants HOST:PORT, as 127.0.0.1:9465.", ExitCode.WRONG_INPUT)
    try:
        server = MetricsServer((host.strip("[]"), int(port)), store, keys)
    except OSError as error:
        raise Ended(f"error: cannot listen at {listen}: {error}", ExitCode.WRONG_INPUT) from error
    with server:
        note(f"serving http://{host}:{server.server_port}/metrics; Ctrl-C ends it")
        server.serve_forever()
