"""The services that every case of ADK's semantics runs on."""

from __future__ import annotations

from secrets import token_hex

import pytest

pytest.importorskip("google.adk", reason="google-adk is not installed: its adapter is not tested")

from adk_kit import ROWS, Desk
from google.adk.artifacts import InMemoryArtifactService
from google.adk.sessions import InMemorySessionService

import sojourn
from sojourn.integrations.adk import ArtifactService, SessionService
from sojourn.process import close_all


@pytest.fixture(autouse=True, scope="module")
def nothing_shared():
    """A module begins without stores that another left open: they would count for both."""
    yield
    close_all()


@pytest.fixture
def app() -> str:
    return f"app-{token_hex(6)}"


@pytest.fixture(params=ROWS)
async def service(request):
    """ADK's in-memory service, and ours in memory and on a server."""
    if request.param == "adk":
        yield InMemorySessionService()
        return
    url = "memory://"
    if request.param == "server":
        url = request.getfixturevalue("shared_server").url
    ours = SessionService(url)
    yield ours
    await ours.close()


@pytest.fixture
def desk(service, app) -> Desk:
    return Desk(service, app)


@pytest.fixture
async def elsewhere(service, app, shared_server):
    """The same data as another process would see it: nothing is shared but the server.

    What `memory://` and ADK's service hold lives in one process; there it is the service itself.
    """
    if not isinstance(service, SessionService) or service.store.where == "memory://":
        yield Desk(service, app)
        return
    async with sojourn.open(shared_server.url) as store:
        yield Desk(SessionService(store), app)


@pytest.fixture
async def artifacts(service):
    """The artifact service beside `service`: of the same kind, over the same store."""
    if isinstance(service, SessionService):
        return ArtifactService(service.store)
    return InMemoryArtifactService()


@pytest.fixture
def redis(shared_server):
    """Plain redis-py, to look at what is stored."""
    with shared_server.client() as client:
        yield client
