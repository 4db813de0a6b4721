"""Search of some records for dictionaries that they need and that are gone."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from typing import Any

from sojourn.calls.call import Call, Command, only
from sojourn.calls.keys import Keys
from sojourn.dictionaries.service import DictionarySource
from sojourn.engine.engine import Engine
from sojourn.engine.scan import scan

_TOGETHER = 100
_SAMPLE: dict[bytes, tuple[Command, ...]] = {
    b"hash": (("HRANDFIELD", "", 8, "WITHVALUES"),),
    b"list": (("LRANGE", "", 0, 0), ("LRANGE", "", -1, -1)),
}
"""Types of keys that hold content, and how some of it is read; the key is the second word."""
_named = re.compile(rb"^\xff\d+ [^\n]*\bzstd:([A-Za-z0-9_-]{6})[ \n]").match


async def missing_dictionaries(
    engine: Engine, keys: Keys, source: DictionarySource, most: int
) -> tuple[int, dict[str, set[str]]]:
    """How many records were looked at, and the dictionaries that some need and nobody has, by app.

    A round trip for each 1,000 keys until so many were found, two for each 100, one for each app.

    Args:
        engine: where calls go.
        keys: of the deployment.
        source: of dictionaries.
        most: records to look at, at most.
    """
    names: list[str] = []
    async for name in scan(engine, f"{keys.start}*"):
        if keys.kind_of(name) is not None:
            names.append(name)
        if len(names) >= most:
            break
    needed: defaultdict[str, set[str]] = defaultdict(set)
    for first in range(0, len(names), _TOGETHER):
        batch = names[first : first + _TOGETHER]
        for name, found in zip(
            batch, await asyncio.gather(*(_needed(engine, name) for name in batch)), strict=True
        ):
            needed[keys.tag_of(name)[0]] |= found
    missing: dict[str, set[str]] = {}
    for app, wanted in needed.items():
        if gone := await source.absent(app, wanted):
            missing[app] = gone
    return len(names), missing


async def _needed(engine: Engine, key: str) -> set[str]:
    """The dictionaries that some values in a key name."""
    kind: Call[Any] = Call("doctor.type", (key,), only, commands=[("TYPE", key)])
    found: set[str] = set()
    word_of = await engine.run(kind)
    for word, _, *rest in _SAMPLE.get(word_of if isinstance(word_of, bytes) else b"", ()):
        call: Call[Any] = Call(
            *("doctor.sample", (key,), only), commands=[(word, key, *rest)], allow_wrong_type=True
        )
        reply = await engine.run(call)
        if not isinstance(reply, Exception):
            found |= {name[1].decode() for value in reply if (name := _named(value))}
    return found
