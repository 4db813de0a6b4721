"""Save, load, list and delete artifacts, as ADK's in-memory service does."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from adk_kit import ADK, newer, on_a_server, ours
from google.adk.artifacts.artifact_util import get_artifact_uri
from google.adk.errors.input_validation_error import InputValidationError
from google.adk.platform import time as platform_time
from google.genai import types

import sojourn
from sealing import open_sealed, words_stored
from sojourn.errors import InvalidId
from sojourn.integrations.adk import ArtifactService

REMOVED = types.Part(inline_data=types.Blob(mime_type="application/octet-stream", data=b""))
"""What a rewind leaves."""


def blob(data: bytes, mime: str | None = "image/png", **fields) -> types.Part:
    return types.Part(inline_data=types.Blob(data=data, mime_type=mime, **fields))


def file(uri: str, mime: str | None = None) -> types.Part:
    return types.Part(file_data=types.FileData(file_uri=uri, mime_type=mime))


class Shelf:
    """One app of its own in an artifact service; user `ada` and session `s` unless said."""

    def __init__(self, service, app: str) -> None:
        self.service = service
        self.app = app

    def _call(self, method: str, *, user: str = "ada", session: str | None = "s", **fields):
        call = getattr(self.service, method)
        return call(app_name=self.app, user_id=user, session_id=session, **fields)

    def save(self, name: str, artifact, **fields):
        return self._call("save_artifact", filename=name, artifact=artifact, **fields)

    def load(self, name: str, version: int | None = None, **fields):
        return self._call("load_artifact", filename=name, version=version, **fields)

    def keys(self, **fields):
        return self._call("list_artifact_keys", **fields)

    def delete(self, name: str, **fields):
        return self._call("delete_artifact", filename=name, **fields)

    def numbers(self, name: str, **fields):
        return self._call("list_versions", filename=name, **fields)

    def versions(self, name: str, **fields):
        return self._call("list_artifact_versions", filename=name, **fields)

    def version(self, name: str, version: int | None = None, **fields):
        return self._call("get_artifact_version", filename=name, version=version, **fields)

    def uri(self, name: str, version: int = 0, *, app=None, user="ada", session="s") -> str:
        return get_artifact_uri(app or self.app, user, name, version, session)


@pytest.fixture
def shelf(artifacts, app) -> Shelf:
    return Shelf(artifacts, app)


# ── parts ──────────────────────────────────────────────────────────────────────────────────────

PARTS = {
    "bytes": blob(bytes(range(256))),
    "large": blob(b"0123456789" * 200_000, "video/mp4"),
    "without a type": blob(b"x", None),
    "with an empty type": blob(b"x", ""),
    "named": blob(b"x", display_name="é.png"),
    "text": types.Part(text="🦊 one\r\ntwo"),
    "text with half a character": types.Part(text="\ud800"),
    "bytes of a text": blob(b"hi", "text/plain"),
    "a thought": types.Part(text="hm", thought=True, thought_signature=b"\xff\xfe"),
    "a clip": types.Part(
        inline_data=types.Blob(data=b"v", mime_type="video/mp4"),
        video_metadata=types.VideoMetadata(start_offset="1s", fps=2.5),
    ),
    "both": types.Part(text="about it", inline_data=types.Blob(data=b"v", mime_type="a/b")),
    "metadata": types.Part(text="x", part_metadata={"a": None, "b": [None, {"c": 1.5}]}),
    "a file": file("gs://bucket/x.pdf", "application/pdf"),
    "a file without a type": file("https://example.org/x"),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
async def test_a_part_comes_back_as_it_was(shelf, part):
    assert await shelf.save("a", part) == 0
    found = await shelf.load("a")
    assert found == part
    assert found.model_dump() == part.model_dump()
    blob = part.inline_data
    expected = blob.mime_type if blob else ("text/plain" if part.text else part.file_data.mime_type)
    assert (await shelf.version("a")).mime_type == expected


@newer
@pytest.mark.parametrize(
    "part", [types.Part(text=""), blob(b"", "text/plain"), types.Part(inline_data=types.Blob())]
)
async def test_what_is_empty_is_not_what_was_removed(shelf, part):
    await shelf.save("a", part)
    assert await shelf.load("a") == part


async def test_a_dictionary_will_do(shelf):
    await shelf.save("a", {"inlineData": {"mimeType": "image/png", "data": "_wA="}})
    await shelf.save("a", {"text": "hi"})
    assert await shelf.load("a", 0) == blob(b"\xff\x00")
    assert await shelf.load("a") == types.Part(text="hi")


@pytest.mark.parametrize(
    "nothing",
    [types.Part(), types.Part(function_call=types.FunctionCall(name="f")), {"thought": True}],
)
async def test_what_has_no_content_is_refused(shelf, nothing):
    with pytest.raises(InputValidationError, match="Not supported"):
        await shelf.save("a", nothing)


@newer
async def test_a_caller_may_change_what_it_was_given(shelf):
    given, metadata = blob(b"one"), {"a": [1]}
    await shelf.save("a", given, custom_metadata=metadata)
    given.inline_data.data = b"two"
    metadata["a"].append(2)
    (await shelf.load("a")).inline_data.data = b"three"
    (await shelf.version("a")).custom_metadata["a"].append(3)
    assert await shelf.load("a") == blob(b"one")
    assert (await shelf.version("a")).custom_metadata == {"a": [1]}


async def test_what_a_rewind_has_removed_is_none_and_still_a_version(shelf):
    await shelf.save("a", blob(b"x"))
    assert await shelf.save("a", REMOVED) == 1
    assert await shelf.load("a") is None
    assert await shelf.load("a", 0) == blob(b"x")
    assert await shelf.numbers("a") == [0, 1]
    assert await shelf.keys() == ["a"]
    assert (await shelf.version("a")).mime_type == "application/octet-stream"


# ── versions ───────────────────────────────────────────────────────────────────────────────────


async def test_versions_count_from_zero(shelf):
    assert [await shelf.save("a", blob(b"%d" % n)) for n in range(12)] == list(range(12))
    assert await shelf.load("a") == blob(b"11")
    assert await shelf.load("a", 0) == blob(b"0")
    assert await shelf.load("a", 12) is None
    assert await shelf.version("a", 12) is None
    assert await shelf.numbers("a") == list(range(12))


@newer
async def test_no_version_is_negative(shelf):
    await shelf.save("a", blob(b"x"))
    assert await shelf.load("a", -1) is None
    assert await shelf.version("a", -1) is None


async def test_what_is_not_there(shelf):
    assert await shelf.load("a") is None
    assert await shelf.load("a", 0) is None
    assert await shelf.numbers("a") == []
    assert await shelf.versions("a") == []
    assert await shelf.version("a") is None
    assert await shelf.keys() == []
    assert await shelf.delete("a") is None


async def test_a_version_tells_what_it_is(shelf):
    metadata = {"a": [1, None, {"b": 1.5}], "é": "ü"}
    await shelf.save("d/a.png", blob(b"x"), custom_metadata=metadata)
    await shelf.save("d/a.png", types.Part(text="x"), custom_metadata={})
    first, second = await shelf.versions("d/a.png")
    assert first == await shelf.version("d/a.png", 0)
    assert second == await shelf.version("d/a.png")
    assert (first.version, first.mime_type, first.custom_metadata) == (0, "image/png", metadata)
    assert (second.version, second.mime_type, second.custom_metadata) == (1, "text/plain", {})
    assert 0 < first.create_time <= second.create_time
    tail = f"://apps/{shelf.app}/users/ada/sessions/s/artifacts/d/a.png/versions/1"
    assert second.canonical_uri.endswith(tail)
    await shelf.save("user:a", blob(b"x"))
    tail = f"://apps/{shelf.app}/users/ada/artifacts/user:a/versions/0"
    assert (await shelf.version("user:a")).canonical_uri.endswith(tail)


async def test_the_time_of_a_version_is_adks(shelf, monkeypatch):
    monkeypatch.setattr(platform_time, "get_time", lambda: 1234.5)
    await shelf.save("a", blob(b"x"))
    assert (await shelf.version("a")).create_time == 1234.5


@ours
async def test_a_canonical_uri_can_be_referred_to(shelf):
    for name in ("a", "user:a"):
        await shelf.save(name, blob(name.encode()))
        await shelf.save("link", file((await shelf.version(name)).canonical_uri))
        assert await shelf.load("link") == blob(name.encode())


@ours
async def test_a_part_that_could_not_be_read_again_is_refused(shelf):
    value: dict = {}
    for _ in range(220):
        value = {"a": value}
    answer = types.Part.from_function_response(name="tool", response=value)
    with pytest.raises(sojourn.InvalidInput, match="nested"):
        await shelf.save("a", answer.model_copy(update={"text": "tea"}))
    assert await shelf.load("a") is None


@ours
@pytest.mark.parametrize("wrong", [{"a": object()}, {"a": float("nan")}, {"adk:part": 1}])
async def test_metadata_that_cannot_be_kept_are_refused(shelf, wrong):
    with pytest.raises(sojourn.InvalidInput):
        await shelf.save("a", blob(b"x"), custom_metadata=wrong)


async def test_after_deletion_versions_start_anew(shelf):
    await shelf.save("a", blob(b"1"))
    await shelf.save("a", blob(b"2"))
    await shelf.save("b", blob(b"3"))
    await shelf.delete("a")
    assert await shelf.load("a") is None
    assert await shelf.keys() == ["b"]
    assert await shelf.save("a", blob(b"4")) == 0


# ── whose they are ─────────────────────────────────────────────────────────────────────────────


async def test_names_with_user_belong_to_the_user(shelf):
    await shelf.save("user:a", blob(b"u"), session="s")
    await shelf.save("a", blob(b"s"), session="s")
    await shelf.save("b", blob(b"t"), session="t")
    assert await shelf.keys(session="s") == ["a", "user:a"]
    assert await shelf.keys(session="t") == ["b", "user:a"]
    assert await shelf.keys(session="new") == ["user:a"]
    assert await shelf.keys(session=None) == ["user:a"]
    assert await shelf.keys(user="bob") == []
    for session in ("t", None):
        assert await shelf.load("user:a", session=session) == blob(b"u")
    assert await shelf.load("a", session="t") is None
    assert await shelf.save("user:a", blob(b"v"), session=None) == 1
    assert await shelf.numbers("user:a", session="t") == [0, 1]
    await shelf.delete("user:a", session="t")
    assert await shelf.keys(session="s") == ["a"]


async def test_other_users_apps_and_sessions_are_others(shelf, artifacts):
    other = Shelf(artifacts, f"{shelf.app}-2")
    await shelf.save("a", blob(b"1"))
    assert await shelf.load("a", user="bob") is None
    assert await shelf.load("a", session="t") is None
    assert await other.load("a") is None
    await shelf.delete("a", user="bob")
    await other.delete("a")
    assert await shelf.load("a") == blob(b"1")


async def test_a_name_of_a_session_needs_the_session(shelf):
    calls = [
        partial(shelf.save, "a", blob(b"x")),
        *(partial(call, "a") for call in (shelf.load, shelf.delete, shelf.numbers)),
        *(partial(call, "a") for call in (shelf.versions, shelf.version)),
    ]
    for call in calls:
        with pytest.raises(InputValidationError, match="Session ID"):
            await call(session=None)


@pytest.mark.skipif(ADK < (2, 13), reason="google-adk 2.0 has no such checks")
@pytest.mark.parametrize("wrong", ["", " ", "..", "a/../b", "/a", "C:x", "a\x00b", "users/x"])
async def test_ids_that_are_paths_are_refused(shelf, artifacts, wrong):
    places = [{"user": wrong}, {"session": wrong}]
    for where in places:
        calls = [
            partial(shelf.save, "a", blob(b"x")),
            *(partial(call, "a") for call in (shelf.load, shelf.delete, shelf.numbers)),
            *(partial(call, "a") for call in (shelf.versions, shelf.version)),
            shelf.keys,
        ]
        for call in calls:
            with pytest.raises(InputValidationError):
                await call(**where)
    with pytest.raises(InputValidationError):
        await Shelf(artifacts, wrong).keys()


@pytest.mark.parametrize("name", ["a/b", "../a", "é 🦊", " a ", "a:b", "A", "a*", "versions/1"])
async def test_any_name_will_do(shelf, name):
    await shelf.save(name, blob(b"x"))
    assert await shelf.keys() == [name]
    assert await shelf.load(name) == blob(b"x")


@ours
async def test_a_session_may_be_called_user(shelf):
    """ADK's service refuses it: its sessions and users share their folders."""
    await shelf.save("a", blob(b"s"), session="user")
    assert await shelf.load("a", session="user") == blob(b"s")
    assert await shelf.keys(session=None) == []


