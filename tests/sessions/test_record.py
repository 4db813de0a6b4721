"""Each field of a session goes wherever one does: the test walks over the table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import sojourn
from servers import Server
from sojourn import Session, SessionKey, Sojourn, transfer
from sojourn.sessions import FIELDS, SessionFields, SessionRecord, session_document
from sojourn.surfaces.mcp.documents import SessionDocument
from sojourn.surfaces.mcp.documents import summary as mcp_document
from sojourn.transfer.lines import SessionLine
from sojourn.transfer.user import records

FIRST: dict[type, Any] = {str: "fürst", dict: {"a": "1"}}
SECOND: dict[type, Any] = {str: "second", dict: {"b": "2"}}


def values(of: dict[type, Any]) -> Any:
    """A value for each field, by the type of its default."""
    return {name: of[type(field.default)] for name, field in FIELDS.items()}


def fields(session: Session[Any]) -> dict[str, Any]:
    return {name: getattr(session, name) for name in FIELDS}


@pytest.fixture(params=["memory", "server", "buffer"])
async def store(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Sojourn]:
    url = "memory://" if request.param == "memory" else server.url
    more: dict[str, Any] = {"on_outage": "buffer"} if request.param == "buffer" else {}
    async with sojourn.open(url, **more) as store:
        yield store


def test_what_callers_give_and_get_has_the_same_names():
    assert SessionFields.__annotations__.keys() == FIELDS.keys()
    assert set(SessionRecord.__struct_fields__) == FIELDS.keys()
    assert FIELDS.keys() <= set(SessionLine.__struct_fields__)
    assert FIELDS.keys() <= SessionDocument.model_fields.keys()


async def test_a_field_is_set_and_read_by_every_call(store: Sojourn):
    defaults = {name: field.default for name, field in FIELDS.items()}
    made = await store.sessions.create("shop", "ada", "s", **values(FIRST))
    assert fields(made) == values(FIRST)
    assert fields(await store.sessions.ensure("shop", "ada", "s")) == values(FIRST)
    assert fields(await store.sessions.ensure("shop", "ada", "t", **values(SECOND))) == values(
        SECOND
    )
    assert fields(await store.sessions.ensure("shop", "ada", "u")) == defaults
    (got,) = (await store.batch.get([made.key])).values()
    assert fields(got) == values(FIRST)
    page = await store.sessions.list("shop", "ada")
    assert {each.key.session: fields(each) for each in page.sessions} == {
        "s": values(FIRST),
        "t": values(SECOND),
        "u": defaults,
    }
    moved = await store.sessions.rotate(made.key)
    await store.sessions.append(moved.key, sojourn.Event(author="user", payload=1))
    read = await store.sessions.get(moved.key)
    assert read is not None
    assert fields(read) == values(FIRST)
    await store.sessions.save(moved.key)
    read = await store.sessions.get(moved.key)
    assert read is not None
    assert fields(read) == defaults


@pytest.mark.parametrize("name", FIELDS)
async def test_an_update_sets_one_field_and_leaves_the_others(store: Sojourn, name: str):
    made = await store.sessions.create("shop", "ada", "s", **values(FIRST))
    changed: Any = {name: values(SECOND)[name]}
    await store.sessions.update(made.key, **changed)
    read = await store.sessions.get(made.key)
    assert read is not None
    wanted = values(FIRST) | changed
    wanted["labels"] = values(FIRST)["labels"] | changed.get("labels", {})
    assert fields(read) == wanted


@pytest.mark.parametrize("store", ["memory", "server"], indirect=True)
async def test_a_field_is_in_archives_and_documents(store: Sojourn, tmp_path: Path):
    made = await store.sessions.create("shop", "ada", "s", **values(FIRST))
    await transfer.export(store, tmp_path / "archive")
    async with sojourn.open("memory://") as other:
        await transfer.import_(other, tmp_path / "archive")
        assert (await transfer.import_(other, tmp_path / "archive")).conflicts == 0
        back = await other.sessions.get(SessionKey.of("shop", "ada", "s"))
        assert back is not None
        assert fields(back) == values(FIRST)
        other_values: Any = values(SECOND) | {"labels": {"a": "other"}}
        await other.sessions.update(back.key, **other_values)
        assert (await transfer.import_(other, tmp_path / "archive")).conflicts == 1
    assert values(FIRST).items() <= session_document(made).items()
    assert values(FIRST).items() <= mcp_document(made).model_dump().items()
    (exported,) = [each async for each in records(store, "ada") if each.kind == "session"]
    assert values(FIRST).items() <= exported.value.items()


async def test_a_field_that_there_is_none_of_is_refused_before_anything_is_sent(store: Sojourn):
    wrong: Any = {"colour": "red"}
    for call in (
        store.sessions.create("shop", "ada", "s", **wrong),
        store.sessions.ensure("shop", "ada", "s", **wrong),
        store.sessions.update(SessionKey.of("shop", "ada", "s"), **wrong),
        store.sessions.save(SessionKey.of("shop", "ada", "s"), **wrong),
    ):
        with pytest.raises(TypeError, match="no field colour; it has title"):
            await call
    assert await store.sessions.get(SessionKey.of("shop", "ada", "s")) is None
