"""Sessions over HTTP: lists, one, its events; and whose they are."""

from __future__ import annotations

import secrets

import httpx
import pytest
from http_kit import Api, problem

import sojourn
from sojourn import Event
from sojourn.surfaces.http.pages import segment

IDS = ["s", "a/b", "..", ".", "~", "~x", "a b", "ü🦀", "%2F", "a?b#c", "s" * 300, "a\nb"]


async def some(store: sojourn.Sojourn, app: str, user: str, session: str, events: int) -> None:
    made = await store.sessions.create(app, user, session, title=session[:20], state={"a": 1})
    if events:
        await store.sessions.append(
            made.key, *(Event(author="user", payload=n + 1) for n in range(events))
        )


@pytest.fixture
def app() -> str:
    return f"app-{secrets.token_hex(4)}"


async def test_who_calls_is_said(api: Api) -> None:
    async with api.client("ops") as ops, api.client("joe") as joe, api.client() as nobody:
        me = (await ops.get("/me")).json()
        assert (me["name"], me["scope"], me["user"], me["apps"]) == ("ops", "admin", None, None)
        assert "sessions" in me["rooms"]
        me = (await joe.get("/me")).json()
        assert (me["name"], me["scope"], me["user"], me["apps"]) == (
            "joe",
            "write",
            "joe",
            ["other"],
        )
        reply = await nobody.get("/me")
        problem(reply, 401, "Unauthorized")
        assert reply.headers["www-authenticate"].startswith("Bearer")
        wrong = await nobody.get("/me", headers={"authorization": "Bearer sojourn_wrong"})
        problem(wrong, 401)


@pytest.mark.parametrize("name", IDS)
async def test_ids_of_any_kind_are_one_segment(
    ops: httpx.AsyncClient, store: sojourn.Sojourn, app: str, name: str
) -> None:
    await some(store, app, name, name, 1)
    path = f"/apps/{app}/users/{segment(name)}/sessions"
    (found,) = (await ops.get(path)).json()["items"]
    assert (found["user"], found["session"]) == (name, name)
    one = await ops.get(f"{path}/{segment(name)}?events=5")
    assert one.json()["session"] == name
    assert [each["payload"] for each in one.json()["events"]] == [1]
    users = (await ops.get(f"/apps/{app}/users")).json()
    assert users == {"items": [{"user": name}], "cursor": None}


async def test_the_user_without_a_name_is_one(
    ops: httpx.AsyncClient, store: sojourn.Sojourn, app: str
) -> None:
    await some(store, app, "", "s", 0)
    assert (await ops.get(f"/apps/{app}/users/~/sessions/s")).json()["user"] == ""
    assert len((await ops.get(f"/apps/{app}/users/~/sessions")).json()["items"]) == 1


