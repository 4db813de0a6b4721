"""A process is killed in the middle of forgetting; another finishes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from erasure_kit import everything, mentions

import sojourn
from servers import Server, any_binary
from sojourn import UserKey
from sojourn.testing.forgetting import fill, of_user

CHILD = """
import asyncio, os, signal, sys
import sojourn

async def main(url, calls):
    async with sojourn.open(url) as store:
        def one_more(fact):
            nonlocal calls
            calls -= 1
            if calls == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        store.on_call(one_more)
        await store.admin.forget("ada-lovelace")

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.parametrize("calls", [1, 2, 8, 10, 12, 14, 17, 20, 24, 28, 33, 38])
async def test_a_second_run_finishes_what_a_killed_one_began(tmp_path: Path, calls: int) -> None:
    server = Server(tmp_path, any_binary()).start()
    owners = [UserKey.of("shop", "ada-lovelace"), UserKey.of("travel", "ada-lovelace")]
    try:
        async with sojourn.open(server.url) as store:
            for owner in owners:
                await fill(store, owner, "s3cret")
            child = subprocess.run(  # noqa: ASYNC221
                [sys.executable, "-c", CHILD, server.url, str(calls)], check=False, timeout=30
            )
            assert child.returncode == -9
            assert mentions(await everything(store), "ada-lovelace")
            await store.admin.forget("ada-lovelace")
            assert mentions(await everything(store), "ada-lovelace", "s3cret") == []
            for owner in owners:
                assert await of_user(store, owner) == []
    finally:
        server.close()
