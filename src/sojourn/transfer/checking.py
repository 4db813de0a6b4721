"""Checks of archive records: a record that no store would have written is refused.

Error messages never quote the refused data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from sojourn.caps import CAPS, CEILING
from sojourn.codecs import check_members
from sojourn.codecs.growth import MARK, is_json
from sojourn.errors import TooLarge
from sojourn.ids import parse_app, parse_entry, parse_tag, parse_tenant, parse_user
from sojourn.memory.checks import tenant
from sojourn.sessions.event_codec import GAP
from sojourn.sessions.scope import APP, TEMP, USER
from sojourn.transfer.lines import (
    ArtifactLine,
    CacheLine,
    Line,
    MemoryLine,
    RoomLine,
    SessionLine,
    StateLine,
)
from sojourn.transfer.values import (
    fields_of,
    is_sound,
    key_of,
    place_of,
    rows_of,
    scope_of,
    state_owner,
    stored,
)

_MOST = 10**15
"""A number from which scripts would round."""
_LAST = 10.0**11
"""Seconds since the epoch that no instant exceeds."""
_AGES = 10.0**10
"""Seconds that no lifetime exceeds."""
_CRC = 8
_LOG_ID = 64


def check(line: Line) -> None:
    """Refuse a line that holds what no store would have written.

    Raises:
        ValueError: it does; the message quotes nothing of it.
    """
    match line:
        case SessionLine():
            _check_session(line)
        case StateLine():
            _check_state(line)
        case MemoryLine():
            _check_memory(line)
        case ArtifactLine():
            _check_artifact(line)
        case CacheLine():
            _check_cached(line)
        case RoomLine():
            _check_record(line)
        case _:
            pass


def check_events(events: Sequence[msgspec.Raw]) -> None:
    """Refuse events that are none, or too large.

    Raises:
        ValueError: one is.
    """
    for row in rows_of(events):
        if len(row) > CEILING.event:
            raise ValueError(f"an event of {len(row):,} bytes is over the ceiling")
        if row != GAP and not is_sound(row):
            raise ValueError("an event in it is none, or was changed")
        _members("an event", row)


def _check_session(line: SessionLine) -> None:
    key_of(line)
    fields_of(line)
    if len(line.log_id) > _LOG_ID:
        raise ValueError("its log_id is none")
    _check_times(line)
    _state(line.state)
    if any(name.startswith((APP, USER, TEMP)) for name in line.state):
        raise ValueError("it holds state that is not its own")


def _check_times(line: SessionLine) -> None:
    for number in (line.epoch, line.version, line.seq, line.dropped):
        _count(number)
    if line.version < 1 or line.dropped > line.seq:
        raise ValueError("its numbers contradict each other")
    for instant in (line.until, line.expires):
        _instant(instant)
    for instant in (line.created, line.updated):
        _time(instant)
    if line.ttl is not None and not 0 < line.ttl <= _AGES:
        raise ValueError("its ttl is no lifetime")
    for instant in (line.until, line.expires):
        if instant is not None and instant <= 0:
            raise ValueError("it ends before all times")
    if (line.ttl is None and line.until is None) != (line.expires is None):
        raise ValueError("its lifetime contradicts its end")


def _check_state(line: StateLine) -> None:
    state_owner(line)
    _instant(line.expires)
    _state(line.values)


def _check_memory(line: MemoryLine) -> None:
    scope_of(line)
    if not line.entries:
        raise ValueError("it has no entries")
    for each in line.entries:
        parse_entry(each.key)
        tenant(each.tenant)
        _count(each.version)
        for instant in (each.created, each.updated, each.expires):
            _instant(instant)
        value = stored(each.value)
        if not is_json(value):
            raise ValueError("the value of an entry is no JSON")
        _members("an entry", value)
        size = len(value) + len(_object(each.metadata)) + len((each.text or "").encode())
        if size > CEILING.event:
            raise ValueError(f"an entry of {size:,} bytes is over the ceiling")
        if len(each.vector) > CAPS.vector:
            raise ValueError(f"a vector has more than {CAPS.vector:,} bytes")
        if len(each.vector) % 4:
            raise ValueError("a vector is no list of numbers")
    if len({each.key for each in line.entries}) < len(line.entries):
        raise ValueError("it has an entry twice")


def _check_artifact(line: ArtifactLine) -> None:
    place_of(line)
    _instant(line.expires)
    if not line.versions:
        raise ValueError("it has no version")
    for each in line.versions:
        _time(each.created)
        _count(each.size)
        _cap("type of an artifact", each.mime_type, CAPS.mime_type)
        if (metadata := _object(each.metadata))[:1] == MARK:
            raise ValueError("the metadata of a version are encoded")
        if each.size + len(metadata) > CEILING.artifact:
            raise ValueError(f"a version of {each.size:,} bytes is over the ceiling")
        if len(each.crc) != _CRC or set(each.crc) - set("0123456789abcdef"):
            raise ValueError("the checksum of a version is none")


def _check_cached(line: CacheLine) -> None:
    parse_tenant(line.tenant)
    parse_entry(line.name)
    if len(line.tags) > CAPS.tags:
        raise ValueError(f"it has more than {CAPS.tags} tags")
    for tag in line.tags:
        parse_tag(tag)
    _instant(line.fresh)
    _instant(line.ends)
    value = stored(line.value)
    if not is_json(value):
        raise ValueError("its value is no JSON")
    if len(value) > CEILING.event:
        raise ValueError("its value is over the ceiling")
    _members("its value", value)


def _check_record(line: RoomLine) -> None:
    parse_app(line.app)
    if line.user is not None:
        parse_user(line.user)
    parse_entry(line.key)
    value = stored(line.value)
    if not is_json(value):
        raise ValueError("its value is no JSON")
    if len(value) > CEILING.event:
        raise ValueError("its value is over the ceiling")


def _state(values: Mapping[str, msgspec.Raw]) -> None:
    size = 0
    if len(values) > CAPS.state_keys:
        raise ValueError(f"a state of {len(values):,} keys is over the cap of {CAPS.state_keys:,}")
    for name, each in values.items():
        _cap("name of a state value", name, CAPS.state_key)
        value = stored(each)
        size += len(name.encode()) + len(value)
        if not is_json(value):
            raise ValueError("a value of its state is no JSON")
        _members("a value of its state", value)
    if size > CEILING.state:
        raise ValueError(f"a state of {size:,} bytes is over the ceiling")


def _object(value: msgspec.Raw) -> bytes:
    metadata = stored(value)
    if not is_json(metadata, an_object=True):
        raise ValueError("its metadata are no JSON object")
    if len(metadata) > CAPS.metadata:
        raise ValueError(f"metadata of {len(metadata):,} bytes are over {CAPS.metadata:,}")
    return metadata


def _cap(what: str, value: str, most: int) -> None:
    if (size := len(value.encode())) > most:
        raise ValueError(f"the {what} has {size:,} bytes: at most {most:,} are possible")


def _members(what: str, value: bytes) -> None:
    try:
        check_members(value, what)
    except TooLarge as error:
        raise ValueError(str(error)) from None


def _count(number: int) -> int:
    if not 0 <= number < _MOST:
        raise ValueError("a number in it counts nothing")
    return number


def _time(instant: float | None) -> None:
    """A time that a caller gave: any number."""
    if instant is not None and not math.isfinite(instant):
        raise ValueError("a time in it is none")


def _instant(instant: float | None) -> None:
    if instant is not None and not -_LAST <= instant <= _LAST:
        raise ValueError("a time in it is none")
