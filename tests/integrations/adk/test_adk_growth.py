"""Events that a newer google-adk or google-genai wrote: served without what this one cannot read.

Nothing here knows a new member by name: each is planted everywhere in the samples' JSON.
"""

from __future__ import annotations

import copy
import enum
import json
import logging
import typing
import warnings
from pathlib import Path

import msgspec
import pytest
from adk_kit import event, on_a_server, ours, texts
from adk_samples import ACTIONS, BYTES, FIELDS, PARTS
from google.adk.artifacts.base_artifact_service import ArtifactVersion
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types
from pydantic import BaseModel, ValidationError

import sojourn
from sojourn.errors import CorruptRecord
from sojourn.integrations.adk import MemoryService, events
from sojourn.sessions.event_codec import EventRow
from sojourn.telemetry import newer

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.jsonl"))
"""What releases of google-adk wrote of all samples, a stored event a line."""

NEW = "brandNew"
UNKNOWN = {NEW: {"deep": [1]}}
WRONG = ["text", 7, True, {NEW: 1}]
"""One of them is of no type that a field has, unless the field takes anything."""

Steps = tuple


def samples() -> dict[str, Event]:
    """An event for each field, action and part that has a sample, but for the big one."""
    found: dict[str, Event] = {}
    for name in Event.model_fields:
        for n, value in enumerate(FIELDS[name]):
            found[f"{name} {n}"] = Event(**{"author": "a", name: value})
    for name in EventActions.model_fields:
        for n, value in enumerate(ACTIONS[name]):
            actions = EventActions(**{name: value})
            found[f"action {name} {n}"] = Event(author="a", actions=actions)
    for name, part in PARTS.items():
        if name != "a megabyte":
            content = types.Content(role="model", parts=[types.Part(text="first"), part])
            found[f"part {name}"] = Event(author="a", content=content)
    return found


SAMPLES = samples()
every_sample = pytest.mark.parametrize("given", SAMPLES.values(), ids=SAMPLES)


def payload_of(given: Event) -> dict:
    return json.loads(bytes(events.to_event(given).payload))


def served(given: Event, payload: dict) -> Event:
    """The event as a reader gets it when the payload is stored in its place."""
    stored = events.to_event(given)
    delta = msgspec.Raw(msgspec.json.encode(stored.state_delta))
    raw = msgspec.Raw(json.dumps(payload).encode())
    row = EventRow(
        id=given.id,
        time=given.timestamp,
        author=given.author,
        kind="adk",
        payload=raw,
        state_delta=delta,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # google-genai warns of enum values that it does not know
        return events.from_row(row)


def validates(given: Event, payload: dict) -> bool:
    """Whether google-adk reads the payload with nothing left out."""
    head = {"id": given.id, "timestamp": given.timestamp, "author": given.author}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Event.model_validate_json(json.dumps({**head, **payload}))
    except (ValidationError, AttributeError, TypeError):
        return False
    return True


def key_of(model: type[BaseModel], name: str, members: dict) -> str | None:
    """The key under which a field stands in JSON."""
    field = model.model_fields[name]
    return next((key for key in (name, field.alias) if key in members), None)


def models(value: object, members: object, at: Steps = ()) -> typing.Iterator[tuple[Steps, object]]:
    """Each model inside a value, with the place of its members in the JSON."""
    if isinstance(value, BaseModel) and isinstance(members, dict):
        yield at, value
        for name in type(value).model_fields:
            key = key_of(type(value), name, members)
            if key is not None:
                yield from models(getattr(value, name), members[key], (*at, key))
    elif isinstance(value, list) and isinstance(members, list):
        for n, (each, member) in enumerate(zip(value, members, strict=True)):
            yield from models(each, member, (*at, n))
    elif isinstance(value, dict) and isinstance(members, dict):
        for key, each in value.items():
            yield from models(each, members.get(key), (*at, key))


def fields_of(given: Event, payload: dict) -> typing.Iterator[tuple[Steps, object]]:
    """The place of each member of each model, and the annotation of its field."""
    for at, model in models(given, payload):
        members = at_place(payload, at)
        for name, field in type(model).model_fields.items():
            key = key_of(type(model), name, members)
            if key is not None:
                yield (*at, key), field.annotation


def at_place(payload: object, at: Steps) -> typing.Any:
    for step in at:
        payload = payload[step]
    return payload


def planted(payload: dict, at: Steps, **members: object) -> dict:
    changed = copy.deepcopy(payload)
    at_place(changed, at).update(members)
    return changed


def replaced(payload: dict, at: Steps, value: object) -> dict:
    changed = copy.deepcopy(payload)
    at_place(changed, at[:-1])[at[-1]] = value
    return changed


def without(given: Event, payload: dict, at: Steps) -> Event:
    """The event without a member; and without what held it, where it is needed there.

    Nothing in a part is left empty, nor is a part.
    """
    while True:
        payload = copy.deepcopy(payload)
        *place, last = at
        holder = at_place(payload, place)
        if isinstance(holder, list) and holder[last] != {} and at[-2] != "parts":
            holder[last] = {}
        else:
            del holder[last]
        hollow = holder == {} and "parts" in place
        if not hollow and validates(given, payload):
            return served(given, payload)
        if place or not hollow:
            at = tuple(place) if isinstance(holder, dict) else at


def expected(given: Event, payload: dict, at: Steps, value: object) -> Event:
    """The event with a value that nobody knows: without it; an object is one with no members."""
    empty = replaced(payload, at, {})
    if value == {NEW: 1} and "parts" not in at and validates(given, empty):
        return served(given, empty)
    return without(given, payload, at)


@every_sample
def test_an_unknown_member_is_left_out_wherever_it_is(given):
    payload = payload_of(given)
    everywhere = copy.deepcopy(payload)
    as_it_is = served(given, payload)
    for at, _ in models(given, payload):
        changed = planted(payload, at, **UNKNOWN)
        found = served(given, changed)
        if not validates(given, changed):
            assert found == as_it_is, at
            at_place(everywhere, at).update(UNKNOWN)
    assert served(given, everywhere) == as_it_is


@every_sample
def test_a_value_of_another_type_is_left_out_wherever_it_is(given):
    payload = payload_of(given)
    for at, _ in fields_of(given, payload):
        for value in WRONG:
            changed = replaced(payload, at, value)
            found = served(given, changed)
            if not validates(given, changed):
                assert found == expected(given, payload, at, value), (at, value)
            assert (found.id, found.author, found.timestamp) == (
                given.id,
                given.author,
                given.timestamp,
            )


def is_enum(annotation: object) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, enum.Enum)
    return any(map(is_enum, typing.get_args(annotation)))


