"""What stays behind after close()."""

from __future__ import annotations

import asyncio

import sojourn
from servers import Server
from sojourn import Event

EVENT = Event(author="user", payload="x" * 100)


async def test_nothing_stays_behind_after_close(server: Server) -> None:
    with server.client() as admin:
        clients = len(admin.client_list())
        tasks = asyncio.all_tasks()
        store = sojourn.open(server.url, operation_timeout=0.3, on_outage="buffer")
        made = await store.sessions.create("shop", "ada")
        server.pause()
        await store.sessions.append(made.key, EVENT)
        server.resume()
        calls = [store.sessions.get(made.key) for _ in range(50)]
        await asyncio.gather(*calls)
        await store.close()
        async with asyncio.timeout(10):
            while len(admin.client_list()) > clients:
                await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == tasks
