"""What of an archive is refused: what no store would have written, or this one would not take.

Messages quote nothing of what they refuse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from sojourn.errors import InvalidInput
from sojourn.ids import parse_entry, parse_tag, parse_tenant
from sojourn.memory.checks import tenant
from sojourn.options import Options
from sojourn.sessions.checks import parse_labels
from sojourn.sessions.scope import APP, TEMP, USER
from sojourn.transfer.lines import (
    GAP,
    ArtifactLine,
    CacheLine,
    Line,
    MemoryLine,
    SessionLine,
    StateLine,
)
from sojourn.transfer.values import (
    is_json,
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


class Limits(NamedTuple):
    """The largest values that a store takes, in bytes."""

    event: float = math.inf
    state: float = math.inf
    artifact: float = math.inf

    @classmethod
    def of(cls, options: Options) -> Limits:
        """Those of a store."""
        return cls(options.max_event_bytes, options.max_state_bytes, options.max_artifact_bytes)


def check(line: Line, limits: Limits) -> None:
    """Refuse a line that holds what no store would have written.

    Raises:
        ValueError: it does; the message quotes nothing of it.
    """
    match line:
        case SessionLine():
            _check_session(line, limits)
        case StateLine():
            _check_state(line, limits)
        case MemoryLine():
            _check_memory(line, limits)
        case ArtifactLine():
            _check_artifact(line, limits)
        case CacheLine():
            _check_cached(line, limits)
        case _:
            pass


def check_events(events: Sequence[msgspec.Raw], limits: Limits) -> None:
    """Refuse events that are none, or too large.

    Raises:
        ValueError: one is.
    """
    for row in rows_of(events):
        if len(row) > limits.event:
            raise ValueError(f"an event of {len(row):,} bytes is over max_event_bytes")
        if row != GAP and not is_sound(row):
            raise ValueError("an event in it is none, or was changed")


def _check_session(line: SessionLine, limits: Limits) -> None:
    key_of(line)
    for number in (line.epoch, line.version, line.seq, line.dropped):
        _count(number)
    if line.version < 1 or line.dropped > line.seq:
        raise ValueError("its numbers contradict each other")
    for instant in (line.created, line.updated, line.until, line.expires):
        _instant(instant)
    if line.ttl is not None and not 0 < line.ttl <= _AGES:
        raise ValueError("its ttl is no lifetime")
    for instant in (line.until, line.expires):
        if instant is not None and instant <= 0:
            raise ValueError("it ends before all times")
    if (line.ttl is None and line.until is None) != (line.expires is None):
        raise ValueError("its lifetime contradicts its end")
    _words(line)
    _object(line.metadata)
    _state(line.state, limits)
    if any(name.startswith((APP, USER, TEMP)) for name in line.state):
        raise ValueError("it holds state that is not its own")


def _words(line: SessionLine) -> None:
    if len(line.log_id) > _LOG_ID:
        raise ValueError("its log_id is none")
    try:
        parse_labels(line.labels)
    except InvalidInput:
        raise ValueError("its labels are none that a session has") from None


def _check_state(line: StateLine, limits: Limits) -> None:
    state_owner(line)
    _instant(line.expires)
    _state(line.values, limits)


def _check_memory(line: MemoryLine, limits: Limits) -> None:
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
        size = len(value) + len(_object(each.metadata)) + len((each.text or "").encode())
        if size > limits.event:
            raise ValueError(f"an entry of {size:,} bytes is over max_event_bytes")
        if len(each.vector) % 4:
            raise ValueError("a vector is no list of numbers")
    if len({each.key for each in line.entries}) < len(line.entries):
        raise ValueError("it has an entry twice")


def _check_artifact(line: ArtifactLine, limits: Limits) -> None:
    place_of(line)
    _instant(line.expires)
    if not line.versions:
        raise ValueError("it has no version")
    for each in line.versions:
        _instant(each.created)
        _count(each.size)
        if each.size + len(_object(each.metadata)) > limits.artifact:
            raise ValueError(f"a version of {each.size:,} bytes is over max_artifact_bytes")
        if len(each.crc) != _CRC or set(each.crc) - set("0123456789abcdef"):
            raise ValueError("the checksum of a version is none")


def _check_cached(line: CacheLine, limits: Limits) -> None:
    parse_tenant(line.tenant)
    parse_entry(line.name)
    for tag in line.tags:
        parse_tag(tag)
    _instant(line.fresh)
    _instant(line.ends)
    value = stored(line.value)
    if not is_json(value):
        raise ValueError("its value is no JSON")
    if len(value) > limits.event:
        raise ValueError("its value is over max_event_bytes")


def _state(values: Mapping[str, msgspec.Raw], limits: Limits) -> None:
    size = 0
    for name, each in values.items():
        value = stored(each)
        size += len(name.encode()) + len(value)
        if not is_json(value):
            raise ValueError("a value of its state is no JSON")
    if size > limits.state:
        raise ValueError(f"a state of {size:,} bytes is over max_state_bytes")


def _object(value: msgspec.Raw) -> bytes:
    metadata = stored(value)
    if not is_json(metadata, an_object=True):
        raise ValueError("its metadata are no JSON object")
    return metadata


def _count(number: int) -> int:
    if not 0 <= number < _MOST:
        raise ValueError("a number in it counts nothing")
    return number


def _instant(instant: float | None) -> None:
    if instant is not None and not -_LAST <= instant <= _LAST:
        raise ValueError("a time in it is none")
