"""Application: the API of a store and its dashboard, for uvicorn or to be mounted in another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.middleware.cors import CORSMiddleware

import sojourn
from sojourn.client import Sojourn
from sojourn.errors import ConfigurationError
from sojourn.rooms import ROOMS, register_installed
from sojourn.security import AccessLog, IdPolicy
from sojourn.security.tokens import Tokens
from sojourn.surfaces.dashboard import mount
from sojourn.surfaces.http import (
    doctor,
    erasing,
    exporting,
    login,
    overview,
    quarantine,
    transcripts,
    users,
)
from sojourn.surfaces.http.gate import Gate, name_of
from sojourn.surfaces.http.limits import RateLimit
from sojourn.surfaces.http.openapi import described
from sojourn.surfaces.http.pages import documented, json
from sojourn.surfaces.http.problems import add_handlers
from sojourn.surfaces.http.served import Served
from sojourn.surfaces.http.sse import Tails
from sojourn.surfaces.http.verifier import KeyVerifier

MAX_BODY = 16 * 1024 * 1024
RATE = 1000.0
"""Requests a second of a key."""

_HEADERS = ("If-Match", "If-None-Match", "Idempotency-Key", "Last-Event-ID", "X-Request-Id")

_DESCRIPTION = """\
Sessions, memory, artifacts, threads and cache of AI agents.

- `Authorization: Bearer KEY`; a key is one user's or for all, to read, to write, or for operators.
- Ids in paths are percent-encoded. An empty one is `~`; before a leading `~`, and before `.` and
  `..`, stands another `~`.
- Times are seconds since the epoch. Lists come in pages: go on with `cursor` until it is null.
- Errors are `application/problem+json`; `type` is `urn:sojourn:` and the name of the error.
"""


def application(
    store: Sojourn | str,
    *,
    tokens: Tokens | None = None,
    verifier: KeyVerifier | None = None,
    read_only: bool = False,
    dashboard: bool = True,
    root_path: str = "",
    hosts: Collection[str] | None = None,
    origins: Collection[str] = (),
    max_body: int = MAX_BODY,
    rate: float | None = RATE,
    log: AccessLog | None = None,
) -> FastAPI:
    """The API of a store below `/v1`, and the dashboard at `/`.

    Mounted in another application, that one runs its lifespan:
    `async with api.router.lifespan_context(api)`.

    Args:
        store: an open store, which stays open; or the URL of one, which is closed with the app.
        tokens: who has which key: `tokens_from(FILE)`.
        verifier: knows the keys of others, as a `JwtVerifier` does.
        read_only: refuse whatever changes something.
        dashboard: whether there is one.
        root_path: the path below which a proxy serves it, if that takes it away.
        hosts: names in the `Host` header to take; None for any, where a proxy in front checks it.
        origins: other origins whose pages may call, as `https://app.example.com`.
        max_body: bytes that the body of a request may have.
        rate: requests a second that a key may make; None for any number.
        log: gets a decision for each access.

    Raises:
        ConfigurationError: the URL, or neither tokens nor a verifier.
    """
    if tokens is None and verifier is None:
        raise ConfigurationError("Who may call? Give tokens, or a verifier.")
    opened = sojourn.open(store) if isinstance(store, str) else store
    served = Served(
        store=opened,
        guard=opened.guard(log=log, check_id=IdPolicy().check),
        tokens=Tokens({}) if tokens is None else tokens,
        verifier=verifier,
        rate=RateLimit(rate),
        tails=Tails(opened),
        read_only=read_only,
        hosts=None if hosts is None else frozenset(map(name_of, hosts)),
        origins=origins,
        max_body=max_body,
        root_path=root_path.rstrip("/"),
    )

    sampler = overview.Sampler(opened)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        sampling = asyncio.ensure_future(sampler.run())
        try:
            yield
        finally:
            sampling.cancel()
            if opened is not store:
                await opened.close()

    app = FastAPI(
        title="Sojourn",
        version=sojourn.__version__,
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        separate_input_output_schemas=False,
    )
    app.state.served = served
    app.state.sampler = sampler
    app.add_middleware(Gate, served=served)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", *_HEADERS],
            expose_headers=["ETag", "Location", "Retry-After", "X-Request-Id"],
        )
    add_handlers(app)
    register_installed()
    for router in login.ROUTES:
        app.include_router(router)
    health = documented({"available": True}, "The store answers.")
    app.add_api_route("/healthz", healthz, methods=["GET"], tags=["login"], responses=health)
    for router in _routers():
        app.include_router(router, prefix="/v1")
    app.openapi = described(app)  # type: ignore[method-assign]
    if dashboard:
        mount(app)
    return app


_OF_NO_ROOM = (users, overview, quarantine, doctor, erasing, exporting, transcripts)
"""Modules here whose routes belong to no room."""


def _routers() -> list[APIRouter]:
    found = [router for room in ROOMS for router in room.routes()]  # sessions first: asked most
    return found + [router for module in _OF_NO_ROOM for router in module.ROUTES]


async def healthz(request: Request) -> Response:
    """Whether the store answers: 200, or 503. Needs no key, and says nothing else."""
    served: Served = request.app.state.served
    healthy = (await served.store.health()).available
    return json({"available": healthy}, status=200 if healthy else 503)
