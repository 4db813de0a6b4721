"""ADK's events as Sojourn's, and back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from enum import Enum
from hashlib import blake2b
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
from google.adk.events.event import Event as AdkEvent
from google.adk.sessions.state import State
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python
from pydantic_core import from_json as parsed

from sojourn.errors import InvalidValue, TooLarge
from sojourn.integrations.pruning import readable
from sojourn.sessions import Event, View
from sojourn.sessions.event_codec import NO_DELTA, EventRow

log = logging.getLogger("sojourn.adk")

KIND = "adk"

_ELSEWHERE: Any = {"id": True, "timestamp": True, "author": True, "actions": {"state_delta"}}
"""Fields that the row of a log keeps itself; the payload holds the rest."""

_NO_HEAD: Mapping[str, Any] = MappingProxyType({})

_NOT_JSON = (PydanticSerializationError, TypeError, ValueError, RecursionError)

_DEEPEST = 190
"""Levels of lists and objects in each other. pydantic writes some more, and reads ten more."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_canonical = msgspec.json.Encoder(order="sorted").encode


def to_event(event: AdkEvent) -> Event:
    """The event to store: ADK's own JSON, without the fields that are None.

    What JSON cannot hold becomes text, with a warning, as in ADK's own services; so does what is
    nested deeper than ADK can read again, or without an end.

    Raises:
        InvalidValue: a value of its state, as `jsonable` says; or no part of it can be written.
    """
    return Event(
        author=event.author,
        payload=msgspec.Raw(_payload(event)),
        kind=KIND,
        id=event.id,
        time=event.timestamp,
        state_delta=jsonable(event.actions.state_delta) if event.actions else {},
    )


def operation_id(event: Event) -> str:
    """The same for an equal event delivered again, another for any other content.

    Equal as ADK compares events: the order of keys in a dict does not count.
    """
    delta = {key: _decode(value) for key, value in event.state_delta.items()}
    digest = blake2b(_canonical((event.time, _decode(event.payload), delta)), digest_size=12)
    digest.update(f"{event.id}/{event.author}".encode(errors="surrogatepass"))
    return digest.hexdigest()


def is_same(stored: Event, event: Event) -> bool:
    """Whether an event that was read is equal to one that `to_event` has made."""
    delta = {key: _decode(value) for key, value in event.state_delta.items()}
    return (stored.author, stored.time, stored.payload, stored.state_delta) == (
        event.author,
        event.time,
        _decode(event.payload),
        delta,
    )