# ── references ─────────────────────────────────────────────────────────────────────────────────


async def test_a_reference_is_followed_to_its_version(shelf):
    await shelf.save("a", blob(b"0"), custom_metadata={"k": 1})
    await shelf.save("a", blob(b"1"))
    await shelf.save("link", file(shelf.uri("a", 0), "image/jpeg"))
    assert await shelf.load("link") == blob(b"0")
    assert (await shelf.version("link")).mime_type is None
    await shelf.delete("a")
    assert await shelf.load("link") is None


async def test_a_reference_to_what_the_user_has_is_followed(shelf):
    await shelf.save("user:a", types.Part(text="mine"))
    await shelf.save("link", file(shelf.uri("user:a", session=None)))
    await shelf.save("user:link", file(shelf.uri("user:a", session=None)), session=None)
    assert await shelf.load("link") == types.Part(text="mine")
    assert await shelf.load("user:link", session=None) == types.Part(text="mine")


async def test_what_a_rewind_has_removed_is_none_behind_a_reference(shelf):
    await shelf.save("a", REMOVED)
    await shelf.save("link", file(shelf.uri("a")))
    assert await shelf.load("link") is None


@newer
async def test_five_references_are_followed_and_not_a_sixth(shelf):
    await shelf.save("0", blob(b"x"))
    for n in range(1, 7):
        await shelf.save(f"{n}", file(shelf.uri(f"{n - 1}")))
    assert await shelf.load("5") == blob(b"x")
    with pytest.raises(InputValidationError, match="recursion depth"):
        await shelf.load("6")