@every_sample
def test_an_unknown_value_of_an_enum_is_left_out_or_served_as_google_genai_does(given):
    payload = payload_of(given)
    for at, annotation in fields_of(given, payload):
        if is_enum(annotation):
            changed = replaced(payload, at, "BRAND_NEW")
            found = served(given, changed)
            if not validates(given, changed):
                assert found == without(given, payload, at), at
            left = found.model_dump_json(exclude_none=True).replace('"BRAND_NEW"', "1")
            assert json.loads(left)["id"] == given.id


@every_sample
def test_an_unknown_element_of_a_list_leaves_the_others_in_their_places(given):
    payload = payload_of(given)
    for at, _ in fields_of(given, payload):
        value = at_place(payload, at)
        if not isinstance(value, list):
            continue
        for element in (7, {NEW: 1}, [[]]):
            changed = copy.deepcopy(payload)
            at_place(changed, at).insert(0, element)
            if validates(given, changed):
                continue
            dumped = served(given, changed).model_dump(exclude_none=True, mode="json")
            whole = served(given, payload).model_dump(exclude_none=True, mode="json")
            rest, known = dumped, whole
            for step in at:
                name = "".join(f"_{c.lower()}" if c.isupper() else c for c in str(step))
                rest = rest[step] if isinstance(rest, list) else rest.get(name, rest.get(step))
                known = known[step] if isinstance(known, list) else known.get(name, known.get(step))
            assert list(rest)[len(rest) - len(known) :] == list(known), at
            assert len(rest) <= len(known) + (at[-1] != "parts"), at


def test_the_samples_reach_the_models_of_events():
    reached = {
        type(model) for each in SAMPLES.values() for _, model in models(each, payload_of(each))
    }
    named = {types.Content, types.Part, types.Blob, types.FunctionCall, types.FunctionResponse}
    assert named | {Event, EventActions, types.GroundingChunk} <= reached
    assert len(reached) > 25


def test_a_part_of_a_kind_that_is_unknown_is_not_there():
    given = event("hi", id="e-1")
    payload = payload_of(given)
    for unknown in ({NEW: {"a": 1}}, 5, {"text": 5}, {"functionCall": {NEW: 1}}):
        parts = [unknown, {"text": "hi"}, unknown]
        found = served(given, replaced(payload, ("content", "parts"), parts))
        assert found == served(given, payload)
    found = served(given, replaced(payload, ("content", "parts"), [{NEW: 1}]))
    assert found.content == types.Content(role="user", parts=[])


