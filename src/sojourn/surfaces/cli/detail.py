"""`sojourn sessions show`: one session for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from sojourn.sessions import FIELDS, Event, Session
from sojourn.sessions.scope import split
from sojourn.surfaces.cli.events import Hanging, event_block, pretty_json
from sojourn.surfaces.cli.plain import age, duration, left, moment, prose, visible
from sojourn.surfaces.cli.tables import Fields

_INCOMPLETE = "no: events or state are missing or cannot be read; see sojourn quarantine ls"


def detail(session: Session[Event]) -> Iterator[RenderableType]:
    """Fields, state by scope, and events, the newest last."""
    yield _fields(session)
    state = split(session.state)
    for name, values in zip(("state", "user state", "app state"), state, strict=True):
        if values:
            yield Text(f"\n{name}", "bold")
            yield Hanging(pretty_json(values), first=4)
    yield Text(f"\n{_events_title(session)}", "bold")
    for event in session.events:
        yield event_block(event)


def _fields(session: Session[Event]) -> Fields:
    shown: dict[str, Text] = {
        **{name: Text(visible(part)) for name, part in session.key._asdict().items()},
        **{name: _value(value) for name in FIELDS if (value := getattr(session, name))},
        "created": Text(f"{moment(session.created)}  ({age(session.created)})"),
        "updated": Text(f"{moment(session.updated)}  ({age(session.updated)})"),
        "ttl": Text(_ttl(session)),
        "version": Text(f"{session.version:,}"),
        "incarnation": Text(visible(session.incarnation)),
    }
    if not session.complete:
        shown["complete"] = Text(_INCOMPLETE, "bold red")
    return Fields(shown, whole=session.key._fields)


def _value(value: object) -> Text:
    return Text(prose(value)) if isinstance(value, str) else pretty_json(value)


def _ttl(session: Session[Event]) -> str:
    if session.expires is None:
        return "for ever"
    each = "" if session.ttl is None else f", {duration(session.ttl)} after each change"
    return f"{left(session.expires)} left, until {moment(session.expires)}{each}"


def _events_title(session: Session[Event]) -> str:
    shown = len(session.events)
    title = f"{session.length:,} events" if session.length != 1 else "1 event"
    if shown == session.length:
        return title
    if not shown:
        return f"{title}, none shown"
    return f"{title}, the last {shown:,}" if session.complete else f"{title}, {shown:,} shown"
