"""A session of a source beside the one that is here: what it has more, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from sojourn.codecs import decode, encode
from sojourn.sessions import FIELDS, Event, Session
from sojourn.sessions.scope import split
from sojourn.transfer.migration.model import SourceSession

_EXACT = 1e-5
"""Seconds: times are written as decimal text."""


class Comparison(NamedTuple):
    """How the session that is here stands to the source's.

    Attributes:
        log: the logs are the `same`, this one is `behind` or `ahead`, or they are `apart`.
        more: the events that the source has more.
        state: values of the state to set, to make it the source's.
        gone: keys of the state that the source no longer has.
        fields: those of `FIELDS` that differ, as `update` takes them to make them the source's.
        newer: the source was changed later, as far as it says when.
        older: the session that is here was.
    """

    log: Literal["same", "behind", "ahead", "apart"]
    more: Sequence[Event]
    state: Mapping[str, Any]
    gone: Sequence[str]
    fields: Mapping[str, Any]
    newer: bool
    older: bool

    @property
    def differs(self) -> bool:
        """Whether anything but the log does."""
        return bool(self.state or self.gone or self.fields)


def compared(source: SourceSession, here: Session[Event]) -> Comparison:
    """Compare content and times; lifetimes are not looked at."""
    own = split(here.state).session
    state = {
        name: value
        for name, value in source.state.items()
        if name not in own or canonical(value) != own[name]
    }
    fields: dict[str, Any] = {}
    for name, field in FIELDS.items():
        ours, theirs = getattr(here, name), canonical(getattr(source, name))
        if theirs != ours:
            fields[name] = field.replacing(ours, theirs)
    updated = source.updated
    return Comparison(
        log=_relation(source, here),
        more=source.events[here.length :],
        state=state,
        gone=sorted(own.keys() - source.state.keys()),
        fields=fields,
        newer=updated is not None and updated > here.updated + _EXACT,
        older=updated is not None and updated < here.updated - _EXACT,
    )


def canonical(value: Any) -> Any:
    """A value as it comes back from a store."""
    return decode(encode(value, "A value"))


def is_instant(here: float | None, there: float | None) -> bool:
    """Whether two times are the same."""
    if here is None or there is None:
        return here is there
    return abs(here - there) <= _EXACT


def _relation(
    source: SourceSession, here: Session[Event]
) -> Literal["same", "behind", "ahead", "apart"]:
    """Each event that is here stands at its number in the source's log."""
    if not here.complete:
        return "apart"
    for event in here.events:
        if event.seq <= len(source.events) and not _is_same(
            source.events[event.seq - 1], event, timed=source.timed
        ):
            return "apart"
    if here.length == len(source.events):
        return "same"
    return "behind" if here.length < len(source.events) else "ahead"


def _is_same(there: Event, here: Event, *, timed: bool) -> bool:
    return (
        (there.id, there.author, there.kind) == (here.id, here.author, here.kind)
        and (not timed or is_instant(there.time, here.time))
        and canonical(there.payload) == here.payload
        and {name: canonical(value) for name, value in there.state_delta.items()}
        == here.state_delta
    )
