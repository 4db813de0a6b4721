"""Storing and retiring a dictionary, killed between any two round trips: nothing is lost."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sojourn
from extent import FULL
from servers import Server
from sojourn import Event
from sojourn.codecs.compression import SHIPPED
from sojourn.codecs.dictionary_training import train as train_on

pytestmark = [
    pytest.mark.skipif(not FULL, reason="some hundred processes: make test-all"),
    pytest.mark.timeout(600),
]
SAID = [
    f"{n:04x}: the crate is at the quay, and the gantry moves it to the depot" for n in range(200)
]
OURS = train_on([text.encode() for text in SAID], 2_048)

CHILD = """
import asyncio, json, os, signal, sys
import sojourn
from sojourn.codecs.compression import Dictionary
from sojourn.dictionaries import admin, service
from sojourn.engine.engine import Engine

url, namespace, action, path, steps = json.loads(sys.argv[1])
admin.CACHE_SECONDS = service.CACHE_SECONDS = 0.05
left = steps

def dying(run):
    async def counted(self, call):
        global left
        if call.name.startswith(("dictionaries.", "jobs.")):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        return await run(self, call)
    return counted

Engine.run = dying(Engine.run)

async def retire(store, name):
    while True:
        try:
            return await store.admin._jobs.retire_dictionary("shop", name, lease=2.0)
        except sojourn.Conflict:  # the one that was killed seems to be under way
            await asyncio.sleep(0.1)

async def main():
    ours = Dictionary(open(path, "rb").read())
    async with sojourn.open(url, namespace=namespace, compression="zstd") as store:
        if action == "add":
            await store.admin.dictionaries.add("shop", ours, users=["ada"])
        else:
            assert (await retire(store, ours.id)).complete
    print(steps - left)

asyncio.run(main())
"""


class Case:
    """A namespace whose app has a session, and children that die."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.namespace = f"n{secrets.token_hex(4)}"
        self.path = folder / "ours.dictionary"
        self.path.write_bytes(OURS.content)

    def run(self, action: str, steps: int) -> int:
        """A child that is killed after so many round trips; how many it took, if it was not."""
        given = json.dumps([self.url, self.namespace, action, str(self.path), steps])
        done = subprocess.run(
            [sys.executable, "-c", CHILD, given], capture_output=True, timeout=60, check=False
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
        return int(done.stdout) if done.returncode == 0 else -1

    def open(self) -> sojourn.Sojourn:
        return sojourn.open(self.url, namespace=self.namespace, compression="zstd")

    async def fill(self) -> sojourn.SessionKey:
        async with self.open() as store:
            key = (await store.sessions.create("shop", "ada", state={"note": SAID[0] * 3})).key
            await store.room("dictionaries").for_reading("shop", [OURS.id], writes=True)
            await store.sessions.append(key, *(Event(author="user", payload=t) for t in SAID[:9]))
            return key

    async def texts(self, key: sojourn.SessionKey) -> list[Any]:
        async with self.open() as store:
            session = await store.sessions.get(key)
            assert session is not None
            assert session.complete
            return [event.payload for event in session.events]

    async def dictionaries(self) -> list[str]:
        async with self.open() as store:
            return [each.id for each in await store.admin.dictionaries.ls("shop")]


@pytest.fixture
def case(shared_server: Server, tmp_path: Path) -> Case:
    return Case(shared_server.url, tmp_path)


async def test_storing_it_is_finished_by_the_next(case: Case) -> None:
    key = await case.fill()
    killed = -1
    for steps in range(1, 9):
        killed = case.run("add", steps)
        assert await case.texts(key) == SAID[:9]
        assert (await case.dictionaries())[0] == SHIPPED
    assert killed > 0  # the last one was not
    assert case.run("add", 100) > 0
    assert await case.dictionaries() == [SHIPPED, OURS.id]


async def test_retiring_it_is_finished_by_the_next(case: Case) -> None:
    assert case.run("add", 100) > 0
    key = await case.fill()
    steps, ended = 0, False
    while not ended:
        killed = case.run("retire", steps)
        ended = killed >= 0
        assert await case.texts(key) == SAID[:9]
        steps += 1
    assert await case.dictionaries() == [SHIPPED]