@newer
async def test_a_reference_to_itself_ends(shelf):
    await shelf.save("a", file(shelf.uri("a", 0)))
    with pytest.raises(InputValidationError, match="recursion depth"):
        await shelf.load("a")


@newer
@pytest.mark.parametrize("where", [{"app": "other"}, {"user": "bob"}, {"session": "t"}])
async def test_a_reference_leads_nowhere_else(shelf, where):
    with pytest.raises(InputValidationError, match="scope"):
        await shelf.save("link", file(shelf.uri("a", **where)))
    assert await shelf.load("link") is None


@newer
async def test_what_the_user_has_refers_to_no_other_session(shelf):
    await shelf.save("a", blob(b"x"))
    await shelf.save("user:link", file(shelf.uri("a")))
    assert await shelf.load("user:link") == blob(b"x")
    for session in ("t", None):
        with pytest.raises(InputValidationError, match="scope"):
            await shelf.load("user:link", session=session)


@pytest.mark.parametrize("uri", ["artifact://", "artifact://apps/a", "artifact://x/versions/y"])
async def test_a_reference_that_cannot_be_read_is_refused(shelf, uri):
    with pytest.raises(InputValidationError, match="Invalid artifact reference"):
        await shelf.save("link", file(uri))


# ── what is ours ───────────────────────────────────────────────────────────────────────────────


