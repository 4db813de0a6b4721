"""A server that was restored from a backup, under a process that has read it before."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest
import redis

import sojourn
from servers import Server
from sojourn import Event, SessionKey, Unavailable


def backup(server: Server) -> Callable[[], None]:
    """Copy what a server has; returns what puts it back in place of all that it has then."""
    admin = redis.Redis.from_url(server.url)
    copies = {key: (admin.dump(key), max(0, admin.pttl(key))) for key in admin.keys("*")}

    def restore() -> None:
        admin.flushall()
        for key, (data, left) in copies.items():
            admin.restore(key, left, data)  # type: ignore[arg-type]
        admin.close()

    return restore


def cut_all(server: Server) -> None:
    with server.client() as admin:
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def append(store: sojourn.Sojourn, key: SessionKey, text: str) -> None:
    event = Event(author="a", payload=text, id=f"id {text}", time=1.0)
    await store.sessions.append(key, event, operation_id=f"op {text}")


def texts(found: Any) -> list[str]:
    return [event.payload for event in found.events]


@pytest.mark.parametrize(("repeated", "cut"), [("e", False), ("de", True), ("", False)])
async def test_what_is_read_after_a_restore_is_what_the_server_has(
    server: Server, repeated: str, cut: bool
) -> None:
    """This process repeats its last writes, so the last rows of the log are those it knows."""
    async with sojourn.open(server.url) as store, sojourn.open(server.url) as other:
        made = await store.sessions.create("shop", "ada")
        for text in "ab":
            await append(store, made.key, text)
        restore = backup(server)
        for text in "cde":
            await append(store, made.key, text)
        assert texts(await store.sessions.get(made.key)) == list("abcde")
        restore()
        if cut:
            cut_all(server)
        between = "vwxyz"[: 3 - len(repeated)]
        for text in between:
            await append(other, made.key, text)
        for text in repeated:
            await append(store, made.key, text)
        expected = [*"ab", *between, *repeated]
        assert texts(await store.sessions.get(made.key)) == expected
        assert texts(await store.sessions.get(made.key)) == expected


@pytest.mark.parametrize("way", ["replace", "delete", "rename"])
@pytest.mark.parametrize("repeated", ["", "e", "de", "cde"])
@pytest.mark.parametrize("size", [1, 20_000])
async def test_an_older_copy_of_one_session_is_noticed_without_a_lost_connection(  # noqa: C901
    shared_server: Server, way: str, repeated: str, size: int
) -> None:
    """The last rows of the log, or the one if it is large, are those that this process knows."""
    url = shared_server.url
    async with sojourn.open(url) as store, sojourn.open(url) as other:
        made = await store.sessions.create(f"shop-{secrets.token_hex(4)}", "ada")

        async def add(by: sojourn.Sojourn, name: str) -> None:
            event = Event(author="a", payload=name * size, id=name, time=1.0)
            await by.sessions.append(made.key, event, operation_id=f"op {name}")

        async def known() -> str:
            found = await store.sessions.get(made.key)
            assert found is not None
            assert found.complete
            return "".join(event.payload[0] for event in found.events)

        for name in "ab":
            await add(store, name)
        with redis.Redis.from_url(url) as admin:
            keys = admin.keys(f"session:*{made.key.session}*")
            copies = {key: (admin.dump(key), admin.pttl(key)) for key in keys}
            for name in "cde":
                await add(store, name)
            assert await known() == "abcde"
            for key, (data, left) in copies.items():
                if way == "delete":
                    admin.delete(key)
                if way == "rename":
                    admin.restore(b"{" + key + b"}", left, data)
                    admin.rename(b"{" + key + b"}", key)
                else:
                    admin.restore(key, left, data, replace=way == "replace")
        between = "vwxyz"[: 3 - len(repeated)]
        for name in between:
            await add(other, name)
        for name in repeated:
            await add(store, name)
        for later in ("", "m", "n"):
            if later:
                await add(other, later)
            expected = "ab" + between + repeated + "mn"[: "_mn".index(later or "_")]
            hits = store.stats().near_cache.hits
            assert await known() == expected
            assert await known() == expected
            assert store.stats().near_cache.hits >= hits + 1


@pytest.mark.parametrize("by", ["others", "this process"])
async def test_what_is_held_for_an_outage_is_not_of_two_times(server: Server, by: str) -> None:
    """What was lost and what came after it are never shown as one log, nor is the latter hidden."""
    options = {"on_outage": "buffer", "operation_timeout": 0.5}
    async with sojourn.open(server.url, **options) as store, sojourn.open(server.url) as other:
        made = await store.sessions.create("shop", "ada")
        for text in "ab":
            await append(store, made.key, text)
        with redis.Redis.from_url(server.url) as admin:
            keys = admin.keys(f"session:*{made.key.session}*")
            copies = {key: (admin.dump(key), admin.pttl(key)) for key in keys}
            for text in "cde":
                await append(store, made.key, text)
            await store.sessions.get(made.key)
            for key, (data, left) in copies.items():
                admin.restore(key, left, data, replace=True)
        if by == "others":
            for text in "vwxy":
                await append(other, made.key, text)
            assert texts(await store.sessions.get(made.key, last=2)) == ["x", "y"]
        else:
            await append(store, made.key, "v")
        server.pause()
        try:
            seen = await store.sessions.get(made.key)
        except Unavailable:
            assert by == "this process"
        else:
            assert seen is not None
            assert "abvwxy".endswith("".join(texts(seen)))
            assert seen.complete is False
        finally:
            server.resume()


@pytest.mark.parametrize("later", [[], ["pear"], ["pear", "plum", "fig", "kiwi"]])
@pytest.mark.parametrize("repeated", [False, True])
async def test_a_search_after_a_restore_finds_what_is_there(
    server: Server, later: list[str], repeated: bool
) -> None:
    """Also when the scope has gone on past where it was."""
    async with sojourn.open(server.url) as store, sojourn.open(server.url) as other:
        memory, same = store.memory.user("ada"), other.memory.user("ada")
        await memory.put("old", "tea with milk")
        await memory.put("lost", "tea with honey", operation_id="lost 1")
        await memory.delete("lost")
        restore = backup(server)
        await memory.put("gone", "tea with sugar", operation_id="gone")
        await memory.put("last", "tea with lemon", operation_id="last")
        assert len(await memory.search("tea")) == 3
        restore()
        for n, fruit in enumerate(later):
            await same.put(f"new {n}", f"tea with {fruit}")
        if repeated:
            await memory.put("last", "tea with lemon", operation_id="last")
        expected = {
            "old",
            *(f"new {n}" for n in range(len(later))),
            *(["last"] if repeated else []),
        }
        assert {hit.entry.key for hit in await memory.search("tea")} == expected


async def test_a_search_leaves_out_an_entry_that_was_evicted(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        memory = store.memory.user("ada")
        for n in range(3):
            await memory.put(f"k{n}", "tea")
        assert len(await memory.search("tea")) == 3
        with server.client() as admin:
            (name,) = admin.keys("*memory:*k2*") or admin.keys("*k2*")
            admin.delete(name)
        assert {hit.entry.key for hit in await memory.search("tea")} == {"k0", "k1"}
