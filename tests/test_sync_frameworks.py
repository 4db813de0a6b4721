"""The store of a process inside Flask and Django, worker threads, forks and a notebook's cell."""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
import pytest
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client
from django.urls import path
from flask import Flask, g, request
from werkzeug.serving import make_server

import sojourn
import sojourn.sync
from servers import Server
from sojourn import Event, SessionKey

WRITERS, EACH = 6, 15
KEY = SessionKey.of("web", "ada", "s1")
ON_SERVER = pytest.mark.parametrize("where", ["server"], indirect=True)
WRITTEN = sorted([w, n] for w in range(WRITERS) for n in range(EACH))


@pytest.fixture(params=["server", "memory"])
def where(request: pytest.FixtureRequest, clean_environment: pytest.MonkeyPatch) -> Iterator[str]:
    """A session on a server that the environment names, or in memory forced for a test."""
    if request.param == "memory":
        with sojourn.force_memory():
            sojourn.sync.default().sessions.create(*KEY)
            yield "memory"
    else:
        server: Server = request.getfixturevalue("shared_server")
        clean_environment.setenv("SOJOURN_URL", server.url)
        clean_environment.setenv("SOJOURN_NAMESPACE", f"web-{os.urandom(4).hex()}")
        sojourn.sync.default().sessions.create(*KEY)
        yield "server"
        sojourn.sync.close_default()


def in_parallel(write: Callable[[int, int], Any]) -> None:
    """So many writers, each with so many events, all at once."""
    at_once = threading.Barrier(WRITERS)

    def writer(number: int) -> None:
        at_once.wait(10)
        for n in range(EACH):
            write(number, n)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(writer, range(WRITERS)))


def stored() -> list[Any]:
    found = sojourn.sync.default().sessions.get(KEY)
    assert found is not None
    return [event.payload for event in found.events]


# ── Flask ──────────────────────────────────────────────────────────────────────────────────────


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.before_request
    def open_store() -> None:
        g.store = sojourn.sync.default()

    @app.post("/events")
    def add() -> dict[str, Any]:
        written = g.store.sessions.append(KEY, Event(author="ada", payload=request.get_json()))
        return {"version": written.version}

    @app.get("/events")
    def show() -> list[Any]:
        return stored()

    @app.get("/cached")
    def cached() -> dict[str, Any]:
        return g.store.cache.fetch("answer", lambda: {"path": request.path})

    return app


def test_flask_in_threads(where: str) -> None:
    app = flask_app()
    in_parallel(lambda w, n: app.test_client().post("/events", json=[w, n]))
    assert sorted(app.test_client().get("/events").get_json()) == WRITTEN
    answer = app.test_client().get("/cached").get_json()
    assert answer == {"path": "/cached"}  # the request is the caller's, also while it is computed


def test_flasks_server(where: str) -> None:
    server = make_server("127.0.0.1", 0, flask_app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def ask(method: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        headers = {"Content-Type": "application/json"}
        connection.request(method, "/events", json.dumps(body), headers)
        reply = connection.getresponse()
        assert reply.status == 200
        found = json.load(reply)
        connection.close()
        return found

    try:
        in_parallel(lambda w, n: ask("POST", [w, n]))
        assert sorted(ask("GET")) == WRITTEN
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# ── Django ─────────────────────────────────────────────────────────────────────────────────────


def add(request: HttpRequest) -> JsonResponse:
    store = sojourn.sync.default()
    written = store.sessions.append(KEY, Event(author="ada", payload=json.loads(request.body)))
    return JsonResponse({"version": written.version})


async def add_async(request: HttpRequest) -> JsonResponse:
    event = Event(author="ada", payload=json.loads(request.body))
    written = await sojourn.default().sessions.append(KEY, event)
    return JsonResponse({"version": written.version})


async def add_and_leave(request: HttpRequest) -> JsonResponse:
    """For a loop that ends with the request: its connections end with it."""
    try:
        return await add_async(request)
    finally:
        await sojourn.default().disconnect()


def show(request: HttpRequest) -> JsonResponse:
    return JsonResponse(stored(), safe=False)


urlpatterns = [path(view.__name__, view) for view in (add, add_async, add_and_leave, show)]


@pytest.fixture(scope="module", autouse=True)
def _django() -> None:
    settings.configure(
        ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"], MIDDLEWARE=[], USE_TZ=True
    )
    django.setup()


def test_djangos_plain_views(where: str) -> None:
    in_parallel(lambda w, n: Client().post("/add", [w, n], content_type="application/json"))
    assert sorted(Client().get("/show").json()) == WRITTEN


@ON_SERVER
async def test_djangos_async_views(where: str) -> None:
    async def post(view: str, w: int, n: int) -> None:
        reply = await AsyncClient().post(view, [w, n], content_type="application/json")
        assert reply.status_code == 200

    views = ("/add", "/add_async")  # a plain view runs in a thread beside the loop
    await asyncio.gather(*(post(views[n % 2], w, n) for w, n in WRITTEN))
    shown = await AsyncClient().get("/show")
    assert sorted(shown.json()) == WRITTEN
    await sojourn.default().disconnect()


@ON_SERVER
def test_an_async_view_in_a_plain_server(where: str) -> None:
    """Django gives each request a loop of its own, which ends with it."""
    in_parallel(lambda w, n: Client().post("/add_and_leave", [w, n], "application/json"))
    assert sorted(stored()) == WRITTEN


# ── threads beside a loop, forks, notebooks ────────────────────────────────────────────────────


async def test_worker_threads_of_a_running_loop(where: str) -> None:
    store = sojourn.sync.default()

    def write(w: int, n: int) -> None:
        store.sessions.append(KEY, Event(author="ada", payload=[w, n]))

    await asyncio.gather(*(asyncio.to_thread(write, w, n) for w, n in WRITTEN))
    assert sorted(await asyncio.to_thread(stored)) == WRITTEN


async def test_a_notebooks_cell(where: str) -> None:
    """A call without await in the loop's own thread works; it holds up the loop meanwhile."""
    store = sojourn.sync.default()
    beats = []

    async def beat() -> None:
        while True:
            beats.append(1)
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0)
    for n in range(5):
        store.sessions.append(KEY, Event(author="ada", payload=n))
    assert stored() == list(range(5))
    assert len(beats) == 1
    beating.cancel()


def _write_in_child(w: int) -> None:
    store = sojourn.sync.default()
    for n in range(EACH):
        store.sessions.append(KEY, Event(author="ada", payload=[w, n]))
    sojourn.sync.close_default()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@ON_SERVER
def test_children_of_multiprocessing(where: str) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_write_in_child, args=(w,)) for w in range(1, WRITERS)]
    for child in children:
        child.start()
    _write = sojourn.sync.default().sessions.append
    for n in range(EACH):
        _write(KEY, Event(author="ada", payload=[0, n]))
    for child in children:
        child.join(30)
        assert child.exitcode == 0
    assert sorted(stored()) == WRITTEN
