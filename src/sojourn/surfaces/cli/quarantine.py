"""`sojourn quarantine`: what could not be read of a store, with its bytes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

from msgspec.structs import asdict
from rich.console import RenderableType
from rich.text import Text

from sojourn.admin import Admin
from sojourn.codecs.codec import Sealed, sealed_with
from sojourn.sessions import Quarantined
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import note, show, write_json
from sojourn.surfaces.cli.events import Hanging
from sojourn.surfaces.cli.exits import EPILOG, Ended, ExitCode
from sojourn.surfaces.cli.listing import every_app, every_user
from sojourn.surfaces.cli.options import (
    App,
    Json,
    Namespace,
    Oldest,
    OnlyApp,
    OnlyUser,
    RecordId,
    Url,
    User,
    Yes,
)
from sojourn.surfaces.cli.plain import age, counted, lines, moment, prose, visible
from sojourn.surfaces.cli.prefixes import only
from sojourn.surfaces.cli.root import epilog, group
from sojourn.surfaces.cli.sealed import sealed_member, sealed_text
from sojourn.surfaces.cli.tables import Column, Fields, Table

commands = group("quarantine", "Look at stored records that could not be read.")

_SHOWN = 4096
"""Bytes that people are shown; `--json` has all."""
_ROW = 16
"""Bytes of a line of a dump."""


_SHORT = f"ID may be the beginning of an id that only one record of the user has. {EPILOG}"


class _FoundRecord(NamedTuple):
    """A record, and whose quarantine it is in."""

    app: str
    user: str
    record: Quarantined

    def document(self) -> dict[str, Any]:
        """A line of `ls --json`: all but the bytes."""
        fields = asdict(self.record)
        del fields["raw"]
        sealed = sealed_member(self.sealed)
        return {"app": self.app, "user": self.user, **fields, **sealed}

    @property
    def sealed(self) -> Sealed | None:
        """What its bytes are sealed with; the whole of them counts, though not all are kept."""
        key = sealed_with(self.record.raw)
        return Sealed(key, self.record.size) if key else None


@commands.command(
    "ls", epilog=epilog("sojourn quarantine ls", "sojourn quarantine ls --app shop --json")
)
def _ls(
    *,
    app: OnlyApp = None,
    user: OnlyUser = None,
    oldest: Oldest = False,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """List what could not be read, of a user, of an app, or all: the newest first of each user."""
    with connect(url, namespace) as store:
        note(store.run(_list(_walk(store.admin, app, user, oldest=oldest), as_json=as_json)))


@commands.command("show", epilog=epilog("sojourn quarantine show shop ada 3f9c", more=_SHORT))
def _show(
    app: App,
    user: User,
    record: RecordId,
    *,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Show a record: what was wrong, and its bytes as text and in hexadecimal."""
    with connect(url, namespace) as store:
        kept = store.run(store.admin.quarantined(app, user))
        ids = [each.id for each in kept]
        beginning = [record] if record in ids else [name for name in ids if name.startswith(record)]
        if not beginning:
            raise _missing(app, user, record)
        whole = only("records", record, beginning)
        found = next(_FoundRecord(app, user, each) for each in kept if each.id == whole)
        if as_json:
            raw = b64encode(found.record.raw).decode()
            write_json([{**found.document(), "raw": raw}])
        else:
            show(*_detail(found))


@commands.command("rm", epilog=epilog("sojourn quarantine rm shop ada 3f9c", more=EPILOG))
def _rm(
    app: App,
    user: User,
    record: RecordId,
    *,
    yes: Yes = False,  # noqa: ARG001 - one needs no confirmation, but scripts may give it
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Take one record out of the quarantine, without asking. What still stands elsewhere stays."""
    with connect(url, namespace) as store:
        if not store.run(store.admin.release(app, user, record)):
            raise _missing(app, user, record)
        show(f"Removed {_named(app, user, record)}. Where it came from, nothing was changed.")


async def _walk(
    admin: Admin, app: str | None, user: str | None, *, oldest: bool
) -> AsyncIterator[Sequence[_FoundRecord]]:
    """What is in the quarantines, user by user."""
    async for name in every_app(admin, app):
        async for each in every_user(admin, name, user):
            records = await admin.quarantined(name, each, newest_first=not oldest)
            if records:
                yield [_FoundRecord(name, each, record) for record in records]


async def _list(found: AsyncIterator[Sequence[_FoundRecord]], *, as_json: bool) -> str:
    """Show the records, user by user; returns what to note about their number."""
    count = 0
    async for records in found:
        if as_json:
            write_json(each.document() for each in records)
        else:
            show(_table(records))
        count += len(records)
    return counted(count, "record") if count else "no records"


def _table(records: Sequence[_FoundRecord]) -> Table:
    return Table(_COLUMNS, [_cells(each) for each in records])


_COLUMNS = (
    *(Column(name, whole=True) for name in ("app", "user", "id", "key")),
    Column("field", whole=True, optional=""),
    Column("bytes", right=True),
    Column("found"),
    Column("reason", text=True),
)


def _cells(found: _FoundRecord) -> list[str]:
    app, user, record = found
    return [
        *(visible(part) for part in (app, user, record.id, record.key)),
        visible(record.field) if record.field else "",
        f"{record.size:,}",
        age(record.time),
        prose(record.reason),
    ]


def _detail(found: _FoundRecord) -> Iterator[RenderableType]:
    app, user, record = found
    fields = {
        "app": visible(app),
        "user": visible(user),
        "id": visible(record.id),
        "key": visible(record.key),
        "field": visible(record.field) if record.field else "(the whole key)",
        "reason": prose(record.reason),
        "found": f"{moment(record.time)}  ({age(record.time)})",
        "bytes": _bytes(record),
    }
    texts = {name: Text(value) for name, value in fields.items()}
    yield Fields(texts, whole=("app", "user", "id", "key", "field"))
    if record.raw:
        data = record.raw[:_SHOWN]
        yield Text("\ntext", "bold")
        text = "\n".join(lines(data.decode(errors="backslashreplace")))
        if (sealed := found.sealed) is not None:
            text = sealed_text(sealed)
        yield Hanging(Text(text), first=4)
        yield Text("\nhexadecimal", "bold")
        yield Text("\n".join(_dump(data)), no_wrap=True, overflow="ignore")


def _bytes(record: Quarantined) -> str:
    words = [f"{record.size:,}"]
    if len(record.raw) < record.size:
        words.append(f"the first {len(record.raw):,} are kept")
    if len(record.raw) > _SHOWN:
        words.append(f"the first {_SHOWN:,} are shown, --json has all that are kept")
    return "; ".join(words)


def _dump(data: bytes) -> Iterator[str]:
    """Lines of offset, bytes in hexadecimal, and what of them is printable ASCII."""
    for start in range(0, len(data), _ROW):
        row = data[start : start + _ROW]
        text = row.decode("ascii", "replace")
        safe = "".join(each if each.isascii() and each.isprintable() else "." for each in text)
        yield f"    {start:08x}  {row.hex(' '):<{3 * _ROW - 1}}  {safe}"


def _named(app: str, user: str, record: str) -> str:
    return f"record {visible(record)} of user {visible(user)} of app {visible(app)}"


def _missing(app: str, user: str, record: str) -> Ended:
    name = _named(app, user, record)
    return Ended(f"error: there is no {name} in the quarantine", ExitCode.NOT_FOUND)
