"""Writes over HTTP: each once, on the version that was seen, as far as the key allows."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from http_kit import Api, Keys, problem

import sojourn
from servers import Server
from sojourn import SessionKey


@pytest.fixture
def app() -> str:
    return f"app-{secrets.token_hex(4)}"


@pytest.fixture
def own(app: str) -> str:
    return f"/apps/{app}/users/ada/sessions"


HELLO = {"events": [{"author": "user", "payload": {"text": "Hello"}, "state_delta": {"n": 1}}]}


async def test_a_session_is_made_changed_and_deleted(ada: httpx.AsyncClient, own: str) -> None:
    made = await ada.post(
        own, json={"session": "s", "title": "Tea", "labels": {"a": "b"}, "state": {"cart": []}}
    )
    assert made.status_code == 201
    assert made.headers["location"] == f"/v1{own}/s"
    assert made.json()["state"] == {"cart": []}
    added = (await ada.post(f"{own}/s/events", json=HELLO)).json()
    assert added == {"version": 2, "seqs": [1], "repeated": False}
    changed = await ada.patch(
        f"{own}/s", json={"status": "ended", "labels": {"a": None, "c": "d"}, "ttl": None}
    )
    assert changed.json() == {"version": 3}
    found = (await ada.get(f"{own}/s?events=9")).json()
    assert (found["title"], found["status"], found["labels"]) == ("Tea", "ended", {"c": "d"})
    assert (found["ttl"], found["state"]) == (None, {"cart": [], "n": 1})
    assert [each["payload"] for each in found["events"]] == [{"text": "Hello"}]
    moved = (await ada.post(f"{own}/s/rotate")).json()["session"]
    problem(await ada.get(f"{own}/s"), 404)
    assert (await ada.delete(f"{own}/{moved}")).status_code == 204
    problem(await ada.delete(f"{own}/{moved}"), 404, "SessionNotFound")
    problem(await ada.post(f"{own}/{moved}/events", json=HELLO), 404, "SessionNotFound")


async def test_an_id_that_is_taken_is_a_conflict(ada: httpx.AsyncClient, own: str) -> None:
    assert (await ada.post(own, json={"session": "s"})).status_code == 201
    problem(await ada.post(own, json={"session": "s"}), 409, "SessionExists")
    problem(await ada.post(own, json={"session": "a b"}), 400, "InvalidId")  # of a user's choice


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"more": 1}',
        b'{"title": 7}',
        b'{"labels": {"a": 1}}',
        b'{"title": "\xff"}',
        b'{"state":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    ],
)
async def test_a_wrong_body_is_a_problem(ada: httpx.AsyncClient, own: str, body: bytes) -> None:
    reply = await ada.post(own, content=body)
    assert reply.status_code in (400, 413, 422)
    problem(reply, reply.status_code)


async def test_a_body_over_the_cap_is_refused(ada: httpx.AsyncClient, own: str) -> None:
    problem(await ada.post(own, content=b" " * (16 * 2**20 + 1)), 413, "TooLarge")

    async def parts() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 2**20

    problem(await ada.post(own, content=parts()), 413)


async def test_state_is_set_and_removed_and_the_log_says_by_whom(
    ada: httpx.AsyncClient, own: str
) -> None:
    await ada.post(own, json={"session": "s", "state": {"a": 0}})
    for n in (1, 2):
        changes = {"set": {"a": n, "user:b": n}, "author": f"agent-{n}"}
        assert (await ada.patch(f"{own}/s/state", json=changes)).status_code == 200
    reply = await ada.patch(f"{own}/s/state", json={"set": {"c": 1}, "remove": ["a"]})
    assert reply.json() == {"version": 5}
    state = (await ada.get(f"{own}/s/state")).json()
    assert state["state"] == {"c": 1, "user:b": 2}
    found = (await ada.get(f"{own}/s/state/changes")).json()
    assert [(c["name"], c["value"], c.get("before", "?"), c["author"]) for c in found["items"]] == [
        ("c", 1, "?", "user"),
        ("a", 2, 1, "agent-2"),
        ("user:b", 2, 1, "agent-2"),
        ("a", 1, "?", "agent-1"),
        ("user:b", 1, "?", "agent-1"),
    ]
    only = (await ada.get(f"{own}/s/state/changes?name=c")).json()
    assert [change["seq"] for change in only["items"]] == [3]
    problem(await ada.patch(f"{own}/s/state", json={"set": {"app:x": 1}}), 403)
    problem(await ada.patch(f"{own}/s/state", json={}), 400)


async def test_a_change_may_expect_what_was_seen(ada: httpx.AsyncClient, own: str) -> None:
    made = await ada.post(own, json={"session": "s"})
    seen = (await ada.get(f"{own}/s")).headers["etag"]
    for etag in (made.headers["etag"], seen):
        assert etag.startswith('"')
    added = await ada.post(f"{own}/s/events", json=HELLO, headers={"if-match": seen})
    assert added.status_code == 201
    for call in (
        ada.post(f"{own}/s/events", json=HELLO, headers={"if-match": seen}),
        ada.patch(f"{own}/s", json={"title": "t"}, headers={"if-match": seen}),
        ada.patch(f"{own}/s/state", json={"set": {"a": 1}}, headers={"if-match": seen}),
        ada.delete(f"{own}/s", headers={"if-match": seen}),
    ):
        stale = problem(await call, 412, "StaleSession")
        assert (stale["expected"], stale["actual"]) == (1, 2)
    problem(await ada.delete(f"{own}/s", headers={"if-match": '"x"'}), 412)
    now = added.headers["etag"]
    changed = await ada.patch(f"{own}/s", json={"title": "t"}, headers={"if-match": now})
    assert changed.status_code == 200
    gone = await ada.delete(f"{own}/s", headers={"if-match": changed.headers["etag"]})
    assert gone.status_code == 204
    await ada.post(own, json={"session": "s"})  # another one, whose version is the same
    problem(await ada.patch(f"{own}/s", json={"title": "t"}, headers={"if-match": seen}), 404)


async def test_what_has_not_changed_is_not_sent_again(ada: httpx.AsyncClient, own: str) -> None:
    await ada.post(own, json={"session": "s"})
    await ada.post(own, json={"session": "other"})
    etag = (await ada.get(f"{own}/s")).headers["etag"]
    again = await ada.get(f"{own}/s", headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")
    await ada.patch(f"{own}/other/state", json={"set": {"user:a": 1}})  # which both have
    found = await ada.get(f"{own}/s", headers={"if-none-match": etag})
    assert found.json()["state"] == {"user:a": 1}


async def test_a_request_with_the_same_key_takes_effect_once(
    ada: httpx.AsyncClient, ops: httpx.AsyncClient, own: str
) -> None:
    key = {"idempotency-key": secrets.token_hex(8)}
    first = (await ada.post(own, json={"title": "a"}, headers=key)).json()
    again = (await ada.post(own, json={"title": "a"}, headers=key)).json()
    assert first["session"] == again["session"]
    problem(await ada.post(own, json={"title": "b"}, headers=key), 422, "IdempotencyKeyReused")
    other = (await ops.post(own, json={"title": "a"}, headers=key)).json()
    assert other["session"] != first["session"]  # another caller's key is another key
    events = f"{own}/{first['session']}/events"
    added = (await ada.post(events, json=HELLO, headers=key)).json()  # and so on another route
    assert (added["seqs"], added["repeated"]) == ([1], False)
    added = (await ada.post(events, json=HELLO, headers=key)).json()
    assert (added["version"], added["repeated"]) == (2, True)
    assert (await ada.get(events)).json()["length"] == 1
    state = {"set": {"a": 1}, "remove": ["b"]}
    for _ in range(2):
        reply = await ada.patch(f"{own}/{first['session']}/state", json=state, headers=key)
        assert reply.json() == {"version": 4}


async def test_the_scope_of_a_key_is_kept(api: Api, store: sojourn.Sojourn, app: str) -> None:
    await store.sessions.create(app, "ada", "s")
    await store.sessions.create(app, "reader", "s")
    async with api.client("reader") as reader, api.client("viewer") as viewer:
        assert (await reader.get(f"/apps/{app}/users/reader/sessions/s")).status_code == 200
        assert (await viewer.get(f"/apps/{app}/users/ada/sessions/s")).status_code == 200
        for client, user in ((reader, "reader"), (viewer, "ada")):
            own = f"/apps/{app}/users/{user}/sessions"
            refusal = problem(await client.post(own, json={}), 403, "ScopeTooSmall")
            assert (refusal["scope"], refusal["needed"]) == ("read", "write")
            for method, path in (("PATCH", "/s"), ("DELETE", "/s"), ("POST", "/s/events")):
                problem(await client.request(method, own + path), 403, "ScopeTooSmall")
    async with api.client("eve") as eve, api.client("writer") as writer:
        problem(await eve.delete(f"/apps/{app}/users/ada/sessions/s"), 404)
        assert await store.sessions.get(SessionKey.of(app, "ada", "s"))
        assert (await writer.delete(f"/apps/{app}/users/ada/sessions/s")).status_code == 204


async def test_a_server_that_only_reads_changes_nothing(
    shared_server: Server, keys: Keys, tmp_path: Path, app: str
) -> None:
    api = Api(shared_server.url, keys, "--read-only", "--access-log", str(tmp_path / "log"))
    try:
        async with api.client("ops") as ops:
            assert (await ops.get("/me")).json()["read_only"]
            own = f"/apps/{app}/users/ada/sessions"
            problem(await ops.post(own, json={}), 403, "ReadOnly")
            problem(await ops.delete(f"{own}/s"), 403, "ReadOnly")
            assert (await ops.get(own)).json()["items"] == []
    finally:
        api.kill()