@pytest.mark.parametrize("unknown", [{NEW: {"a": 1}}, 5, [{}]], ids=str)
def test_a_chunk_of_a_kind_that_is_unknown_keeps_its_place(unknown):
    chunks = [unknown, {"web": {"uri": "https://a"}}]
    supports = [{"groundingChunkIndices": [1]}]
    payload = {"groundingMetadata": {"groundingChunks": chunks, "groundingSupports": supports}}
    (first, second), (support,) = (
        (found := served(event("x"), payload).grounding_metadata).grounding_chunks,
        found.grounding_supports,
    )
    assert first == types.GroundingChunk()
    assert (second.web.uri, support.grounding_chunk_indices) == ("https://a", [1])


@pytest.mark.skipif("render_ui_widgets" not in EventActions.model_fields, reason="no such list")
def test_of_a_list_of_what_cannot_be_empty_only_the_unknown_goes():
    known = [{"id": str(n), "provider": "mcp", "payload": {}} for n in range(3)]
    widgets = [7, 8, known[0], {NEW: 1}, known[1], {**known[0], "id": 9}, "x", known[2]]
    found = served(event("x"), {"actions": {"renderUiWidgets": widgets}})
    assert [each.id for each in found.actions.render_ui_widgets] == ["0", "1", "2"]


def test_a_call_and_its_response_stay_a_pair():
    call = {"id": "c", "name": "f", "args": {"x": 2**70, NEW: 1}, NEW: 1}
    response = {"id": "c", "name": "f", "response": {"r": []}, NEW: [1], "scheduling": 9}
    parts = [{"functionCall": call, NEW: 1}, {"functionResponse": response, "thought": {}}]
    found = served(event("x"), {"content": {"role": "model", "parts": parts}})
    assert found.get_function_calls() == [
        types.FunctionCall(id="c", name="f", args={"x": 2**70, NEW: 1})
    ]
    assert found.get_function_responses() == [
        types.FunctionResponse(id="c", name="f", response={"r": []})
    ]


def test_of_two_requests_for_credentials_one_keeps_what_it_has():
    given = SAMPLES["action requested_auth_configs 0"]
    payload = payload_of(given)
    configs = payload["actions"]["requested_auth_configs"]
    configs["call-2"] = {**copy.deepcopy(configs["call-1"]), "credentialKey": "second"}
    whole = served(given, payload).actions.requested_auth_configs
    for value in ({NEW: 1}, "text", {**configs["call-2"]["rawAuthCredential"], "authType": NEW}):
        configs["call-2"]["rawAuthCredential"] = value
        found = served(given, payload).actions.requested_auth_configs
        assert found["call-1"] == whole["call-1"]
        assert found["call-2"].auth_scheme == whole["call-2"].auth_scheme
        assert (found["call-2"].raw_auth_credential, found["call-2"].credential_key) == (
            None,
            "second",
        )


def test_all_that_remains_of_an_event_is_its_place():
    given = event("hi", id="e-1", state={"k": 1})
    for payload in (
        {"content": 5},
        {"actions": None},
        {"actions": [], "content": "text", "nodeInfo": 1},
    ):
        found = served(given, payload)
        assert (found.id, found.author, found.timestamp) == ("e-1", "user", given.timestamp)
        assert (found.content, found.actions.state_delta) == (None, {"k": 1})


def test_a_validator_that_fails_without_a_place_costs_only_what_it_is_about():
    result = {"outcome": {"deep": 1}, "output": "1"}
    parts = [{"text": "one"}, {"codeExecutionResult": result}, {"text": "two"}] * 3
    payload = {"content": {"role": "model", "parts": parts}, "errorCode": "7", "branch": {NEW: 1}}
    found = served(event("x"), payload)
    assert [part.text for part in found.content.parts] == ["one", None, "two"] * 3
    assert {p.code_execution_result.output for p in found.content.parts[1::3]} == {"1"}
    assert (found.error_code, found.branch) == ("7", None)


def test_what_is_deeper_than_can_be_read_costs_only_its_own_place():
    """Written by another program, or by one that reads deeper JSON."""
    args: dict = {}
    for _ in range(220):
        args = {"a": args}
    parts = [{"text": "one"}, {"functionCall": {"id": "c", "name": "f", "args": args}}]
    found = served(event("x"), {"content": {"role": "model", "parts": parts}, "branch": "b"})
    assert (found.content.parts[0].text, found.branch) == ("one", "b")
    assert (found.content.parts[1].function_call.id, found.author) == ("c", "user")