def tell_raw_bytes(error: TooLarge, event: AdkEvent) -> None:
    """Let an error over the size of an event name the bytes of its files, too, and the cap in them.

    Args:
        error: counts JSON, in which files are base64; over another cap it stays as it is.
        event: the event.
    """
    if error.option != "max_event_bytes":
        return
    parts = (event.content and event.content.parts) or []
    blobs = [part.inline_data.data or b"" for part in parts if part.inline_data]
    if not blobs:
        return
    raw = sum(map(len, blobs))
    beside = error.size - sum((len(blob) + 2) // 3 * 4 for blob in blobs)
    most = max(0, error.limit - beside) // 4 * 3
    error.args = (
        f"{error} The files in this event (inline_data) have {raw:,} bytes, a third more as base64 "
        f"in its JSON: {most:,} would fit. Save larger ones as artifacts.",
    )


def jsonable(state: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
    """State as JSON text: rich types as pydantic writes them, what it cannot write as text.

    `temp:` keys fall away: they live on the caller's session and are never stored.

    Raises:
        InvalidValue: a number that JSON does not have, or bytes that are not text. ADK's services
            on databases fail over them, too: nobody could tell afterwards what they had been.
    """
    values: dict[str, msgspec.Raw] = {}
    for key, value in state.items():
        if key.startswith(State.TEMP_PREFIX):
            continue
        try:
            values[key] = _state_value(key, _plain(key, value))
        except InvalidValue:
            raise
        except _NOT_JSON:
            log.warning("The state value %r is not JSON; what can be is stored as text", key)
            values[key] = _with_texts(key, value)
    return values


def _plain(key: str, value: object, **options: Any) -> Any:
    try:
        return to_jsonable_python(value, **options)
    except UnicodeDecodeError as error:
        raise InvalidValue(
            f"The state value {key!r} holds bytes that are not UTF-8 text. Save them as an "
            "artifact, or store their base64."
        ) from error


def _state_value(key: str, plain: Any) -> msgspec.Raw:
    encoded = _encode(plain)
    if b"null" in encoded:  # as which NaN and the infinities are written
        waiting = [plain]
        while waiting:
            each = waiting.pop()
            if isinstance(each, float) and not isfinite(each):
                raise InvalidValue(
                    f"The state value {key!r} holds {each!r}, which JSON has no number for. Store "
                    "None, or a text."
                )
            if isinstance(each, dict):
                waiting.extend(cast("dict[str, Any]", each).values())
            elif isinstance(each, list):
                waiting.extend(cast("list[Any]", each))  # type: ignore[redundant-cast]
    return msgspec.Raw(encoded)


def _with_texts(key: str, value: object) -> msgspec.Raw:
    """The value with texts instead of what pydantic does not know; what has no end is a text."""
    plain = value
    try:
        plain = _plain(key, value, serialize_unknown=True)
        return _state_value(key, plain)
    except InvalidValue:
        raise
    except _NOT_JSON:  # half of a character, too
        return as_json(plain)


def from_row(row: EventRow, _seq: int = 0) -> AdkEvent:
    """The ADK event that a row holds; an event of another kind as its author's text.

    What a newer google-adk wrote comes without what this one cannot validate.

    Raises:
        ValueError: the payload is not a JSON object.
    """
    head = _encode({"id": row.id, "timestamp": row.time, "author": row.author})
    payload = bytes(row.payload)
    if row.kind != KIND:
        payload = _encode({"content": {"role": row.author, "parts": [{"text": payload.decode()}]}})
    joined = head if payload == b"{}" else head[:-1] + b"," + payload[1:]
    try:
        event = AdkEvent.model_validate_json(joined)
    except Exception:  # noqa: BLE001  # validators raise what they like
        event = _pruned(AdkEvent, payload, "An ADK event", _decode(head))
    if row.state_delta is not NO_DELTA:
        event.actions.state_delta = _decode(row.state_delta)
    return event


M = TypeVar("M", bound=BaseModel)


def from_json(kind: type[M], data: bytes, what: str) -> M:
    """A model of ADK's from its JSON, without what the installed version cannot validate.

    Args:
        kind: its class.
        data: the JSON.
        what: names it in the log.

    Raises:
        ValueError: the JSON is not an object.
    """
    try:
        return kind.model_validate_json(data)
    except Exception:  # noqa: BLE001  # validators raise what they like
        return _pruned(kind, data, what)


def _pruned(kind: type[M], data: bytes, what: str, head: Mapping[str, Any] = _NO_HEAD) -> M:
    """The model without what cannot be validated; the members of `head` are never left out."""
    found = _decode(data)
    if not isinstance(found, dict):
        raise ValueError("It is not a JSON object.")  # noqa: TRY004  # as for all that is corrupt
    members = {**head, **cast("dict[str, Any]", found), **head}
    return readable(
        lambda each: kind.model_validate_json(_encode(each)), members, what, needed=head
    )


_set = object.__setattr__

_FIXED = frozenset({type(None), bool, int, float, str, bytes})
"""Types of values that nobody can edit."""


class KeptEvent:
    """An event in the near-cache.

    Attributes:
        event: as it was decoded; nobody edits it.
        plan: how to copy it, made when it is copied for the second time.
    """

    __slots__ = ("event", "plan")

    def __init__(self, event: AdkEvent) -> None:
        self.event = event
        self.plan: _Plan | bool = False


def _kept(row: EventRow, _seq: int) -> KeptEvent:
    return KeptEvent(from_row(row))


def _time_of(kept: KeptEvent) -> float:
    return kept.event.timestamp


def _light_of(kept: KeptEvent) -> AdkEvent:
    return _light(kept.event)


def _light(event: M) -> M:
    """What `model_copy()` makes, in a third of the time; loading a long session is mostly this."""
    kind = type(event)
    copied = kind.__new__(kind)
    _set(copied, "__dict__", event.__dict__.copy())
    _set(copied, "__pydantic_fields_set__", event.__pydantic_fields_set__.copy())
    _set(copied, "__pydantic_extra__", event.__pydantic_extra__)
    _set(copied, "__pydantic_private__", event.__pydantic_private__)
    return copied


class _Plan(NamedTuple):
    """How to copy what may be edited, without a look at what may not.

    Attributes:
        source: a dict, a list, the fields of a model; or something that `deepcopy` knows.
        parts: what stands in it that may be edited, too: a name or place, and its plan, or itself
            when it is a dict or list that holds nothing of the kind.
        kind: the model's class; None of a dict or list, `object` for `deepcopy`.
        model: the model.
    """

    source: Any
    parts: Sequence[tuple[Any, Any]] = ()
    kind: Any = None
    model: Any = None


def _deep(kept: KeptEvent) -> AdkEvent:
    """What `model_copy(deep=True)` makes: models, dicts and lists anew, by a plan from then on."""
    plan = kept.plan
    try:
        if isinstance(plan, _Plan):
            return cast("AdkEvent", _made(plan))
        if plan:
            kept.plan = _plan_of(kept.event)
    except RecursionError:  # it is deeper than what is left of the stack
        kept.plan = False
    else:
        kept.plan = kept.plan or True
    return _step_by_step(kept.event)


def _made(plan: _Plan) -> Any:
    source, parts, kind, model = plan
    if kind is object:
        return deepcopy(source)
    made = source.copy()
    for name, part in parts:
        made[name] = _made(part) if part.__class__ is _Plan else part.copy()
    if kind is None:
        return made
    copied = kind.__new__(kind)
    _set(copied, "__dict__", made)
    _set(copied, "__pydantic_fields_set__", model.__pydantic_fields_set__.copy())
    extra, private = model.__pydantic_extra__, model.__pydantic_private__
    _set(copied, "__pydantic_extra__", None if extra is None else deepcopy(extra))
    _set(copied, "__pydantic_private__", None if private is None else deepcopy(private))
    return copied


def _plan_of(value: Any) -> Any:
    """A plan for what may be edited, or itself if `copy()` is all; None for what may not."""
    kind = cast("Any", type(value))
    if kind in _FIXED or isinstance(value, Enum):
        return None
    is_model = isinstance(value, BaseModel)
    if not is_model and kind is not dict and kind is not list:
        return _Plan(value, kind=object)
    source: Any = value.__dict__ if is_model else value
    pairs = enumerate(source) if kind is list else source.items()
    found = [(name, part) for name, each in pairs if (part := _plan_of(each)) is not None]
    parts = tuple(found)
    if is_model:
        return _Plan(source, parts, kind, value)
    return _Plan(source, parts) if parts else source


def _step_by_step(event: AdkEvent) -> AdkEvent:
    """The same without a plan, of any depth."""
    copied = _light(event)
    waiting: list[Any] = []
    _add_members(copied, waiting)
    while waiting:
        members: Any = waiting.pop()
        is_dict = isinstance(members, dict)
        pairs = cast(
            "Iterable[tuple[Any, Any]]", members.items() if is_dict else enumerate(members)
        )
        for key, value in pairs:
            kind = type(value)  # pyright: ignore[reportUnknownVariableType]
            if kind in _FIXED:
                continue
            made: Any
            if kind is dict or kind is list:
                made = value.copy()
                if made:
                    waiting.append(made)
            elif isinstance(value, BaseModel):
                made = _light(value)
                _add_members(made, waiting)
            else:
                made = deepcopy(value)
            members[key] = made
    return copied


def _add_members(copied: BaseModel, waiting: list[Any]) -> None:
    """What of a light copy is still shared."""
    waiting.append(copied.__dict__)
    if copied.__pydantic_extra__ is not None:
        _set(copied, "__pydantic_extra__", copied.__pydantic_extra__.copy())
        waiting.append(copied.__pydantic_extra__)
    if copied.__pydantic_private__ is not None:
        _set(copied, "__pydantic_private__", copied.__pydantic_private__.copy())
        waiting.append(copied.__pydantic_private__)


EVENTS: View[KeptEvent, AdkEvent] = View("adk", _kept, _deep, _time_of)
"""Callers share nothing that can be edited."""

LIGHT: View[KeptEvent, AdkEvent] = View("adk", _kept, _light_of, _time_of)
"""The event is the caller's own, what it holds is shared with everybody in this process."""


def _payload(event: AdkEvent) -> bytes:
    try:
        if event.actions and event.actions.requested_auth_configs:
            payload = _encode(_with_auth(event))
        else:
            payload = event.model_dump_json(exclude=_ELSEWHERE, exclude_none=True).encode()
        if not is_too_deep(payload):
            return payload
    except _NOT_JSON:
        pass
    log.warning("Event %s holds what is not JSON; what can be is stored as text", event.id)
    return object_of(event.model_dump(exclude=_ELSEWHERE, exclude_none=True), "The event")


def is_too_deep(data: bytes) -> bool:
    """Whether pydantic cannot read JSON again that it has written."""
    if data.count(b"{") + data.count(b"[") < _DEEPEST:
        return False
    try:
        parsed(data)
    except ValueError:
        return True
    return False


def object_of(members: dict[str, Any], what: str) -> bytes:
    """JSON of an object that can be read again: what has no JSON, or is too deep, as text.

    Raises:
        InvalidValue: that is not possible.
    """
    data = bytes(as_json(_finite(members)))
    if not data.startswith(b"{") or is_too_deep(data):
        raise InvalidValue(f"{what} cannot be stored as JSON: it is nested too deeply.")
    return data


def _finite(value: Any, deepest: int = _DEEPEST, above: tuple[int, ...] = ()) -> Any:
    """The value with text in the place of what is too deep, or holds itself."""
    if not isinstance(value, dict | list | tuple):
        return value
    here = id(cast("object", value))
    if here in above:
        return "…"
    if not deepest:
        try:
            return json.dumps(value, default=repr, ensure_ascii=False)
        except _NOT_JSON:
            return "…"
    inner, deepest = (*above, here), deepest - 1
    if isinstance(value, dict):
        members = cast("dict[Any, Any]", value)  # type: ignore[redundant-cast]
        return {key: _finite(each, deepest, inner) for key, each in members.items()}
    return [_finite(each, deepest, inner) for each in cast("Iterable[Any]", value)]


def _with_auth(event: AdkEvent) -> dict[str, Any]:
    """The payload with its security schemes by alias: by field name they come back as another."""
    plain = event.model_dump(mode="json", exclude=_ELSEWHERE, exclude_none=True)
    plain["actions"]["requested_auth_configs"] = {
        name: config.model_dump(mode="json", exclude_none=True, by_alias=True)
        for name, config in event.actions.requested_auth_configs.items()
    }
    return plain


def as_json(value: object) -> msgspec.Raw:
    """JSON of anything: unknown objects by their text, halves of characters mended or marked.

    Raises:
        InvalidValue: it is an object that nests other objects too deeply even for a text.
    """
    try:
        text = _json_of(value)
    except _NOT_JSON:
        try:
            text = _json_of(_finite(value))
        except _NOT_JSON:
            try:
                text = json.dumps(repr(value), ensure_ascii=False)
            except RecursionError as error:
                raise InvalidValue("A value is nested too deeply to be stored.") from error
    return msgspec.Raw(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode())


def _json_of(value: object) -> str:
    plain = to_jsonable_python(
        value, serialize_unknown=True, bytes_mode="base64", inf_nan_mode="null"
    )
    return json.dumps(plain, ensure_ascii=False)
