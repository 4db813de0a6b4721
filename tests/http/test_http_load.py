"""200 readers and 64 appenders at once; a server killed under them. `make test-all` runs it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import statistics
import time
from pathlib import Path

import pytest
from http_kit import Api, Keys

import sojourn
from extent import FULL
from servers import Server

READERS, SESSIONS, APPENDERS, EACH = 200, 20, 64, 30
PAUSE = 1.0
"""Seconds between two appends of an appender: 64 a second, of which each comes to ten readers."""

pytestmark = pytest.mark.skipif(not FULL, reason="make test-all runs it")


def resident(process: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Reader:
    """Follows a session over a plain socket, again and again from where it was."""

    def __init__(self, api: Api, session: str) -> None:
        self.seqs: list[int] = []
        self.late: list[float] = []
        self._api = api
        self._session = session
        self._key = api.keys.of["ada"] if api.keys else ""

    async def run(self, count: int) -> None:
        while len(self.seqs) < count:
            try:
                await self._follow(count)
            except (OSError, EOFError):
                await asyncio.sleep(0.2)

    async def _follow(self, count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._api.port, limit=2**20)
        last = self.seqs[-1] if self.seqs else 0
        writer.write(
            f"GET /v1/apps/load/users/ada/sessions/{self._session}/events/stream HTTP/1.1\r\n"
            f"Host: 127.0.0.1\r\nAuthorization: Bearer {self._key}\r\n"
            f"Last-Event-ID: {last}\r\n\r\n".encode()
        )
        try:
            while len(self.seqs) < count:
                line = await reader.readuntil(b"\n")
                if line.startswith(b'data: {"seq"'):
                    event = json.loads(line[6:])
                    self.seqs.append(event["seq"])
                    self.late.append(time.time() - event["payload"]["sent"])
        finally:
            writer.close()


async def append(api: Api, session: str, number: int) -> None:
    """An appender: each event says when it was sent, and is sent until it is acknowledged."""
    async with api.client("ada") as client:
        path = f"/apps/load/users/ada/sessions/{session}/events"
        await asyncio.sleep(PAUSE * number / APPENDERS)
        for n in range(EACH):
            events = [{"author": "user", "payload": {"sent": time.time(), "n": n}}]
            headers = {"idempotency-key": secrets.token_hex(8)}
            while True:
                try:
                    reply = await client.post(path, json={"events": events}, headers=headers)
                    if reply.status_code == 201:
                        break
                except OSError:
                    pass
                except Exception as error:
                    if type(error).__module__.partition(".")[0] not in ("httpx", "httpcore"):
                        raise
                await asyncio.sleep(0.2)
            await asyncio.sleep(PAUSE)


async def crowd(api: Api, namespace: str, url: str) -> list[Reader]:
    """Readers and appenders, until every reader has all."""
    sessions = [f"s{n}" for n in range(SESSIONS)]
    async with sojourn.open(url, namespace=namespace) as store:
        for session in sessions:
            await store.sessions.create("load", "ada", session)
        readers = [Reader(api, sessions[n % SESSIONS]) for n in range(READERS)]
        written = [sessions[n % SESSIONS] for n in range(APPENDERS)]
        async with asyncio.timeout(100), asyncio.TaskGroup() as tasks:
            for reader in readers:
                tasks.create_task(reader.run(written.count(reader._session) * EACH))
            await asyncio.sleep(1)
            for number, session in enumerate(written):
                tasks.create_task(append(api, session, number))
    return readers


def whole(readers: list[Reader]) -> None:
    """None missed, none twice, all in order."""
    for reader in readers:
        assert reader.seqs == list(range(1, len(reader.seqs) + 1))


@pytest.mark.quiet
async def test_readers_are_told_at_once_and_memory_is_flat(
    shared_server: Server, keys: Keys, tmp_path: Path
) -> None:
    namespace = f"load-{secrets.token_hex(4)}"
    api = Api(shared_server.url, keys, "--access-log", str(tmp_path / "log"), namespace=namespace)
    try:
        assert api._process is not None
        samples: list[int] = []

        async def watch() -> None:
            while True:
                await asyncio.sleep(2)
                samples.append(resident(api._process.pid))  # type: ignore[union-attr]

        watching = asyncio.create_task(watch())
        readers = await crowd(api, namespace, shared_server.url)
        watching.cancel()
        whole(readers)
        late = sorted(each for reader in readers for each in reader.late)
        medians = [statistics.median(reader.late) for reader in readers]
        p99 = late[int(len(late) * 0.99)]
        grown = (samples[-1] - samples[len(samples) // 3]) / 2**20
        print(  # noqa: T201 - the figures
            f"\n{len(late):,} events told: median {statistics.median(late) * 1000:.0f} ms, worst "
            f"median of a reader {max(medians) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, worst "
            f"{late[-1] * 1000:.0f} ms; memory grew by {grown:.1f} MiB after the first third"
        )
        assert max(medians) <= 0.1
        assert p99 <= 1.0
        assert grown < 32
    finally:
        api.kill()


@pytest.mark.quiet
async def test_readers_miss_nothing_when_the_server_is_killed_under_them(
    shared_server: Server, keys: Keys, tmp_path: Path
) -> None:
    namespace = f"load-{secrets.token_hex(4)}"
    api = Api(shared_server.url, keys, "--access-log", str(tmp_path / "log"), namespace=namespace)
    try:

        async def killing() -> None:
            for _ in range(2):
                await asyncio.sleep(8)
                await asyncio.to_thread(api.kill)
                await asyncio.to_thread(api.start)

        killed = asyncio.create_task(killing())
        whole(await crowd(api, namespace, shared_server.url))
        assert killed.done()
    finally:
        api.kill()
