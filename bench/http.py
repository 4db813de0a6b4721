"""The HTTP API: pages of lists and transcripts, and appends beside an empty handler.

`python -m bench.http` fills a server of its own with 100,000 sessions and a log of 10,000 events,
and asks a real uvicorn. Times are those of a client on this machine: of the whole request.
"""

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import fastapi
import httpx

import sojourn
from sojourn import Event, SessionKey
from sojourn.security.tokens import Holder, Tokens
from sojourn.surfaces.cli.listening import listening_on
from sojourn.surfaces.http import application
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import App, SessionId, UserId
from sojourn.surfaces.http.running import serve
from sojourn.surfaces.http.sessions import ONE

from . import server as servers

KEY = "bench-" + "k" * 40
USERS, EACH, EVENTS = 1000, 100, 10_000
ROOT = Path(__file__).parent
PAYLOAD = {
    "content": {"role": "model", "parts": [{"text": "Green tea is in stock: shall I order two?"}]},
    "usage_metadata": {"prompt_token_count": 312, "candidates_token_count": 14},
}
ADA = "/v1/apps/shop/users/ada/sessions"
PAGES = {
    "sessions of an app, 50": "/v1/apps/shop/sessions?limit=50",
    "sessions of an app, 50, of a label": "/v1/apps/shop/sessions?limit=50&label=flow:f3",
    "sessions of a user, 50": "/v1/apps/shop/users/u7/sessions?limit=50",
    "a session with its last 50 events": f"{ADA}/long?events=50",
    "events, the last 100": f"{ADA}/long/events?limit=100",
    "events, 100 from the middle": f"{ADA}/long/events?limit=100&before=5000",
    "transcript, the last 100": f"{ADA}/long/transcript?limit=100",
    "transcript, 100 from the middle": f"{ADA}/long/transcript?limit=100&before=5000",
}
BOUND = 50.0
"""Milliseconds of a page, p95."""
SHARE = 0.5
"""Of the throughput of an empty handler, that appends reach."""


async def fill(url):
    async with sojourn.open(url) as store:
        for user in range(USERS):
            await asyncio.gather(
                *(
                    store.sessions.create(
                        "shop", f"u{user}", f"s{user}-{n}",
                        title=f"Order {n} of {user}", labels={"flow": f"f{n % 10}"},
                    )
                    for n in range(EACH)
                )
            )  # fmt: skip
        for name in ("long", "append"):
            await store.sessions.create("shop", "ada", name)
        key = SessionKey.of("shop", "ada", "long")
        for _ in range(EVENTS // 100):
            events = [Event(author="agent", kind="adk", payload=PAYLOAD) for _ in range(100)]
            await store.sessions.append(key, *events)


def served(url, port):
    """The application, with an empty handler beside its own; runs until it is killed."""
    digest = sha256(KEY.encode()).digest()
    tokens = Tokens({digest: Holder("bench", None, "admin", all_users=True)})
    app = application(url, tokens=tokens, rate=None)

    router = fastapi.APIRouter()

    @router.post(ONE + "/empty")
    async def empty(
        request: fastapi.Request,
        who: As,  # noqa: ARG001 - the same parameters as those of an append
        app: App,  # noqa: ARG001
        user: UserId,  # noqa: ARG001
        session: SessionId,  # noqa: ARG001
    ) -> fastapi.Response:
        await request.body()
        return fastapi.Response(b"{}", 201, media_type="application/json")

    async def bare(request: fastapi.Request) -> fastapi.Response:
        await request.body()
        return fastapi.Response(b"{}", 201, media_type="application/json")

    app.include_router(router, prefix="/v1")
    app.router.routes.insert(0, app.router.routes.pop())
    app.router.routes.insert(0, fastapi.routing.APIRoute("/v1/bare", bare, methods=["POST"]))
    asyncio.run(serve(app, listening_on("127.0.0.1", port)))


async def pages(address, samples):
    headers = {"authorization": f"Bearer {KEY}"}
    found = {}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
        for name, path in PAGES.items():
            times = []
            for _ in range(samples + 10):
                start = time.perf_counter()
                reply = await client.get(path)
                times.append((time.perf_counter() - start) * 1000)
                assert reply.status_code == 200, reply.text
                assert reply.json().get("items", [1]), name
            times = sorted(times[10:])
            found[name] = {
                "median": round(statistics.median(times), 2),
                "p95": round(times[int(len(times) * 0.95)], 2),
            }
    return found


async def asked(port, path, body, seconds, connections):
    """Requests a second, over connections that each wait for the answer before."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request, end, count = head.encode() + body, time.perf_counter() + seconds, 0

    async def one():
        nonlocal count
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 201"), answer
            length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            count += 1
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return count / (time.perf_counter() - start)


async def appends(port, rounds, seconds):
    body = json.dumps({"events": [{"author": "agent", "kind": "adk", "payload": PAYLOAD}]}).encode()
    paths = {"bare": "/v1/bare", "empty": f"{ADA}/append/empty", "append": f"{ADA}/append/events"}
    found = {name: [] for name in paths}
    for _ in range(rounds):
        for name, path in paths.items():
            found[name].append(await asked(port, path, body, seconds, 16))
    medians = {name: round(statistics.median(rates)) for name, rates in found.items()}
    shares = [a / e for a, e in zip(found["append"], found["empty"], strict=True)]
    return {**medians, "share": round(statistics.median(shares), 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", nargs=2, metavar=("URL", "PORT"))
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    if options.serve:
        served(options.serve[0], int(options.serve[1]))
        return
    with servers.running() as (url, version):
        asyncio.run(fill(url))
        port = servers.free_port()
        process = subprocess.Popen([sys.executable, "-m", "bench.http", "--serve", url, str(port)])
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(200):
                try:
                    httpx.get(f"{address}/healthz")
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)
            result = {
                "server": version,
                "python": platform.python_version(),
                "sessions": USERS * EACH,
                "events": EVENTS,
                "pages_ms": asyncio.run(pages(address, options.samples)),
                "appends_per_second": asyncio.run(appends(port, options.rounds, options.seconds)),
            }
        finally:
            process.kill()
            process.wait()
    for name, times in result["pages_ms"].items():
        ok = "" if times["p95"] <= BOUND else "  over the bound"
        print(f"{name:40} median {times['median']:7.2f} ms   p95 {times['p95']:7.2f} ms{ok}")
    rates = result["appends_per_second"]
    ok = "" if rates["share"] >= SHARE else "  under the bound"
    print(
        f"appends {rates['append']:,}/s, an empty handler of the same path {rates['empty']:,}/s: "
        f"{rates['share']:.2f} of it{ok}; one without parameters {rates['bare']:,}/s"
    )
    (ROOT / "results" / "http.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