@on_a_server
async def test_another_process_sees_them(shelf, shared_server, app):
    await shelf.save("a", blob(b"x" * 1_000_000), custom_metadata={"k": 1})
    async with sojourn.open(shared_server.url) as store:
        elsewhere = Shelf(ArtifactService(store), app)
        assert await elsewhere.load("a") == blob(b"x" * 1_000_000)
        assert await elsewhere.save("a", blob(b"y")) == 1
        assert await shelf.load("a") == blob(b"y")


@ours
async def test_the_room_and_adk_see_the_same(shelf, artifacts, app):
    room = artifacts.store.artifacts
    key = sojourn.SessionKey.of(app, "ada", "s")
    await room.save(key, "ours", b"x", mime_type="text/csv", metadata={"k": 1})
    await room.save(key.owner, "ours", b"y")
    assert await shelf.keys() == ["ours", "user:ours"]
    assert await shelf.load("ours") == blob(b"x", "text/csv")
    found = await shelf.version("ours")
    assert (found.mime_type, found.custom_metadata) == ("text/csv", {"k": 1})
    await shelf.save("theirs", types.Part(text="é"), custom_metadata={"k": 2})
    theirs = await room.load(key, "theirs")
    assert (theirs.data, theirs.mime_type) == ("é".encode(), "text/plain")
    assert theirs.metadata["k"] == 2