def test_an_event_that_is_all_wrong_is_served_and_soon():
    parts = [{"codeExecutionResult": {"outcome": n, NEW: n}} for n in range(5000)]
    looks = 0
    validate = Event.model_validate_json

    def counting(value):
        nonlocal looks
        looks += 1
        return validate(json.dumps(value))

    payload = {"id": "e-1", "content": {"parts": parts}}
    found = events.readable(counting, payload, "x", needed={"id"})
    assert found.id == "e-1"
    assert looks < 1000


@pytest.mark.parametrize("payload", [b"1", b'"text"', b"[]", b"null"])
def test_what_is_no_object_is_corrupt(payload):
    row = EventRow(id="e", time=1.0, author="a", kind="adk", payload=msgspec.Raw(payload))
    with pytest.raises(ValueError, match="object"):
        events.from_row(row)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_events_that_another_release_wrote_are_served(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) > 60
    for line in lines:
        given = Event(id=line["id"], author=line["author"], timestamp=line["time"])
        found = served(given, line["payload"])
        assert (found.id, found.author, found.timestamp) == (
            given.id,
            given.author,
            given.timestamp,
        )
        whole = line["payload"].get("content") or {}
        said = [part.get("text") for part in whole.get("parts") or [] if "text" in part]
        parts = (found.content.parts or []) if found.content else []
        assert [part.text for part in parts if part.text is not None] == said
        calls = [
            part["function_call"]["args"]
            for part in whole.get("parts") or []
            if "function_call" in part
        ]
        assert [call.args for call in found.get_function_calls()] == calls


def test_releases_are_recorded():
    assert [path.stem for path in RECORDED] == ["google-adk-2.0.0", "google-adk-2.13.0"]


def planted_everywhere() -> list[dict]:
    found = []
    for given in SAMPLES.values():
        payload = payload_of(given)
        found += [planted(payload, at, **UNKNOWN) for at, _ in models(given, payload)]
        found += [replaced(payload, at, {NEW: 1}) for at, _ in fields_of(given, payload)]
    return found


@ours
@pytest.mark.filterwarnings("ignore:.*is not a valid")
async def test_nothing_is_corrupt_or_in_the_quarantine_and_what_is_stored_stays(desk, service):
    session = await desk.create("s")
    await desk.say(session, "one")
    key = sojourn.SessionKey.of(desk.app, "ada", "s")
    told = []
    service.store.on_corrupt(told.append)
    payloads = planted_everywhere()
    stored = [sojourn.Event(author="a", kind="adk", payload=each) for each in payloads]
    for start in range(0, len(stored), 100):
        await service.store.sessions.append(key, *stored[start : start + 100])
    await desk.say(session, "two")
    before = service.store.stats().newer
    for _ in range(2):
        found = await desk.get("s")
        assert [each.id for each in found.events][1:-1] == [each.id for each in stored]
    assert service.store.stats().newer > before + len(payloads) / 2
    counted = service.store.stats().newer
    await desk.get("s")
    assert service.store.stats().newer == counted  # the near-cache has them as they are served
    assert (told, await service.store.admin.quarantined(desk.app, "ada")) == ([], [])
    assert service.store.stats().corrupt == 0
    read = await service.store.sessions.get(key)
    assert read.complete
    assert [each.payload for each in read.events][1:-1] == payloads


@on_a_server
async def test_an_event_in_the_tail_and_by_time_is_served(desk, service):
    session = await desk.create("s")
    key = sojourn.SessionKey.of(desk.app, "ada", "s")
    payload = {"content": {"parts": [{"text": "two", NEW: 1}], NEW: 2}}
    for n, text in enumerate(("one", "two", "three"), 1):
        if text == "two":
            new = sojourn.Event(author="a", kind="adk", payload=payload, time=2.0)
            await service.store.sessions.append(key, new)
        else:
            await desk.say(session, text, time=float(n))
    assert texts(await desk.get("s")) == ["one", "two", "three"]
    assert texts(await desk.get("s", num_recent_events=2)) == ["two", "three"]
    assert texts(await desk.get("s", after_timestamp=1.5)) == ["two", "three"]
    await desk.say(await desk.get("s"), "four", time=4.0)
    assert texts(await desk.get("s")) == ["one", "two", "three", "four"]


@pytest.fixture
def figures(monkeypatch):
    """Figures of a process that has read nothing yet, and its clock."""
    clock = [1000.0]
    made = newer.NewerRecords()
    monkeypatch.setattr(newer, "_now", lambda: clock[0])
    monkeypatch.setattr("sojourn.integrations.pruning.NEWER", made)
    return made, clock


