"""The codec of a store: what was encoded is decoded in its own place, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from extent import FULL
from sojourn.codecs.codec import Codec, Coder, DataKeys, Place
from sojourn.codecs.encryption import NONCE_BYTES, DataKey
from sojourn.codecs.growth import Unopened
from sojourn.codecs.serializers import MessagePack
from sojourn.errors import InvalidInput, KeyMissing, NewerFormat, Tampered

HERE = Place("sessions", "state", "shop", "ada", "log", "cart")
VALUE = b'{"tea":[1,2.5,"\xc3\xa9"]}'
MOST = 1000


class Ring:
    """Keys of tests, by owner."""

    def __init__(self, *, migrating: bool = False) -> None:
        self.keys: dict[tuple[str, str | None], DataKey] = {}
        self.migrating = migrating

    async def keys_of(
        self, app: str, user: str | None, wanted: Collection[str], *, create: bool
    ) -> DataKeys:
        key = self.keys.setdefault((app, user), DataKey(bytes([len(self.keys)]) * 32))
        return DataKeys(key, {key.id: key}, migrating=self.migrating)


async def coder(*, migrating: bool = False) -> Coder:
    return await Codec(MessagePack(), keys=Ring(migrating=migrating)).coder("shop", "ada")


async def test_what_is_sealed_opens_in_its_place_only() -> None:
    sealed = (ada := await coder()).encode(VALUE, HERE, sized=True)
    assert b"tea" not in sealed
    assert ada.decode(sealed, HERE, MOST) == VALUE
    for field in HERE._fields:
        with pytest.raises(Tampered):
            ada.decode(sealed, HERE._replace(**{field: "other"}), MOST)
    with pytest.raises(Tampered):
        ada.decode(sealed, HERE._replace(user=None), MOST)


async def test_a_coder_remembers_no_sizes() -> None:
    ada = await coder()
    for size in range(300):
        value = b'"%b"' % (b"x" * size)
        assert ada.decode(ada.encode(value, HERE, sized=True), HERE, MOST) == value
    assert len(ada._ways) == 1


async def test_no_bit_can_be_flipped() -> None:
    sealed = (ada := await coder()).encode(VALUE, HERE, lead=b'"e1"\n')
    for at in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[at // 8] ^= 1 << at % 8
        assert isinstance(ada.open(bytes(changed), HERE, MOST, leads=True), Unopened)


async def test_plain_text_is_refused_where_it_was_sealed() -> None:
    with pytest.raises(Tampered):
        (await coder()).decode(VALUE, HERE, MOST)
    packed = (await Codec(MessagePack()).coder("shop", "ada")).encode(VALUE, HERE)
    with pytest.raises(Tampered):
        (await coder()).decode(packed, HERE, MOST)
    assert (await coder(migrating=True)).decode(VALUE, HERE, MOST) == VALUE


async def test_without_the_key_it_is_missing_and_not_damaged() -> None:
    sealed = (await coder()).encode(VALUE, HERE)
    with pytest.raises(KeyMissing, match="keys="):
        (await Codec(serializers=[MessagePack()]).coder("shop", "ada")).open(sealed, HERE, MOST)
    packed = (await Codec(MessagePack()).coder("shop", "ada")).encode(VALUE, HERE)
    with pytest.raises(NewerFormat, match="msgpack"):
        (await Codec().coder("shop", "ada")).open(packed, HERE, MOST)


@given(some.binary(max_size=200), some.booleans())
async def test_bytes_come_back(value: bytes, sized: bool) -> None:
    ada = await coder()
    sealed = ada.encode(value, HERE, sized=sized, json=False)
    assert ada.decode(sealed, HERE, MOST) == value
    encodings, body = ada.encode_data(value, HERE)
    assert ada.decode_data(encodings, body, HERE, MOST) == value


class Lines(MessagePack):
    """A serializer that gives text, as `json.dumps` does."""

    name = "lines"

    def dumps(self, value: Any, /) -> Any:
        return json.dumps(value)


async def test_a_serializer_that_gives_no_bytes_is_told() -> None:
    plain = await Codec(Lines()).coder("shop", "ada")
    with pytest.raises(InvalidInput, match="'lines' gave str, not bytes"):
        plain.encode(VALUE, HERE)


def test_no_nonce_comes_twice() -> None:
    key = DataKey(bytes(32))
    writes = 1_000_000 if FULL else 20_000
    assert len({key.seal(b"", b"")[:NONCE_BYTES] for _ in range(writes)}) == writes
