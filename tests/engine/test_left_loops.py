"""Event loops that are left behind: closed without cancelling, thrown away, or only not run."""

from __future__ import annotations

import subprocess
import sys

import pytest
from redis.credentials import CredentialProvider

from servers import Server

LOOPS = 30

CODE = """
import asyncio, gc, os, sys, redis, sojourn
url, how = sys.argv[1:]
store = sojourn.open(url)
kept = []
async def work(number):
    await store.sessions.create("loops", f"{how}-{number}")
for number in range(LOOPS):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work(number))
    if how == "closed":
        loop.close()
    if how == "kept":
        kept.append(loop)
    del loop
gc.collect()
left = len(kept) * 3  # what a loop has of its own
print(len(os.listdir("/proc/self/fd")) - left)
for loop in kept:  # each goes on where it was
    loop.run_until_complete(work(0))
    loop.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it counts descriptors in /proc")
@pytest.mark.skipif(
    not hasattr(CredentialProvider, "get_credentials_async"),
    reason="connections of redis-py before 5.3 print when they are collected after their loop",
)
@pytest.mark.parametrize("how", ["closed", "dropped", "kept"])
def test_they_leave_no_connection_and_no_line(shared_server: Server, how: str) -> None:
    code = CODE.replace("LOOPS", str(LOOPS))
    done = subprocess.run(
        [sys.executable, "-c", code, shared_server.url, how],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert int(done.stdout) < LOOPS
