"""Routes of all rooms but the sessions: what they answer, and to whom."""

from __future__ import annotations

import json
import secrets
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_kit import Api, problem

import sojourn
from sealing import TestKeys, open_sealed
from servers import Server
from sojourn import Event, SessionKey, UserKey
from sojourn.checkpoints import Leaf, ThreadKey
from sojourn.security.tokens import Holder, Tokens, new_token
from sojourn.surfaces.http import application
from sojourn.surfaces.http import artifacts as artifact_routes
from sojourn.surfaces.http.overview import Sampler
from sojourn.surfaces.http.pages import segment
from sojourn.transfer import verify


@pytest.fixture
def app() -> str:
    return f"app-{secrets.token_hex(4)}"


@pytest.fixture
def own(app: str) -> str:
    """Where the things of ada are."""
    return f"/apps/{app}/users/ada"


@pytest.fixture
async def eve(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client("eve") as client:
        yield client


async def walked(client: httpx.AsyncClient, path: str, **query: Any) -> list[Any]:
    """What is on all pages."""
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        reply = await client.get(path, params={**query, **cursor})
        assert reply.status_code == 200, reply.text
        document = reply.json()
        found += document["items"]
        if document["cursor"] is None:
            return found
        cursor = {"cursor": document["cursor"]}


# ── search ─────────────────────────────────────────────────────────────────────────────────────


async def test_lists_and_content_are_searched(
    ada: httpx.AsyncClient, store: sojourn.Sojourn, app: str, own: str
) -> None:
    for number, name in enumerate(("one", "two")):
        made = await store.sessions.create(
            app, "ada", name, title=f"about {name}", created=1e9 + number
        )
        await store.sessions.append(
            made.key,
            *(Event(author="user", payload=f"tea {n} for {name}", time=1.5e9) for n in range(3)),
        )
    found = await walked(ada, f"{own}/sessions", q="about TWO")
    assert [each["session"] for each in found] == ["two"]
    assert await walked(ada, f"{own}/sessions", until=1e9) == []
    assert len(await walked(ada, f"{own}/sessions", since=1.5e9, limit=1)) == 2
    hits = await walked(ada, f"{own}/search", q="tea one", limit=2)
    assert [(each["session"], each["seq"]) for each in hits] == [("one", 3), ("one", 2), ("one", 1)]
    hits = await walked(ada, f"{own}/sessions/two/search", q="2")
    assert [each["snippet"] for each in hits] == ["tea 2 for two"]
    problem(await ada.get(f"{own}/sessions/none/search", params={"q": "x"}), 404)
    problem(await ada.get(f"{own}/search", params={"q": " "}), 400)
    problem(await ada.get(f"{own}/search"), 422)


# ── memory ─────────────────────────────────────────────────────────────────────────────────────


async def test_memory_from_the_first_entry_to_the_last(ada: httpx.AsyncClient, own: str) -> None:
    tea = f"{own}/memory/{segment('tea/of the day')}"
    reply = await ada.put(tea, json={"value": {"name": "oolong"}, "metadata": {"by": "me"}})
    assert reply.status_code == 200, reply.text
    etag = reply.headers["etag"]
    reply = await ada.get(tea)
    assert reply.headers["etag"] == etag
    assert (reply.json()["value"], reply.json()["metadata"]) == ({"name": "oolong"}, {"by": "me"})
    problem(await ada.put(tea, json={"value": 1}, headers={"if-match": '"99999"'}), 412)
    problem(await ada.put(tea, json={"value": 1}, headers={"if-none-match": "*"}), 412)
    problem(await ada.put(tea, json={"value": 1}, headers={"if-match": "nonsense"}), 412)
    reply = await ada.put(tea, json={"value": "green", "ttl": None}, headers={"if-match": etag})
    assert reply.headers["etag"] != etag
    assert (await ada.get(tea)).json()["expires"] is None
    problem(await ada.delete(tea, headers={"if-match": etag}), 412)
    assert (await ada.delete(tea)).status_code == 204
    problem(await ada.get(tea), 404)
    problem(await ada.delete(tea), 404)
    problem(await ada.put(tea, json={}), 422)
    problem(await ada.put(tea, json={"value": 1, "ttl": -1}), 400)


async def test_memory_is_listed_and_searched(
    ada: httpx.AsyncClient, store: sojourn.Sojourn, app: str, own: str
) -> None:
    memory = store.memory.user("ada", app=app, tenant="")
    for name in ("a1", "a2", "b1"):
        await memory.put(name, f"{name} likes tea")
    await store.memory.sessions("ada", app=app, tenant="").put("s", {"text": "of a session"})
    assert [each["key"] for each in await walked(ada, f"{own}/memory", limit=1)] == [
        *("b1", "a2", "a1")
    ]
    found = await walked(ada, f"{own}/memory", prefix="a", order="key", limit=1)
    assert [each["key"] for each in found] == ["a1", "a2"]
    (hit,) = await walked(ada, f"{own}/memory", q="b1")
    assert hit["key"] == "b1"
    assert hit["score"] > 0
    (entry,) = await walked(ada, f"{own}/memory", scope="sessions")
    assert entry["key"] == "s"
    problem(await ada.get(f"{own}/memory", params={"scope": "all"}), 422)


# ── artifacts ──────────────────────────────────────────────────────────────────────────────────


async def test_an_artifact_and_ranges_of_it(ada: httpx.AsyncClient, own: str) -> None:
    file = f"{own}/artifacts/{segment('a/b c.png')}"
    data = bytes(range(256)) * 10
    for number in range(2):
        reply = await ada.put(
            file, content=data + b"x" * number, headers={"content-type": "image/png"}
        )
        assert (reply.status_code, reply.json()["version"]) == (201, number)
    reply = await ada.get(file, params={"version": 0})
    assert reply.content == data
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["content-disposition"] == "inline; filename*=UTF-8''a%2Fb%20c.png"
    assert "sandbox" in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    etag = reply.headers["etag"]

    async def ranged(said: str, **more: str) -> tuple[int, bytes, str | None]:
        headers = {"range": said, **{k.replace("_", "-"): v for k, v in more.items()}}
        got = await ada.get(file, params={"version": 0}, headers=headers)
        return got.status_code, got.content, got.headers.get("content-range")

    size = len(data)
    assert await ranged("bytes=0-9") == (206, data[:10], f"bytes 0-9/{size}")
    assert await ranged("bytes=2550-") == (206, data[2550:], f"bytes 2550-2559/{size}")
    assert await ranged("bytes=-5") == (206, data[-5:], f"bytes 2555-2559/{size}")
    assert await ranged("bytes=5-99999") == (206, data[5:], f"bytes 5-2559/{size}")
    assert await ranged("bytes=-99999") == (206, data, f"bytes 0-2559/{size}")
    assert (await ranged("bytes=2560-"))[::2] == (416, f"bytes */{size}")
    assert (await ranged("bytes=-0"))[::2] == (416, f"bytes */{size}")
    for passed_over in ("bytes=5-1", "bytes=-", "lines=1-2", "bytes=1-2,4-5", "bytes=a-b"):
        assert await ranged(passed_over) == (200, data, None)
    assert (await ranged("bytes=0-9", if_range=etag))[0] == 206
    assert (await ranged("bytes=0-9", if_range='"other"'))[0] == 200
    unchanged = await ada.get(file, params={"version": 0}, headers={"if-none-match": etag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    versions = (await ada.get(f"{file}/versions")).json()["items"]
    assert [(each["version"], each["size"]) for each in versions] == [(1, size + 1), (0, size)]
    assert (await ada.delete(file)).status_code == 204
    for gone in (ada.get(file), ada.get(f"{file}/versions"), ada.delete(file)):
        problem(await gone, 404)
    problem(await ada.get(file, params={"version": -1}), 422)


@pytest.mark.parametrize(
    ("kind", "sent", "how"),
    [
        ("text/html", "text/html", "attachment"),
        ("image/svg+xml", "image/svg+xml", "attachment"),
        ("text/plain; charset=utf-7", "text/plain; charset=utf-8", "inline"),
        ("IMAGE/PNG", "image/png", "inline"),
        ("no type", "application/octet-stream", "attachment"),
        ("a/b\r\nx: y", "application/octet-stream", "attachment"),
        ("ü/ü", "application/octet-stream", "attachment"),
    ],
)
async def test_no_artifact_is_run_by_a_browser(
    ada: httpx.AsyncClient,
    store: sojourn.Sojourn,
    app: str,
    own: str,
    *,
    kind: str,
    sent: str,
    how: str,
) -> None:
    name = '"; filename=x.html\r\nx: y ü'
    await store.artifacts.save(UserKey.of(app, "ada"), name, b"<script>", mime_type=kind)
    reply = await ada.get(f"{own}/artifacts/{segment(name)}")
    assert reply.headers["content-type"] == sent
    assert reply.headers["content-disposition"].startswith(f"{how}; filename*=UTF-8''%22%3B")
    assert "x" not in reply.headers
    assert reply.headers["x-content-type-options"] == "nosniff"
    reply = await ada.get(f"{own}/artifacts/{segment(name)}", params={"download": 1})
    assert reply.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_artifacts_of_the_user_and_of_all_sessions_are_listed(
    ada: httpx.AsyncClient,
    store: sojourn.Sojourn,
    app: str,
    own: str,
    limit: int,
) -> None:
    await store.artifacts.save(UserKey.of(app, "ada"), "mine", b"1")
    await store.artifacts.save(UserKey.of(app, "ada"), "my own", b"1")
    wanted: list[tuple[str | None, str]] = [(None, "mine"), (None, "my own")]
    for number in range(artifact_routes._SESSIONS + 4):
        session = f"s{99 - number}"
        key = (await store.sessions.create(app, "ada", session, created=1e9 - number)).key
        if number % 13 == 1:
            await store.artifacts.save(key, "one", b"1")
            await store.artifacts.save(key, "two", b"12")
            wanted += [(session, "one"), (session, "two")]
    found = await walked(ada, f"{own}/artifacts", limit=limit)
    assert [(each["session"], each["name"]) for each in found] == wanted
    assert found[-1]["latest"]["size"] == 2
    (session, _) = wanted[-1]
    of_one = await walked(ada, f"{own}/artifacts", session=session, limit=limit)
    assert [each["name"] for each in of_one] == ["one", "two"]


# ── cache ──────────────────────────────────────────────────────────────────────────────────────


async def test_cache_figures_and_invalidation(
    ada: httpx.AsyncClient, ops: httpx.AsyncClient, store: sojourn.Sojourn, app: str, own: str
) -> None:
    cache = store.user(app, "ada").cache
    await cache.put("price", 5, ttl=100, tags=["prices"])
    assert (await ada.post(f"{own}/cache/invalidate", json={"tag": "prices"})).status_code == 204
    assert await cache.get("price") is None
    problem(await ada.get("/cache"), 403)
    figures = (await ops.get("/cache")).json()
    assert {"hits", "hit_rate", "near_cache"} <= figures.keys()


# ── threads ────────────────────────────────────────────────────────────────────────────────────


async def thread(store: sojourn.Sojourn, app: str, user: str, name: str, checkpoints: int) -> None:
    key = ThreadKey.of(app, user, name)
    for n in range(checkpoints):
        values = {"messages": [f"m{m}" for m in range(n + 1)], "same": "x"}
        if n:
            values["later"] = n
        await store.threads.put(
            key,
            f"c{n}",
            parent=f"c{n - 1}" if n else "",
            data={"ts": "2026-01-01T00:00:00+00:00"},
            metadata={"step": n, "source": "loop"},
            values={k: (lambda v=v: Leaf(json.dumps(v).encode())) for k, v in values.items()},
        )
    await store.threads.put(key, "inner", namespace="child:1", values={"v": lambda: Leaf(b"1")})


async def test_threads_are_a_tree_that_can_be_compared_and_pruned(
    ada: httpx.AsyncClient, store: sojourn.Sojourn, app: str, own: str
) -> None:
    for name in ("t1", "t/2"):
        await thread(store, app, "ada", name, 3)
    found = await walked(ada, f"{own}/threads", limit=1)
    assert sorted(each["thread"] for each in found) == ["t/2", "t1"]
    here = f"{own}/threads/{segment('t/2')}"
    nodes = await walked(ada, f"{here}/checkpoints", limit=1)
    assert [(each["namespace"], each["id"], each["parent"]) for each in nodes] == [
        *(("child:1", "inner", None), ("", "c2", "c1"), ("", "c1", "c0"), ("", "c0", None))
    ]
    assert (nodes[1]["step"], nodes[1]["source"], nodes[1]["time"]) == (2, "loop", 1767225600.0)
    last = (await ada.get(here)).json()
    assert (last["id"], last["values"]["messages"]) == ("c2", ["m0", "m1", "m2"])
    one = await ada.get(f"{here}/checkpoints/{segment('child:1')}/inner")
    assert one.json()["values"] == {"v": 1}
    assert (await ada.get(f"{here}/checkpoints/~/c0")).json()["values"]["messages"] == ["m0"]
    both = (await ada.get(f"{here}/compare", params={"a": "c0", "b": "c1"})).json()
    assert both["same"] == ["same"]
    assert [(each["name"], each["change"], each["b"]) for each in both["changes"]] == [
        *(("later", "added", 1), ("messages", "changed", ["m0", "m1"]))
    ]
    other = {"a": "c0", "b": "inner", "b_namespace": "child:1"}
    both = (await ada.get(f"{here}/compare", params=other)).json()
    assert [each["change"] for each in both["changes"]] == ["removed", "removed", "added"]
    assert (await ada.post(f"{here}/prune", json={"keep": 1})).json() == {"removed": 2}
    assert (await ada.delete(here)).status_code == 204
    for gone in (
        ada.get(here),
        ada.delete(here),
        ada.get(f"{here}/checkpoints"),
        ada.get(f"{here}/checkpoints/~/c0"),
        ada.get(f"{here}/compare", params={"a": "c0", "b": "c1"}),
    ):
        problem(await gone, 404)
    problem(await ada.post(f"{here}/prune", json={"keep": 0}), 422)


async def test_messages_of_a_graph_are_shown_as_people_read_them(
    ada: httpx.AsyncClient, store: sojourn.Sojourn, app: str, own: str
) -> None:
    said = [
        {"type": "human", "content": "<b>Hello</b>", "id": "m1"},
        {"type": "ai", "content": "", "tool_calls": [{"name": "f", "args": {"a": 1}, "id": "c"}]},
        "not a message",
        {"type": "tool", "content": "42", "tool_call_id": "c", "name": "f", "id": 5},
    ]
    value = {"messages": lambda: Leaf(json.dumps(said).encode())}
    await store.threads.put(ThreadKey.of(app, "ada", "t"), "c", values=value)
    found = (await ada.get(f"{own}/threads/t")).json()
    assert found["values"]["messages"] == said
    assert [each["role"] for each in found["messages"]] == ["user", "assistant", "tool"]
    assert found["messages"][0]["parts"] == [{"type": "text", "text": "<b>Hello</b>"}]
    assert [each["type"] for each in found["messages"][1]["parts"]] == ["call"]
    assert found["messages"][2]["author"] == "f"


# ── operators ──────────────────────────────────────────────────────────────────────────────────


async def test_what_cannot_be_read_is_shown_with_its_bytes(
    api: Api,
    ops: httpx.AsyncClient,
    store: sojourn.Sojourn,
    shared_server: Server,
    namespace: str,
    *,
    app: str,
    own: str,
) -> None:
    for user in ("ada", "bob"):
        key = (await store.sessions.create(app, user, "s")).key
        await store.sessions.append(key, Event(author="user", payload="tea"))
        with shared_server.client() as client:
            client.lset(f"{namespace}:session:{{{app}:{user}}}:s:events", 0, b"\xffbroken")
        await ops.get(f"/apps/{app}/users/{user}/sessions/s/events")
    (record,) = await walked(ops, f"{own}/quarantine")
    assert (record["field"], record["size"], record["sealed"]) == ("1", 7, None)
    one = (await ops.get(f"{own}/quarantine/{record['id']}")).json()
    assert (b64decode(one["raw"]), one["kept"]) == (b"\xffbroken", 7)
    found = await walked(ops, "/quarantine", limit=1)
    assert sorted(each["user"] for each in found if each["app"] == app) == ["ada", "bob"]
    async with api.client("writer") as writer:
        problem(await writer.get(f"{own}/quarantine"), 403)
        problem(await writer.get("/quarantine"), 403)
    assert (await ops.delete(f"{own}/quarantine/{record['id']}")).status_code == 204
    problem(await ops.delete(f"{own}/quarantine/{record['id']}"), 404)
    problem(await ops.get(f"{own}/quarantine/{record['id']}"), 404)


async def test_the_doctor_and_the_overview(
    api: Api, ops: httpx.AsyncClient, ada: httpx.AsyncClient, store: sojourn.Sojourn, app: str
) -> None:
    await store.sessions.create(app, "ada")
    report = (await ops.get("/doctor")).json()
    assert {"group", "check", "level", "what", "todo", "node"} == report["findings"][0].keys()
    overview = (await ops.get("/overview")).json()
    assert overview["stats"]["kind"] == "redis"
    assert overview["health"][0]["latency"] < 1
    columns = overview["series"]
    assert len({len(column) for column in columns.values()}) == 1
    assert columns["latency"][-1] < 1000
    for path in ("/doctor", "/overview"):
        problem(await ada.get(path), 403)
    async with api.client("viewer") as viewer:
        problem(await viewer.get("/doctor"), 403)
        assert (await viewer.get("/overview")).status_code == 200


async def test_a_sample_has_rates_since_the_one_before(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sojourn.surfaces.http.overview.EVERY", 0.0)
    async with sojourn.open(shared_server.url, namespace=f"s{secrets.token_hex(4)}") as store:
        sampler = Sampler(store)
        remove = store.on_call(sampler._called)
        await sampler.sample()
        key = (await store.sessions.create("shop", "ada")).key
        for _ in range(20):
            await store.sessions.append(key, Event(author="user", payload=1))
            await store.sessions.get(key)
        sampler._turn = 0
        await sampler.sample()
        remove()
        first, second = sampler.samples
        assert (first.sessions, first.appends, first.writes, first.hits) == (0, None, None, None)
        passed = second.t - first.t
        assert second.sessions == 1
        assert second.appends == pytest.approx(20 / passed, rel=0.1)
        assert second.writes is not None
        assert second.writes * passed >= 20
        assert second.hits is not None
        assert 0.5 < second.hits <= 1


async def test_an_outage_is_in_the_overview(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sojourn.surfaces.http.overview.EVERY", 0.0)
    async with sojourn.open(server.url, operation_timeout=0.3) as store:
        token, line = new_token("ops", all_users=True)
        holder = Holder("ops", all_users=True)
        api = application(store, tokens=Tokens({bytes.fromhex(line.split('"')[1]): holder}))
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(api),
            base_url="http://127.0.0.1",
            headers={"authorization": f"Bearer {token}"},
        )
        async with client:
            assert (await client.get("/v1/overview")).json()["series"]["sessions"] == [0]
            server.stop(9)
            reply = await client.get("/v1/overview")
            assert reply.status_code == 200
            document = reply.json()
            assert document["health"][0]["latency"] is None
            assert document["series"]["latency"][-1] is None
            assert document["series"]["sessions"][-1] is None


async def test_sealed_content_is_shown_as_sealed(
    ada: httpx.AsyncClient,
    store: sojourn.Sojourn,
    shared_server: Server,
    namespace: str,
    *,
    app: str,
    own: str,
) -> None:
    keys = TestKeys()
    sealed = open_sealed(shared_server.url, keys, namespace=namespace)
    for room in ("memory", "artifacts"):
        sealed.stores.rooms[room].store.codec.seal_with(keys)
    async with sealed:
        await sealed.memory.user("ada", app=app, tenant="").put("k", "secret")
        await sealed.artifacts.save(UserKey.of(app, "ada"), "f", b"secret")
        key = (await sealed.sessions.create(app, "ada", "s", title="secret")).key
        await sealed.sessions.append(key, Event(author="user", payload="secret"))
    memory = (await ada.get(f"{own}/memory")).json()
    assert (memory["items"], memory["newer"]) == ([], [])
    assert [(each["key"], each["size"] > 0) for each in memory["sealed"]] == [("k", True)]
    problem(await ada.get(f"{own}/memory/k"), 501, "KeyMissing")
    (artifact,) = await walked(ada, f"{own}/artifacts")
    assert artifact["latest"]["sealed"]["key"]
    problem(await ada.get(f"{own}/artifacts/f"), 501, "KeyMissing")
    found = (await ada.get(f"{own}/search", params={"q": "secret"})).json()
    assert (found["items"], found["unreadable"]) == ([], ["s"])
    problem(await ada.get(f"{own}/sessions/s/search", params={"q": "secret"}), 501, "KeyMissing")


async def test_sessions_are_revoked_and_users_forgotten(
    ops: httpx.AsyncClient, ada: httpx.AsyncClient, store: sojourn.Sojourn, app: str, own: str
) -> None:
    for name in ("a", "b", "c"):
        await store.sessions.create(app, "ada", name)
    await store.artifacts.save(SessionKey.of(app, "ada", "a"), "f", b"1")
    problem(await ada.post(f"{own}/revoke"), 403)
    problem(await ada.post(f"{own}/sessions/a/revoke"), 403)
    done = await ops.post(f"{own}/sessions/a/revoke")
    assert done.json() == {"sessions": 1, "artifacts": 1}
    assert (await ops.post(f"{own}/revoke")).json() == {"sessions": 2, "artifacts": 0}
    await store.memory.user("ada", app=app, tenant="").put("k", 1)
    problem(await ops.post(f"{own}/forget", json={"confirm": "bob"}), 400)
    problem(await ops.post(f"{own}/forget"), 422)
    problem(await ada.post(f"{own}/forget", json={"confirm": "ada"}), 403)
    receipt = (await ops.post(f"{own}/forget", json={"confirm": "ada"})).json()
    assert receipt["erased"]["memories"] == 1


async def test_users_and_apps_are_exported(
    ops: httpx.AsyncClient,
    ada: httpx.AsyncClient,
    store: sojourn.Sojourn,
    *,
    app: str,
    own: str,
    tmp_path: Path,
) -> None:
    key = (await store.sessions.create(app, "ada", "s", title="of ada")).key
    await store.sessions.append(key, *(Event(author="user", payload="x" * 5000) for _ in range(50)))
    reply = await ops.get(f"{own}/export")
    assert reply.headers["content-disposition"].startswith("attachment")
    records = [json.loads(line) for line in reply.text.splitlines()]
    assert [each["kind"] for each in records].count("event") == 50
    problem(await ada.get(f"{own}/export"), 403)
    problem(await ada.get(f"/apps/{app}/export"), 403)
    reply = await ops.get(f"/apps/{app}/export")
    file = tmp_path / "archive.jsonl"
    file.write_bytes(reply.content)
    assert (await verify(file)).counts.events == 50


async def test_nobody_else_sees_or_changes_it(
    ada: httpx.AsyncClient, eve: httpx.AsyncClient, store: sojourn.Sojourn, app: str, own: str
) -> None:
    await store.memory.user("ada", app=app, tenant="").put("k", "secret")
    await thread(store, app, "ada", "t", 1)
    await store.artifacts.save(UserKey.of(app, "ada"), "f", b"secret")
    for path in ("memory/k", "memory", "artifacts/f", "artifacts", "threads", "threads/t"):
        assert (await ada.get(f"{own}/{path}")).status_code == 200
        problem(await eve.get(f"{own}/{path}"), 404)
    problem(await eve.put(f"{own}/memory/k", json={"value": 1}), 404)
    problem(await eve.delete(f"{own}/artifacts/f"), 404)
    assert (await ada.get(f"{own}/memory/k")).json()["value"] == "secret"
