"""The dictionaries of apps, read once and cached."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from contextvars import Context
from time import monotonic
from typing import NamedTuple

from sojourn.calls.operation import RoomStore
from sojourn.codecs.codec import Codec, Coder, Compressor
from sojourn.codecs.compression import Dictionary, Zstd, is_shipped
from sojourn.dictionaries.model import ACTIVE, CONTENT, LARGEST, place_of
from sojourn.dictionaries.operations.fields import ReadDictionaryFields
from sojourn.errors import CorruptRecord, SojournError
from sojourn.process_bound import stays_here, tell_after_fork

CACHE_SECONDS = 60.0
"""For so long a process writes with a dictionary without asking whether it is still active."""
_AGAIN = 1.0
"""Seconds until a write has a dictionary asked for again that could not be read."""
_APPS = 1_000
"""Apps of which the dictionaries are cached."""


class _Known(NamedTuple):
    """The dictionaries of an app that this process has, and when it asked which one is active."""

    asked: float
    dictionaries: dict[str, Dictionary]
    compressor: Zstd

    @property
    def fresh(self) -> bool:
        """Whether it may be written with: the one that is retired is not in use for longer."""
        return monotonic() - self.asked < CACHE_SECONDS


@stays_here("its URL, and open the store there", holds="dictionaries")
class DictionarySource:
    """Gives what compresses and expands the values of an app.

    No write waits for a dictionary: until the app's own one is here, it uses the shipped one.

    Args:
        store: where dictionaries are.
        codec: opens them. It does not compress.
        default: what has the shipped dictionaries only.
    """

    def __init__(self, store: RoomStore, codec: Codec, default: Compressor | None) -> None:
        self._store = store
        self._codec = codec
        self._default = default
        self._known: dict[str, _Known] = {}
        self._tried: dict[str, float] = {}
        self._loading: set[asyncio.Task[None]] = set()
        tell_after_fork(self)

    def after_fork(self) -> None:
        """Forget what the parent is loading."""
        self._tried, self._loading = {}, set()

    def for_writing(self, app: str) -> Compressor | None:
        """What has the active dictionary of an app; at first the shipped one."""
        known = self._known.get(app)
        if known is not None and known.fresh:
            return known.compressor
        self._load_soon(app)
        return self._default

    async def for_reading(
        self, app: str, names: Collection[str], *, writes: bool
    ) -> Compressor | None:
        """What has some dictionaries of an app. No round trip while they are cached, else two.

        Args:
            app: whose.
            names: of the dictionaries. One that is not there is missed when a value is expanded.
            writes: whether it is to compress, too.

        Raises:
            Unavailable: they are not cached, and no server answers.
            Undecodable: this process has not the key that they are sealed with.
            CorruptRecord: one was damaged.
        """
        names = {name for name in names if not is_shipped(name)}
        known = self._known.get(app)
        if not names:
            return self.for_writing(app) if writes else self._default
        if known is None or names - known.dictionaries.keys() or (writes and not known.fresh):
            known = await self._load(app, names)
        return known.compressor

    def forget(self, app: str) -> None:
        """Ask again before the next write."""
        self._known.pop(app, None)
        self._tried.pop(app, None)

    async def close(self) -> None:
        """Stop loading."""
        loop = asyncio.get_running_loop()
        ours = [task for task in list(self._loading) if task.get_loop() is loop]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)

    def _load_soon(self, app: str) -> None:
        now = monotonic()
        if now - self._tried.get(app, float("-inf")) < _AGAIN:
            return
        if len(self._tried) >= _APPS:
            self._tried.clear()
        self._tried[app] = now
        # A context of its own: the deadline of the write is not this one's.
        task = asyncio.get_running_loop().create_task(self._try(app), context=Context())
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def _try(self, app: str) -> None:
        with suppress(SojournError):  # the shipped one does
            await self._load(app, ())

    async def _load(self, app: str, names: Collection[str]) -> _Known:
        asked = monotonic()
        before = self._known.get(app)
        held = {} if before is None else dict(before.dictionaries)
        found = await self._store.run(ReadDictionaryFields(app, [ACTIVE]))
        active = found.get(ACTIVE, b"").decode(errors="replace")
        wanted = {name for name in {active, *names} if name not in held and not is_shipped(name)}
        for name, content in (await self.contents(app, wanted - {""})).items():
            held[name] = content
        known = _Known(
            asked, held, Zstd(held.values(), writes_with=active if active in held else None)
        )
        if len(self._known) >= _APPS:
            self._known.pop(next(iter(self._known)))
        self._known[app] = known
        return known

    async def absent(self, app: str, names: Collection[str]) -> set[str]:
        """Those of some dictionaries that neither this version nor the app has. One round trip."""
        wanted = {name for name in names if not is_shipped(name)}
        if not wanted:
            return wanted
        fields = await self._store.run(
            ReadDictionaryFields(app, [CONTENT + name for name in sorted(wanted)])
        )
        return wanted - {field.removeprefix(CONTENT) for field in fields}

    async def contents(self, app: str, names: Collection[str]) -> dict[str, Dictionary]:
        """Dictionaries as they are stored. One round trip; none for no names."""
        if not names:
            return {}
        fields = await self._store.run(
            ReadDictionaryFields(app, [CONTENT + name for name in sorted(names)])
        )
        coder = await self._codec.coder(app, None, fields.values())
        return {
            name: _read(app, name, stored, coder)
            for field, stored in fields.items()
            if (name := field.removeprefix(CONTENT))
        }


def _read(app: str, name: str, stored: bytes, coder: Coder) -> Dictionary:
    flaw = "it is another one"
    try:
        found = Dictionary(coder.decode(stored, place_of(app, name), LARGEST))
        if found.id == name:
            return found
    except ValueError as error:
        flaw = str(error)
    raise CorruptRecord(
        f"The dictionary {name} of {app} cannot be read ({flaw}): restore it from a backup.",
        key=CONTENT + name,
        raw=stored,
    )
