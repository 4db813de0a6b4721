"""Processes that write while master keys and sessions are rotated, and users are erased."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import sojourn
from extent import FULL
from servers import Server, any_binary
from sojourn import SessionKey
from sojourn.errors import Erased
from sojourn.keys import KeyRing

STAY = [f"stays-{n}" for n in range(5)]
GO = [f"goes-{n}" for n in range(5)]
CACHED = 0.3
"""Seconds that processes keep keys and rings."""

WRITER = """
import asyncio, json, sys
import sojourn
from sojourn import Event
from sojourn.errors import Erased, SessionNotFound

async def write(store, user, name, written, over):
    key = (await store.sessions.create("shop", user)).key
    texts = written.setdefault(user, {}).setdefault(key.session, [])
    number = 0
    while not over.is_set():
        number += 1
        text = f"{name}-{user}-{number}"
        await store.sessions.append(
            key, Event(author="user", payload=text, state_delta={"n": number, "user:n": text})
        )
        texts.append(text)
        if number % 7 == 0:
            old, key = key, (await store.rotate(key)).key
            texts = written[user][key.session] = written[user].pop(old.session)
        if number % 5 == 0:
            found = await store.sessions.get(key)
            if found is None:
                raise SessionNotFound(user)
            assert [each.payload for each in found.events] == texts and found.complete, found
        await asyncio.sleep(0.02)

async def one(store, user, name, written, gone, over):
    while not over.is_set():
        try:
            await write(store, user, name, written, over)
        except (Erased, SessionNotFound) as error:
            if not user.startswith("goes-"):
                raise
            gone.append(user)
            if isinstance(error, Erased):
                return

async def main(url, path, seconds, name, users):
    written, gone, over = {}, [], asyncio.Event()
    async with sojourn.open(url, keys=path, key_cache_seconds=seconds) as store:
        await store.ping()
        print("ready", flush=True)
        tasks = [asyncio.create_task(one(store, user, name, written, gone, over)) for user in users]
        await asyncio.to_thread(sys.stdin.readline)
        over.set()
        await asyncio.gather(*tasks)
    print(json.dumps({"written": written, "gone": gone}), flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4], sys.argv[5:]))
"""


@pytest.mark.timeout(400)
@pytest.mark.skipif(not FULL, reason="ten processes: make test-all")
async def test_nothing_is_lost_and_nothing_mixed_up(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", any_binary()).start()
    path = tmp_path / "keys.json"
    KeyRing.new().save(path)
    command = [sys.executable, "-c", WRITER, server.url, str(path), str(CACHED)]
    writers = [
        subprocess.Popen(  # noqa: ASYNC220
            [*command, str(n), *STAY, *GO],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(10)
    ]
    try:
        for each in writers:
            assert each.stdout
            assert await asyncio.to_thread(each.stdout.readline) == "ready\n"
        for user in GO:
            await rotated(server.url, path)
            async with sojourn.open(server.url, keys=str(path)) as store:
                await store.admin.keys.new_data_key("shop", STAY[GO.index(user)])
                assert (await store.admin.forget(user)).erased["data_keys"] >= 1
        await asyncio.sleep(2 * CACHED)  # no process has an erased key any more
        said = [
            (await asyncio.to_thread(each.communicate, "over\n", timeout=60))[0] for each in writers
        ]
        assert [each.returncode for each in writers] == [0] * 10
        found: list[Any] = [json.loads(each) for each in said]
        async with sojourn.open(server.url, keys=str(path)) as store:
            await check(store, found)
            usage = await store.admin.keys.usage()
            assert not usage.missing
            assert not usage.unreadable
    finally:
        for each in writers:
            each.kill()
            each.wait()
        server.close()


async def rotated(url: str, path: Path) -> None:
    """All steps of a rotation, with the waits that they ask for."""
    old = KeyRing.load(path).active
    _, ring = KeyRing.edit(path, KeyRing.add)
    (new,) = set(ring.ids) - {old}
    await asyncio.sleep(2 * CACHED)
    KeyRing.edit(path, lambda each: each.activate(new))
    await asyncio.sleep(2 * CACHED)
    async with sojourn.open(url, keys=str(path)) as store:
        assert not (await store.admin.keys.rotate()).failed
        assert (await store.admin.keys.usage()).wraps[old] == 0
    KeyRing.edit(path, lambda each: each.remove(old))


async def check(store: sojourn.Sojourn, found: list[Any]) -> None:
    checked = 0
    for each in found:
        assert {*GO} <= {*each["gone"]}
        for user, sessions in each["written"].items():
            for session, texts in sessions.items():
                key = SessionKey.of("shop", user, session)
                if user in GO:
                    with suppress(Erased):
                        assert await store.sessions.get(key) is None
                    continue
                read = await store.sessions.get(key)
                assert read is not None
                assert read.complete
                assert [event.payload for event in read.events] == texts
                checked += len(texts)
    for user in (*STAY, *GO):
        assert await store.admin.quarantined("shop", user) == []
    assert checked > 500
