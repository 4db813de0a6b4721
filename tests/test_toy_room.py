"""A room from outside the package in one file, and all that a store does for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import APIRouter
from fastapi.responses import Response
from mcp import Client

import sojourn
from servers import Server
from sojourn import InvalidInput, rooms, transfer
from sojourn.calls.call import Call, Script, only
from sojourn.calls.keys import ID, USER_TAG, KeyKind, Keys
from sojourn.calls.operation import Operation, RoomStore
from sojourn.calls.room import OpenRoom, Restored, Room, RoomContext, RoomRecord, at_once
from sojourn.doctor.checks.access import acl_rule
from sojourn.doctor.model import Level
from sojourn.engine.store import RedisStore
from sojourn.ids import UserKey, escape, operation_id_of, user_key
from sojourn.rooms import ROOMS, StoreKeys
from sojourn.security import Principal
from sojourn.security.tokens import Holder, Tokens, new_token
from sojourn.surfaces.cli import main
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import show
from sojourn.surfaces.cli.options import Namespace, Url
from sojourn.surfaces.cli.root import group
from sojourn.surfaces.http import application
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import App, UserId, json
from sojourn.surfaces.mcp import Identity, RequestContext, server_of
from sojourn.surfaces.mcp.caller import Own
from sojourn.surfaces.mcp.tools import ADDS, tool
from sojourn.transfer.user import export as user_export

# ── the room ───────────────────────────────────────────────────────────────────────────────────

COUNT = Script(
    "count",
    """
    -- KEYS: the counter; ARGV: operation id, by how much, milliseconds that it lives
    if redis.call('HSETNX', KEYS[1], 'op:' .. ARGV[1], '') == 1 then
      redis.call('HINCRBY', KEYS[1], 'value', ARGV[2])
      redis.call('PEXPIRE', KEYS[1], ARGV[3])
    end
    return redis.call('HGET', KEYS[1], 'value')
    """,
)
DAY_MS = 86_400_000


class CounterKeys(Keys):
    kinds = (KeyKind("counter", rf"counter:{USER_TAG}:{ID}"),)

    def counter(self, owner: UserKey, name: str) -> str:
        return f"{self.of_user('counter', owner)}:{escape(name)}"


class Count(Operation[int], frozen=True):
    """Add to a counter, once. One round trip."""

    owner: UserKey
    name: str
    by: int
    operation_id: str

    async def on_server(self, server: RedisStore[CounterKeys]) -> int:
        key = server.keys.counter(self.owner, self.name)
        args = (self.operation_id, self.by, DAY_MS)
        call: Call[Any] = Call(
            "counters.count", (key,), only, script=COUNT, args=args, operation_id=self.operation_id
        )
        return int(await server.engine.run(call))

    async def in_memory(self, memory: InMemoryCounterStore) -> int:
        counter = memory.counters.setdefault((self.owner, self.name), {})
        counter.setdefault(self.operation_id, self.by)
        return sum(counter.values())


class ReadCounters(Operation[dict[tuple[UserKey, str], int]], frozen=True):
    """All counters."""

    async def on_server(self, server: RedisStore[CounterKeys]) -> dict[tuple[UserKey, str], int]:
        counters: dict[tuple[UserKey, str], int] = {}
        for key in await server.find(server.keys.pattern("counter")):
            call: Call[Any] = Call("counters.read", (key,), only, commands=[("HGET", key, "value")])
            app, user, name = server.keys.named(key)
            counters[user_key(app, user), name] = int(await server.engine.run(call))
        return counters

    async def in_memory(self, memory: InMemoryCounterStore) -> dict[tuple[UserKey, str], int]:
        return {place: sum(counter.values()) for place, counter in memory.counters.items()}


class ForgetCounters(Operation[int], frozen=True):
    """Delete all counters of a user; how many."""

    owner: UserKey

    async def on_server(self, server: RedisStore[CounterKeys]) -> int:
        names = await server.find(server.keys.counter(self.owner, "") + "*")
        await server.unlink(names)
        return len(names)

    async def in_memory(self, memory: InMemoryCounterStore) -> int:
        gone = [key for key in memory.counters if key[0] == self.owner]
        return len([memory.counters.pop(key) for key in gone])


class InMemoryCounterStore:
    def __init__(self) -> None:
        self.counters: dict[tuple[UserKey, str], dict[str, int]] = {}

    def run(self, operation: Operation[Any]) -> Any:
        return operation.in_memory(self)

    def apps_of(self, user: str) -> set[str]:
        return {owner.app for owner, _ in self.counters if owner.user == user}


class CounterRoom:
    """The counters of users. Made by `sojourn.open`."""

    def __init__(self, store: RoomStore) -> None:
        self._store = store

    async def count(
        self, app: str, user: str, name: str, by: int = 1, *, operation_id: str | None = None
    ) -> int:
        operation_id = operation_id_of(operation_id)
        return await self._store.run(Count(user_key(app, user), name, by, operation_id))


def _open(at: RoomContext) -> OpenRoom:
    memory = InMemoryCounterStore()
    store: RoomStore = memory
    if at.engine is not None:
        store = RedisStore(at.engine, CounterKeys(at.options.namespace))

    async def records(app: str | None, user: str | None) -> AsyncIterator[RoomRecord]:
        for (owner, name), value in (await store.run(ReadCounters())).items():
            if app in (None, owner.app) and user in (None, owner.user):
                yield RoomRecord(*owner, name, value)

    async def restore(record: RoomRecord, existing: str) -> Restored:
        owner = user_key(record.app, record.user or "")
        there = (await store.run(ReadCounters())).get((owner, record.key), 0)
        if there == record.value:
            return "identical"
        if there and existing == "skip":
            return "exists"
        await store.run(Count(owner, record.key, record.value - there, operation_id_of(None)))
        return "restored"

    return OpenRoom(
        service=CounterRoom(store),
        forget={"counters": lambda owner: store.run(ForgetCounters(owner))},
        apps_of=at_once(memory.apps_of),
        records=records,
        restore=restore,
    )


def _commands() -> None:
    commands = group("counters", "Count.")
    commands.callback()(lambda: None)

    @commands.command("count")
    def count(app: str, user: str, name: str, url: Url = None, namespace: Namespace = None) -> None:
        """Count, and say how often it was."""
        with connect(url, namespace) as store:
            show(str(store.run(store.store.room("counters").count(app, user, name))))


async def counter_count(own: Own, name: str) -> dict[str, int]:
    """Count."""
    return {"value": await cast("Any", own).counters.count(name)}


ROUTER = APIRouter(tags=["counters"])


@ROUTER.post("/apps/{app:id}/users/{user:id}/counters/{name:id}")
async def count(who: As, app: App, user: UserId, name: str) -> Response:
    """Count, and say how often it was."""
    own = cast("Any", who.user(app, user))
    return json({"value": await own.counters.count(name)})


ROOM = Room(
    name="counters",
    keys=CounterKeys,
    open=_open,
    wraps=(CounterRoom,),
    handles={"counters": None},
    commands=_commands,
    tools=lambda: [tool(counter_count, "Count", ADDS)],
    routes=lambda: [ROUTER],
)

# ── what a store does for it ───────────────────────────────────────────────────────────────────


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    rooms.register(ROOM)
    yield
    ROOMS.remove(ROOM)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Any]:
    async with sojourn.open(url, namespace="toy") as store:
        yield store


async def test_it_is_an_attribute_and_counts_once(store: Any) -> None:
    assert store.room("counters") is store.counters
    assert await store.counters.count("shop", "once", "visits", operation_id="1") == 1
    assert await store.counters.count("shop", "once", "visits", operation_id="1") == 1
    assert await store.counters.count("shop", "once", "visits", 3) == 4


async def test_erasure_finds_and_deletes_it(store: Any) -> None:
    await store.counters.count("shop", "grace", "visits")
    await store.counters.count("travel", "grace", "visits")
    await store.counters.count("shop", "other", "visits")
    assert await store.admin.apps_of("grace") == ["shop", "travel"]
    assert (await store.admin.forget("grace")).erased["counters"] == 2
    assert await store.admin.apps_of("grace") == []
    assert await store.counters.count("shop", "grace", "visits") == 1
    assert await store.counters.count("shop", "other", "visits") == 2


async def test_its_keys_are_known_and_reserved() -> None:
    key = CounterKeys("toy").counter(user_key("shop", "ada"), "a:b")
    assert StoreKeys("toy").kind_of(key) == ("counter", key)
    assert "counter:*" in StoreKeys().patterns
    with pytest.raises(sojourn.InvalidId):
        StoreKeys("counter")


async def test_another_room_cannot_take_its_names() -> None:
    class OtherKeys(Keys):
        kinds = (KeyKind("another", rf"counter:{USER_TAG}"),)

    for name, keys in (("counters", Keys), ("others", CounterKeys), ("others", OtherKeys)):
        with pytest.raises(InvalidInput):
            rooms.register(Room(name=name, keys=keys, open=_open))
    for handle in ("sessions", "counters", "owner"):
        with pytest.raises(InvalidInput):
            rooms.register(Room(name="others", keys=Keys, open=_open, handles={handle: None}))


async def test_a_user_of_the_acl_rule_may_use_it_and_the_doctor_knows_it(server: Server) -> None:
    with server.client() as client:
        client.execute_command(*acl_rule("ada", StoreKeys().patterns).split())
        async with sojourn.open(server.url.replace("//", "//ada:secret@")) as store:
            assert await store.room("counters").count("shop", "ada", "visits") == 1
            found = {each.check: each for each in (await store.admin.doctor.examine()).findings}
            assert found["lifetimes"].level is Level.OK
            client.persist("counter:{shop:ada}:visits")
            found = {each.check: each for each in (await store.admin.doctor.examine()).findings}
            assert "counter:{shop:ada}:visits" in found["lifetimes"].what


async def test_a_user_has_it_and_names_nobody_else(store: Any) -> None:
    principal = Principal.of("shop", "handle")
    own: Any = store.guard().user(principal)
    assert await own.counters.count("visits") == 1
    assert await store.counters.count("shop", "handle", "visits") == 2
    with pytest.raises(TypeError):
        await own.counters.count("shop", "somebody else", "visits")


def test_synchronous_calls(url: str) -> None:
    with sojourn.sync.open(url, namespace="toy") as store:
        assert store.room("counters").count("shop", "sync", "visits", 2) == 2


def test_a_command(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["counters", "count", "shop", "ada", "visits", "--url", server.url]
    for times in ("1", "2"):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert (ended.value.code, capsys.readouterr().out.strip()) == (0, times)


async def test_a_tool_for_models(store: Any) -> None:
    context = RequestContext(store.guard(), Identity("shop", "model"))
    async with Client(server_of(context)) as client:
        await client.call_tool("counter_count", {"name": "visits"})
    assert await store.counters.count("shop", "model", "visits") == 2


async def test_a_route_of_the_http_api(store: Any) -> None:
    token, line = new_token("web")
    tokens = Tokens({bytes.fromhex(line.split('"')[1]): Holder("web")})
    api = application(store, tokens=tokens, dashboard=False)
    assert "/v1/apps/{app}/users/{user}/counters/{name}" in api.openapi()["paths"]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api),
        base_url="http://127.0.0.1/v1/apps/shop/users",
        headers={"authorization": f"Bearer {token}"},
    ) as client:
        assert (await client.post("/web/counters/a%2Fb")).json() == {"value": 1}
        assert (await client.post("/somebody/counters/a%2Fb")).status_code == 404
    assert await store.counters.count("shop", "web", "a/b") == 2
    assert await store.counters.count("shop", "somebody", "a/b") == 1


async def test_an_archive_has_it(url: str, tmp_path: Path) -> None:
    file = tmp_path / "archive"
    async with sojourn.open(url, namespace="toy-out") as store:
        counters: Any = store.room("counters")
        await counters.count("shop", "a:b", "é", 3)
        await counters.count("shop", "ada", "visits")
        assert (await transfer.export(store, file)).counts.records == 2
        assert (await transfer.export(store, tmp_path / "one", user="ada")).counts.records == 1
        lines: list[str] = []
        await user_export(store, "ada", lines.append, app="shop")
        assert '"kind": "counters"' in lines[-1]
    async with sojourn.open(url, namespace="toy-in") as store:
        counters = store.room("counters")
        assert (await transfer.import_(store, file)).counts.records == 2
        assert (await transfer.import_(store, file)).identical == 2
        assert await counters.count("shop", "a:b", "é") == 4
        assert (await transfer.import_(store, file)).conflicts == 1
        assert await counters.count("shop", "a:b", "é", 0) == 4
        assert (await transfer.import_(store, file, existing="replace")).counts.records == 1
        assert await counters.count("shop", "a:b", "é", 0) == 3


async def test_a_program_without_the_room_passes_its_records_over(url: str, tmp_path: Path) -> None:
    file, told = tmp_path / "archive", list[str]()
    async with sojourn.open(url, namespace="toy-passed") as store:
        await store.room("counters").count("shop", "ada", "visits")
        await transfer.export(store, file)
    ROOMS.remove(ROOM)
    try:
        async with sojourn.open(url, namespace="toy-passed") as store:
            done = await transfer.import_(store, file, told=told.append)
    finally:
        rooms.register(ROOM)
    assert (done.counts.records, len(told)) == (0, 1)
    assert "no such room" in told[0]


def test_a_room_of_an_installed_package_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "toy_room-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: toy-room\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[sojourn.rooms]\ninstalled = toy_room:ROOM\n")
    (tmp_path / "toy_room.py").write_text(
        "from sojourn.calls.keys import Keys\n"
        "from sojourn.rooms import Room\n"
        "ROOM = Room(name='installed', keys=Keys, open=print)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = list(ROOMS)
    try:
        rooms.register_installed()
        assert [room.name for room in ROOMS if room not in before] == ["installed"]
        rooms.register_installed()
        assert len(ROOMS) == len(before) + 1
    finally:
        ROOMS[:] = before