@ours
async def test_saves_at_once_lose_nothing(shelf):
    saved = await asyncio.gather(*(shelf.save("a", blob(b"%d" % n)) for n in range(20)))
    assert sorted(saved) == list(range(20))
    for n, version in enumerate(saved):
        assert await shelf.load("a", version) == blob(b"%d" % n)


@on_a_server
async def test_metadata_that_are_no_part_are_loud(shelf, artifacts, app):
    key = sojourn.SessionKey.of(app, "ada", "s")
    await artifacts.store.artifacts.save(key, "a", b"x", metadata={"adk:part": ["later"]})
    with pytest.raises(sojourn.CorruptRecord):
        await shelf.load("a")


async def test_it_closes_what_it_opened_and_leaves_what_was_lent(shared_server, app):
    async with sojourn.open(shared_server.url) as store:
        lent = ArtifactService(store)
        await lent.close()
        assert await Shelf(lent, app).keys() == []
        with pytest.raises(sojourn.InvalidInput, match="Options"):
            ArtifactService(store, artifact_ttl=1)
    own = ArtifactService(shared_server.url, artifact_ttl=100, namespace="x")
    await own.close()
    with pytest.raises(sojourn.Closed):
        await Shelf(own, app).keys()


@ours
@pytest.mark.parametrize(("user", "session"), [("ada", "x" * 600), ("y" * 600, "s")])
async def test_nothing_is_under_an_id_that_no_session_can_have(artifacts, app, user, session):
    where = {"app_name": app, "user_id": user, "session_id": session}
    named = {**where, "filename": "a.txt"}
    assert await artifacts.load_artifact(**named) is None
    assert await artifacts.list_artifact_keys(**where) == []
    assert await artifacts.list_versions(**named) == []
    assert await artifacts.list_artifact_versions(**named) == []
    assert await artifacts.get_artifact_version(**named) is None
    await artifacts.delete_artifact(**named)
    with pytest.raises(InvalidId):
        await artifacts.save_artifact(**named, artifact={"text": "hi"})


async def test_over_a_sealed_store_parts_come_back_and_are_stored_nowhere(shared_server, app):
    async with open_sealed(shared_server.url) as store:
        sealed = Shelf(ArtifactService(store), app)
        await sealed.save("a", types.Part(text="about axolotls"))
        await sealed.save("a", blob(b"zebrafish" * 100_000))
        await sealed.save("user:b", blob(b"aardvark", display_name="wombat"), session=None)
        assert (await sealed.load("a", 0)).text == "about axolotls"
        assert (await sealed.load("a")).inline_data.data == b"zebrafish" * 100_000
        assert (await sealed.load("user:b", session="other")).inline_data.display_name == "wombat"
        assert await sealed.numbers("a") == [0, 1]
        animals = [b"axolotl", b"zebrafish", b"aardvark", b"wombat"]
        assert not words_stored(shared_server, animals)
        async with sojourn.open(shared_server.url) as plain:
            without = Shelf(ArtifactService(plain), app)
            assert await without.keys() == ["a", "user:b"]
            with pytest.raises(sojourn.KeyMissing):
                await without.load("a")
            assert await sealed.delete("a") is None
