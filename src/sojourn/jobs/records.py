"""Records as jobs meet them: read, and replaced only where nobody has changed them meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from sojourn.calls.call import Argument, Call, Script, only
from sojourn.engine.engine import Engine
from sojourn.errors import CorruptRecord

_LUA = files("sojourn.jobs") / "lua"
_FIELDS = Script.load(_LUA, "swap_fields")
_ROWS = Script.load(_LUA, "swap_rows")

HEAD = (b"incarnation", b"epoch", b"dropped", b"log_id", b"format")
"""The fields of a session that are read with its log."""

Fields = Mapping[bytes, bytes]


class LogRows(NamedTuple):
    """Some rows of a log.

    Attributes:
        head: `HEAD` of the session, but for those that it does not have.
        first: the number of the first of these rows.
        rows: as they are stored.
    """

    head: Fields
    first: int
    rows: Sequence[bytes]


async def read_fields(engine: Engine, key: str) -> dict[bytes, bytes]:
    """All of a hash; empty when there is none. One round trip.

    Raises:
        CorruptRecord: it is no hash.
    """
    call: Call[Any] = Call(
        "jobs.read", (key,), only, commands=[("HGETALL", key)], separate_connection=True
    )
    flat = await engine.run(call)
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def swap_fields(
    engine: Engine, key: str, old: Fields, new: Fields, *, whole: bool, also: Iterable[bytes] = ()
) -> bool:
    """Change a hash from old to new fields; False when somebody has changed it. One round trip.

    Args:
        engine: where the call goes.
        key: of the hash.
        old: as it was read.
        new: as it is to be.
        whole: whether any change since then counts; otherwise those of fields that are to change.
        also: fields of which changes count too.
    """
    changed = {name: value for name, value in new.items() if old.get(name) != value}
    removed = [name for name in old if name not in new]
    looked = [*old] if whole else [*dict.fromkeys((*changed, *removed, *also))]
    args: list[Argument] = [len(old) if whole else "", _digest(map(old.get, looked)), len(looked)]
    args += looked
    args.append(len(changed))
    args += [word for pair in changed.items() for word in pair]
    args += removed
    call: Call[bytes] = Call("jobs.swap", (key,), only, script=_FIELDS, args=args)
    return await engine.run(call) == b"ok"


async def read_rows(engine: Engine, session: str, log: str, first: int, most: int) -> LogRows:
    """Rows of a log from a number on; those that were dropped are left out. One round trip.

    Raises:
        CorruptRecord: session or log is of another type, or its numbers cannot be read.
    """
    dropped = 0
    while True:
        place = max(0, first - dropped - 1)
        commands = [("HMGET", session, *HEAD), ("LRANGE", log, place, place + most - 1)]
        call: Call[list[Any]] = Call(
            "jobs.rows", (session, log), list, commands=commands, separate_connection=True
        )
        values, rows = await engine.run(call)
        head = {name: value for name, value in zip(HEAD, values, strict=True) if value is not None}
        try:
            now = int(head.get(b"dropped", b"0"))
        except ValueError as error:
            raise CorruptRecord(
                f"{session} does not say how many of its events were dropped: others wrote it, or "
                "it was damaged.",
                key=session,
                raw=head[b"dropped"],
            ) from error
        if now == dropped:
            return LogRows(head, dropped + place + 1, rows)
        dropped = now


async def swap_rows(
    engine: Engine, session: str, log: str, old: LogRows, new: Sequence[bytes]
) -> bool:
    """Replace rows in their places; False when somebody has changed them. One round trip."""
    args: list[Argument] = [
        old.head.get(b"incarnation", b""),
        old.head.get(b"epoch", b""),
        old.first,
        len(old.rows),
        _digest(old.rows),
    ]
    for place, (before, after) in enumerate(zip(old.rows, new, strict=True)):
        if before != after:
            args += [place, after]
    call: Call[bytes] = Call("jobs.swap", (session, log), only, script=_ROWS, args=args)
    return await engine.run(call) == b"ok"


def _digest(values: Iterable[bytes | None]) -> str:
    """As `digest_of` in `shared.lua`."""
    sum_ = hashlib.sha1(usedforsecurity=False)
    for value in values:
        sum_.update(b"-" if value is None else b"%d:%b" % (len(value), value))
    return sum_.hexdigest()