async def test_lists_come_in_pages_and_are_filtered(
    ops: httpx.AsyncClient, store: sojourn.Sojourn, app: str
) -> None:
    for n in range(5):
        await store.sessions.create(
            app, "ada", f"s{n}", labels={"odd": str(n % 2)}, status="open" if n else "ended"
        )
    await store.sessions.create(app, "bob", "s9")
    assert app in [each["app"] for each in (await ops.get("/apps?limit=1000")).json()["items"]]
    own, seen, cursor = f"/apps/{app}/users/ada/sessions", [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        found = (await ops.get(own, params=query)).json()
        seen += [each["session"] for each in found["items"]]
        cursor = found["cursor"]
        if cursor is None:
            break
    assert seen == ["s4", "s3", "s2", "s1", "s0"]
    odd = (await ops.get(own, params={"label": "odd:1"})).json()["items"]
    assert [each["session"] for each in odd] == ["s3", "s1"]
    ended = (await ops.get(own, params={"status": "ended"})).json()["items"]
    assert [each["session"] for each in ended] == ["s0"]
    all_ = (await ops.get(f"/apps/{app}/sessions")).json()["items"]
    assert {each["session"] for each in all_} == {"s0", "s1", "s2", "s3", "s4", "s9"}
    problem(await ops.get(own, params={"cursor": "x"}), 400, "InvalidInput")
    problem(await ops.get(own, params={"limit": 0}), 422, "InvalidRequest")
    problem(await ops.get(own, params={"label": "odd"}), 400)


async def test_events_come_in_pages_from_both_ends(
    ops: httpx.AsyncClient, store: sojourn.Sojourn, app: str
) -> None:
    await some(store, app, "ada", "s", 10)
    path = f"/apps/{app}/users/ada/sessions/s/events"

    async def seqs(query: str) -> list[int]:
        found = (await ops.get(f"{path}?{query}")).json()
        numbers = [each["seq"] for each in found["items"]]
        assert found["length"] == 10
        assert (found["first"], found["last"]) == (
            (numbers[0], numbers[-1]) if numbers else (None, None)
        )
        return numbers

    assert await seqs("limit=3") == [8, 9, 10]
    assert await seqs("before=8&limit=3") == [5, 6, 7]
    assert await seqs("before=2&limit=3") == [1]
    assert await seqs("before=1") == []
    assert await seqs("after=0&limit=3") == [1, 2, 3]
    assert await seqs("after=8") == [9, 10]
    assert await seqs("after=10") == []
    problem(await ops.get(f"{path}?after=1&before=3"), 400)


async def test_a_key_of_one_user_finds_nothing_of_anybody_else(
    api: Api, store: sojourn.Sojourn, app: str
) -> None:
    await some(store, app, "ada", "s", 1)
    async with api.client("eve") as eve, api.client("joe") as joe, api.client("ada") as ada:
        assert (await ada.get(f"/apps/{app}/users/ada/sessions/s")).status_code == 200
        listed = (await ada.get(f"/apps/{app}/sessions")).json()["items"]
        assert [each["session"] for each in listed] == ["s"]
        assert (await ada.get(f"/apps/{app}/users")).json()["items"] == [{"user": "ada"}]
        for end in ("/sessions/s", "/sessions", "/sessions/s/events", "/sessions/never"):
            foreign = problem(await eve.get(f"/apps/{app}/users/ada{end}"), 404)
            never = problem(await eve.get(f"/apps/{app}/users/never{end}"), 404)
            assert {**foreign, "instance": ""} == {**never, "instance": ""}
        assert (await eve.get(f"/apps/{app}/sessions")).json()["items"] == []
        problem(await eve.get("/apps"), 403)
        problem(await joe.get(f"/apps/{app}/users/joe/sessions"), 404)
        assert (await joe.get("/apps")).json()["items"] == [{"app": "other"}]
        assert (await joe.get("/apps/other/users/joe/sessions")).json()["items"] == []


async def test_what_is_not_there_is_a_problem(ada: httpx.AsyncClient, app: str) -> None:
    problem(await ada.get(f"/apps/{app}/users/ada/sessions/none"), 404, "SessionNotFound")
    problem(await ada.get(f"/apps/{app}/users/ada/sessions/none/events"), 404, "SessionNotFound")
    problem(await ada.get("/nothing"), 404)
    problem(await ada.put("/me"), 405)
    problem(await ada.get("/apps/%FF/users/ada/sessions"), 400)


async def test_every_access_is_in_the_log(
    api: Api, ada: httpx.AsyncClient, ops: httpx.AsyncClient, app: str
) -> None:
    before = len(api.log.read_text().splitlines())
    await ada.get(f"/apps/{app}/users/ada/sessions")
    await ops.get(f"/apps/{app}/users/ada/sessions/none")
    await ops.get(f"/apps/{app}/users")
    await ada.get(f"/apps/{app}/users/eve/sessions")
    lines = api.log.read_text().splitlines()[before:]
    assert [line.partition('"action":"')[2].partition('"')[0] for line in lines] == [
        "sessions.list",
        "sessions.get",
        "http.list_users",
        "http.list_sessions",
    ]
    assert app not in "".join(lines)
    assert '"ada"' not in "".join(lines)