def test_members_are_logged_by_name_once_a_day_and_never_content(figures, caplog):
    made, clock = figures
    secret = {"content": {"parts": [{"text": "SECRET", NEW: "SECRET"}]}, "branch": 7}
    dangerous = {**secret, "actions": {"artifactDelta": {"SECRET": "SECRET"}}}
    with caplog.at_level(logging.WARNING, "sojourn"):
        for payload in (secret, secret, dangerous):
            served(event("x"), payload)
        first = caplog.text
        assert len(caplog.records) == 2
        clock[0] += 90_000
        served(event("x"), secret)
        served(event("x"), secret)
    assert len(caplog.records) == 3
    assert made.counts() == {"An ADK event": 5}
    assert NEW in first
    assert "branch" in first
    assert "actions" in first
    assert "SECRET" not in caplog.text


def test_there_is_an_end_of_names_in_a_day(figures, caplog):
    made, _ = figures
    with caplog.at_level(logging.WARNING, "sojourn"):
        for n in range(300):
            made.add("x", {f"{n}" * 1000})
    assert len(caplog.records) == 100
    assert max(len(each.getMessage()) for each in caplog.records) < 400
    assert made.total() == 300


def test_what_validates_is_not_looked_at_again(figures):
    made, _ = figures
    for given in SAMPLES.values():
        served(given, payload_of(given))
    assert made.total() == 0


async def save(artifacts, app: str, part: object, data: bytes = b"x") -> ArtifactVersion:
    key = sojourn.SessionKey.of(app, "ada", "s")
    metadata = {"adk:part": part}
    await artifacts.store.artifacts.save(key, "a", data, mime_type="a/b", metadata=metadata)
    return {"app_name": app, "user_id": "ada", "session_id": "s", "filename": "a"}


@on_a_server
@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"inline_data": {"data": "", "mime_type": "a/b", NEW: 1}, NEW: {}},
            types.Part(inline_data=types.Blob(data=b"x", mime_type="a/b")),
        ),
        ({"text": "", "thought": "maybe so", NEW: 1}, types.Part(text="x")),
        (
            {"file_data": {"file_uri": "gs://b/o", NEW: 1}, "thought_signature": 5},
            types.Part(file_data=types.FileData(file_uri="gs://b/o")),
        ),
        ({NEW: 1}, types.Part(inline_data=types.Blob(data=b"x", mime_type="a/b"))),
        ({"inline_data": 5}, types.Part(inline_data=types.Blob(data=b"x", mime_type="a/b"))),
    ],
)
async def test_a_part_of_an_artifact_is_served_without_it(service, artifacts, app, part, expected):
    place = await save(artifacts, app, part)
    assert await artifacts.load_artifact(**place) == expected
    (known,) = await artifacts.list_artifact_versions(**place)
    assert known.version == 0
    assert known.mime_type == (expected.inline_data.mime_type if expected.inline_data else
                               "text/plain" if expected.text else None)  # fmt: skip
    key = sojourn.SessionKey.of(app, "ada", "s")
    stored = await artifacts.store.artifacts.find(key, "a")
    assert stored.metadata == {"adk:part": part}


@on_a_server
@pytest.mark.parametrize("part", [5, "text", [], None])
async def test_an_artifact_whose_part_is_no_object_is_corrupt(service, artifacts, app, part):
    place = await save(artifacts, app, part)
    with pytest.raises(CorruptRecord):
        await artifacts.load_artifact(**place)


@ours
async def test_a_memory_is_served_without_it(desk, service):
    memory = MemoryService(service.store)
    ada = {"app_name": desk.app, "user_id": "ada"}
    session = await desk.create("s")
    inline = types.Part(inline_data=types.Blob(data=BYTES, mime_type="a/b"))
    said = types.Content(role="user", parts=[types.Part(text="jasmine tea"), inline])
    await service.append_event(session, Event(author="user", content=said))
    await memory.add_session_to_memory(session)
    scope = service.store.memory.events("ada", app=desk.app)
    (entry,) = (await scope.list()).entries
    for changed in (
        {**entry.value["content"], NEW: 1},
        {**entry.value["content"], "parts": [*entry.value["content"]["parts"], {NEW: 1}, 5]},
    ):
        await scope.put(entry.key, {**entry.value, "content": changed, NEW: 1}, text="jasmine tea")
        (found,) = (await memory.search_memory(**ada, query="tea")).memories
        assert (found.content, found.author) == (said, "user")
        (stored,) = (await scope.list()).entries
        assert stored.value["content"] == changed
