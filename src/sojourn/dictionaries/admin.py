"""Dictionary operations for operators: which an app has, and which one compresses new values."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from typing import NamedTuple

import msgspec

from sojourn.calls.operation import RoomStore
from sojourn.codecs.codec import Codec
from sojourn.codecs.compression import SHIPPED, Dictionary, is_shipped, shipped
from sojourn.dictionaries.model import (
    ABOUT,
    ACTIVE,
    CONTENT,
    LARGEST,
    SINCE,
    DictionaryRecord,
    digests_of,
    parse_record,
    place_of,
)
from sojourn.dictionaries.operations.fields import (
    ReadDictionaryFields,
    RemoveDictionaryFields,
    SetDictionaryFields,
)
from sojourn.dictionaries.service import CACHE_SECONDS, DictionarySource
from sojourn.errors import Conflict, CorruptRecord, DictionaryMissing, InvalidInput, TooLarge
from sojourn.ids import parse_app, parse_user
from sojourn.process_bound import stays_here

_encode = msgspec.json.Encoder().encode


class DictionaryInfo(NamedTuple):
    """A dictionary that an app can use.

    Attributes:
        id: six characters, of a digest of its bytes.
        size: its bytes.
        active: whether new values are compressed with it.
        made: when it was stored, seconds since the epoch; 0 for a shipped one.
        users: how many users' values it was trained on; 0 for a shipped one.
        seen_by: how many users must have had each piece of it; 1 for no such limit.
        sealed: whether it is stored sealed.
    """

    id: str
    size: int
    active: bool
    made: float = 0.0
    users: int = 0
    seen_by: int = 1
    sealed: bool = False


@stays_here("its URL, and open the store there")
class DictionaryAdmin:
    """The calls of `store.admin.dictionaries`.

    Every method may also raise `Unavailable` and its kin when no server answers in time.

    Args:
        store: where dictionaries are.
        source: caches them in this process.
        codec: seals them, where keys are set. It does not compress.
    """

    def __init__(self, store: RoomStore, source: DictionarySource, codec: Codec) -> None:
        self._store = store
        self._source = source
        self._codec = codec

    async def ls(self, app: str) -> list[DictionaryInfo]:
        """The dictionaries that an app can use, the shipped one first. One round trip.

        Raises:
            CorruptRecord: what is known of one cannot be read.
        """
        app = parse_app(app)
        fields = await self._store.run(ReadDictionaryFields(app))
        active = fields.get(ACTIVE, b"").decode(errors="replace") or SHIPPED
        size = len(shipped()[SHIPPED].content)
        found = [DictionaryInfo(SHIPPED, size, active == SHIPPED)]
        for field, value in sorted(fields.items()):
            if field.startswith(ABOUT):
                name = field.removeprefix(ABOUT)
                content = fields.get(CONTENT + name, b"")
                about = parse_record(app, name, value)
                found.append(
                    DictionaryInfo(
                        name,
                        about.size,
                        active == name,
                        about.made,
                        about.users,
                        about.seen_by,
                        content[:1] == b"\xff",
                    )
                )
        return found

    async def add(
        self, app: str, dictionary: Dictionary, *, users: Collection[str] = (), seen_by: int = 1
    ) -> DictionaryInfo:
        """Store a dictionary and compress an app's new values with it. Three round trips.

        Within a minute all processes that compress use it. It stays until it is retired, and is
        sealed where the store has keys. It may be repeated.

        Args:
            app: whose values it is for.
            dictionary: as `sojourn.transfer.train` returns it.
            users: on whose values it was trained: erasure names it to them. Only salted digests of
                them are kept.
            seen_by: how many users had each piece of it.

        Raises:
            InvalidInput: it is a shipped one.
            TooLarge: it has more than 1 MiB.
        """
        app, name, content = parse_app(app), dictionary.id, dictionary.content
        if is_shipped(name):
            raise InvalidInput("This dictionary is in the package: there is nothing to store.")
        if len(content) > LARGEST:
            raise TooLarge("A dictionary", len(content), LARGEST)
        salt = secrets.token_hex(16)
        about = DictionaryRecord(
            size=len(content),
            made=round(time.time(), 3),
            seen_by=seen_by,
            users=len(users),
            salt=salt,
            digests=digests_of(salt, users),
        )
        coder = await self._codec.coder(app, None, create=True)
        stored = coder.encode(content, place_of(app, name), json=False)
        fields = {"format": b"1", CONTENT + name: stored, ABOUT + name: _encode(about)}
        await self._store.run(SetDictionaryFields(app, fields))
        await self._source.contents(app, [name])  # nothing may depend on what cannot be read
        await self.activate(app, name)
        sealed = stored != content
        return DictionaryInfo(
            name,
            about.size,
            active=True,
            made=about.made,
            users=about.users,
            seen_by=seen_by,
            sealed=sealed,
        )

    async def activate(self, app: str, name: str) -> None:
        """Compress an app's new values with another of its dictionaries. Two round trips.

        Args:
            app: whose.
            name: the id of the dictionary, stored or shipped.

        Raises:
            DictionaryMissing: the app has none of that id.
        """
        app = parse_app(app)
        if not is_shipped(name):
            await self.get(app, name)
        fields = {ACTIVE: b"" if is_shipped(name) else name.encode(), SINCE: b"%f" % time.time()}
        await self._store.run(SetDictionaryFields(app, fields))
        self._source.forget(app)

    async def get(self, app: str, name: str) -> Dictionary:
        """A dictionary of an app. One round trip.

        Raises:
            DictionaryMissing: the app has none of that id.
            CorruptRecord: it was damaged.
        """
        app = parse_app(app)
        found = await self._source.contents(app, [name])
        if name not in found:
            raise DictionaryMissing(
                f"{app} has no dictionary {name!r}: `sojourn codec ls` lists them.",
                dictionary=name,
            )
        return found[name]

    async def unused_in(self, app: str, name: str) -> float:
        """Seconds after which no process compresses with a dictionary any more. One round trip.

        Raises:
            Conflict: it is the active one.
        """
        fields = await self._store.run(ReadDictionaryFields(parse_app(app), [ACTIVE, SINCE]))
        if fields.get(ACTIVE, b"").decode(errors="replace") == name:
            raise Conflict(f"The dictionary {name} compresses the new values of {app}.")
        since = float(fields.get(SINCE, b"0"))
        return max(0.0, since + CACHE_SECONDS - time.time())

    async def remove(self, app: str, name: str) -> None:
        """Delete a dictionary. What was compressed with it is lost: `retire_dictionary` looks.

        Two round trips.

        Raises:
            Conflict: a process may still compress with it.
        """
        app = parse_app(app)
        if (seconds := await self.unused_in(app, name)) > 0:
            raise Conflict(
                f"Processes may compress with the dictionary {name} for {seconds:.0f} s more."
            )
        await self._store.run(RemoveDictionaryFields(app, [CONTENT + name, ABOUT + name]))
        self._source.forget(app)

    async def trained_on(self, app: str, user: str) -> list[str]:
        """The ids of an app's dictionaries that were trained on values of a user. One round trip.

        One of which that cannot be read any more is among them.
        """
        app, user = parse_app(app), parse_user(user)
        fields = await self._store.run(ReadDictionaryFields(app))
        names = [name for name in sorted(fields) if name.startswith(ABOUT)]
        return [
            name.removeprefix(ABOUT)
            for name in names
            if _is_of(app, name.removeprefix(ABOUT), fields[name], user)
        ]


def _is_of(app: str, name: str, value: bytes, user: str) -> bool:
    try:
        return parse_record(app, name, value).is_of(user)
    except CorruptRecord:
        return True
