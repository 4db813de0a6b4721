"""Dictionaries as a room of a store."""

from __future__ import annotations

from importlib import import_module

from sojourn.calls.operation import RoomStore
from sojourn.calls.room import OpenRoom, Room, RoomContext
from sojourn.codecs.codec import Codec
from sojourn.dictionaries.admin import DictionaryAdmin
from sojourn.dictionaries.inmemory import InMemoryDictionaries
from sojourn.dictionaries.keys import DictionaryRoomKeys
from sojourn.dictionaries.redis import RedisDictionaries
from sojourn.dictionaries.service import DictionarySource


def _open(at: RoomContext) -> OpenRoom:
    store: RoomStore
    if at.engine is None:
        store = InMemoryDictionaries()
    else:
        store = RedisDictionaries(at.engine, DictionaryRoomKeys(at.options.namespace))
    sealing = Codec(keys=at.codec.keys)
    source = DictionarySource(store, sealing, at.codec.compressor)
    if at.codec.compressor is not None:
        at.codec.dictionaries = source
    return OpenRoom(
        service=source,
        admin=DictionaryAdmin(store, source, sealing),
        store=store,
        close=source.close,
    )


ROOM = Room(
    name="dictionaries",
    keys=DictionaryRoomKeys,
    open=_open,
    public=False,
    wraps=(DictionaryAdmin,),
    commands=lambda: import_module("sojourn.surfaces.cli.codec"),
)
