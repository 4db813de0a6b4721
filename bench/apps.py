"""What concerns all users of an app, over a network of some latency; beside ADK's SQLite service.

python -m bench.apps               5,000 users of one session each, a reply 1 ms late
python -m bench.apps 500 --ms 2    other numbers

Sends are what a relay between client and server has read of the client: a round trip is one on each
connection that it uses, and more where a request is large. ADK's service reads a file and has none.
"""

import argparse
import asyncio
import multiprocessing
import tempfile
from pathlib import Path
from statistics import median
from urllib.parse import urlparse

from google.adk.sessions.sqlite_session_service import SqliteSessionService

import sojourn
from sojourn.transfer import export

from . import server
from .measure import flush, timed

PAGE, ROUNDS, TOGETHER = 500, 3, 200
APP = "bench"


def relay(target, delay, ready, sends):
    """Hand on what comes, replies late; in a process of its own."""

    async def hand_on(reader, writer, seconds):
        clock = asyncio.get_running_loop()
        due = clock.time()
        while data := await reader.read(1 << 20):
            if seconds:
                due = max(due, clock.time() + seconds)
                clock.call_at(due, writer.write, data)
            else:
                with sends.get_lock():
                    sends.value += 1
                writer.write(data)

    async def accept(reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(hand_on(reader, back, 0), hand_on(there, writer, delay))

    async def run():
        ends = await asyncio.start_server(accept, "127.0.0.1", 0)
        ready.put(ends.sockets[0].getsockname()[1])
        await ends.serve_forever()

    asyncio.run(run())


async def together(makes, most=TOGETHER):
    makes = list(makes)
    for first in range(0, len(makes), most):
        await asyncio.gather(*(make() for make in makes[first : first + most]))


async def fill(store, users):
    await together([lambda n=n: store.sessions.create(APP, f"u{n}", "s") for n in range(users)])


async def listed(store):
    """All sessions of the app, page by page."""
    keys, cursor = [], None
    while True:
        page = await store.sessions.list(APP, limit=PAGE, cursor=cursor)
        keys += [session.key for session in page.sessions]
        cursor = page.cursor
        if cursor is None:
            return keys


async def cleared(store):
    """As `sojourn sessions clear`: a page is listed, then deleted."""
    count = 0
    while True:
        page = await store.sessions.list(APP, limit=PAGE)
        await together([lambda s=s: store.sessions.delete(s.key) for s in page.sessions], PAGE)
        count += len(page.sessions)
        if page.cursor is None:
            return range(count)


async def paged(call):
    count, cursor = 0, None
    while True:
        page = await call(APP, limit=PAGE, cursor=cursor)
        count += page.users
        cursor = page.cursor
        if cursor is None:
            return range(count)


async def exported(store):
    with tempfile.TemporaryDirectory() as folder:
        done = await export(store, Path(folder) / "archive", app=APP)
        return range(done.counts.sessions)


async def measure(url, plain, users, sends):
    samples = {}
    with tempfile.TemporaryDirectory() as folder:
        adk = SqliteSessionService(str(Path(folder) / "adk.db"))
        for n in range(users):
            await adk.create_session(app_name=APP, user_id=f"u{n}", session_id="s")
        async with sojourn.open(url, operation_timeout=20) as store:
            for _ in range(ROUNDS):
                flush(plain)
                await fill(store, users)
                for name, call in (
                    ("list", listed),
                    ("ADK SQLite: list", None),
                    ("sweep", lambda store: paged(store.admin.sweep)),
                    ("export", exported),
                    ("revoke_app", lambda store: paged(store.admin.revoke_app)),
                    ("clear", cleared),
                ):
                    if name == "clear":
                        await fill(store, users)
                    before = sends.value
                    if call is None:
                        taken, found = await timed(adk.list_sessions(app_name=APP))
                        found = found.sessions
                    else:
                        taken, found = await timed(call(store))
                    if len(found) != users:
                        raise SystemExit(f"{name} met {len(found)} of {users}.")
                    samples.setdefault(name, []).append((taken, sends.value - before))
    theirs = median(taken for taken, _ in samples["ADK SQLite: list"])
    print(f"{'':18} {'ms':>8} {'sends':>7} {'a page':>7}  beside ADK SQLite's list")
    for name, rows in samples.items():
        taken, count = median(row[0] for row in rows), median(row[1] for row in rows)
        pages = -(-users // PAGE)
        print(f"{name:18} {taken:8,.0f} {count:7,.0f} {count / pages:7.1f}  {taken / theirs:.1f}x")


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.apps", description=__doc__)
    parser.add_argument("users", nargs="?", type=int, default=5_000)
    parser.add_argument("--ms", type=float, default=1.0, help="how late replies are")
    given = parser.parse_args()
    ready, sends = multiprocessing.Queue(), multiprocessing.Value("q", 0)
    with server.running() as (plain, version):
        target = (urlparse(plain).port, given.ms / 1000, ready, sends)
        process = multiprocessing.Process(target=relay, args=target, daemon=True)
        process.start()
        try:
            url = f"redis://127.0.0.1:{ready.get()}/0"
            print(
                f"{version}, replies {given.ms:g} ms late; {given.users:,} users of one session, "
                f"pages of {PAGE}; medians of {ROUNDS}"
            )
            asyncio.run(measure(url, plain, given.users, sends))
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
