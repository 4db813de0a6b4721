"""Our URI schemes in ADK's service registry."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from adk_kit import Desk, event, texts
from google.adk.cli.service_registry import ServiceRegistry
from google.adk.sessions import InMemorySessionService

from servers import Server, any_binary, free_port
from sojourn.integrations.adk import (
    ArtifactService,
    MemoryService,
    SessionService,
    artifact_service,
    memory_service,
    register,
    session_service,
)

SECRET = "hunter2secret"


@pytest.fixture
def registry() -> ServiceRegistry:
    fresh = ServiceRegistry()
    register(fresh)
    return fresh


def test_our_schemes_are_registered_and_memory_is_not(registry):
    for scheme in ("redis", "rediss", "unix", "embedded"):
        assert scheme in registry._session_factories
        assert scheme in registry._artifact_factories
        assert scheme in registry._memory_factories
    assert registry.create_artifact_service("memory://") is None
    assert registry.create_memory_service("memory://") is None
    assert registry.create_session_service("memory://") is None
    assert registry.create_session_service("mysql://x") is None


def test_adks_own_registry_keeps_its_memory():
    script = (
        "from google.adk.cli.service_registry import get_service_registry as registry\n"
        "from sojourn.integrations.adk import register\n"
        "register(); register()\n"
        "print(type(registry().create_session_service('memory://')).__name__)\n"
        "print(sorted({'redis', 'sqlite'} & registry()._session_factories.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == [InMemorySessionService.__name__, "['redis', 'sqlite']"]


def test_importing_the_adapter_registers_nothing():
    script = (
        "import sojourn.integrations.adk\n"
        "from google.adk.cli.service_registry import get_service_registry\n"
        "assert 'redis' not in get_service_registry()._session_factories\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_adk_the_adapter_says_what_to_install():
    script = "import sys; sys.modules['google.adk'] = None; import sojourn.integrations.adk"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: sojourn.integrations.adk needs google-adk")
    assert "pip install '.[adk]'" in last


async def test_a_factory_ignores_the_folder_of_the_agents(registry, shared_server, app, tmp_path):
    service = registry.create_session_service(shared_server.url, agents_dir=str(tmp_path))
    assert isinstance(service, SessionService)
    desk = Desk(service, app)
    await desk.say(await desk.create("s"), "hello")
    assert texts(await desk.get("s")) == ["hello"]
    await service.close()


async def test_a_factory_passes_options_on(registry, shared_server, redis, app):
    service = registry.create_session_service(shared_server.url, agents_dir="x", ttl=100)
    await Desk(service, app).create("s")
    (key,) = redis.scan_iter(f"session:{{{app}:*")
    assert 0 < redis.ttl(key) <= 101
    await service.close()


def test_a_factory_works_where_no_loop_runs(registry, shared_server):
    """ADK's command line calls it so, and runs its loop later."""
    assert isinstance(registry.create_session_service(shared_server.url), SessionService)


async def test_a_factory_reaches_a_server_over_a_socket(registry, tmp_path, app):
    server = Server(tmp_path / "socket", any_binary(), unix=True).start()
    try:
        service = registry.create_session_service(server.url)
        assert (await Desk(service, app).create("s")).id == "s"
        await service.close()
    finally:
        server.close()


async def test_a_factory_starts_an_embedded_server(registry, tmp_path, app):
    service = registry.create_session_service(f"embedded:{tmp_path / 'data'}", agents_dir="x")
    desk = Desk(service, app)
    await desk.say(await desk.create("s"), "hello")
    assert texts(await desk.get("s")) == ["hello"]
    await service.close()


def one_line(caught) -> str:
    """The message, which must be one line and must not hold the password."""
    message = caught.value.format_message()
    assert "\n" not in message
    assert SECRET not in message
    return message


@pytest.mark.parametrize(
    "uri",
    [
        f"redis://:{SECRET}@localhost:notaport/0",
        f"redis://:{SECRET}@localhost:99999/0",
        f"redis://:{SECRET}@localhost/notadatabase",
        f"redis:/:{SECRET}@localhost",
        "redis:localhost",
        f"redis://:{SECRET}@localhost?colour=red",
        f"redis://:{SECRET}@localhost?session_ttl=soon",
        f"redis://:{SECRET}@localhost?session_ttl=-1",
        f"redis://:{SECRET}@localhost?namespace=a:b",
        f"redis://:{SECRET}@[::1",
        "unix://",
    ],
)
def test_a_wrong_uri_is_one_line(uri):
    with pytest.raises(click.ClickException) as caught:
        session_service(uri)
    assert "--session_service_uri" in one_line(caught)


async def test_artifacts_have_a_factory_of_the_same_schemes(registry, shared_server, redis, app):
    uri = f"{shared_server.url}?artifact_ttl=100"
    service = registry.create_artifact_service(uri, agents_dir="x")
    assert isinstance(service, ArtifactService)
    where = {"app_name": app, "user_id": "ada", "session_id": "s", "filename": "a"}
    await service.save_artifact(**where, artifact={"text": "hi"})
    assert (await service.load_artifact(**where)).text == "hi"
    keys = list(redis.scan_iter(f"artifact*:{{{app}:*"))
    assert len(keys) == 4
    assert [key for key in keys if ":saved:" not in key and not 0 < redis.ttl(key) <= 101] == []
    await service.close()


async def test_memory_has_a_factory_of_the_same_schemes(registry, shared_server, redis, app):
    uri = f"{shared_server.url}?history_ttl=100"
    service = registry.create_memory_service(uri, agents_dir="x")
    assert isinstance(service, MemoryService)
    where = {"app_name": app, "user_id": "ada"}
    await service.add_events_to_memory(**where, events=[event("green tea")])
    assert len((await service.search_memory(**where, query="tea")).memories) == 1
    (key,) = redis.scan_iter(f"memory:{{{app}:*:entry:*")
    assert 0 < redis.ttl(key) <= 100
    await service.close()


@pytest.mark.parametrize("uri", [f"redis://:{SECRET}@h:port", f"redis://:{SECRET}@127.0.0.1:1"])
@pytest.mark.parametrize("what", ["artifact", "memory"])
def test_a_wrong_uri_for_another_service_is_one_line(uri, what):
    with pytest.raises(click.ClickException) as caught:
        {"artifact": artifact_service, "memory": memory_service}[what](uri)
    assert f"--{what}_service_uri" in one_line(caught)


def test_an_unreachable_server_is_one_line_with_its_address(registry):
    port = free_port()
    with pytest.raises(click.ClickException) as caught:
        registry.create_session_service(f"redis://:{SECRET}@127.0.0.1:{port}/0")
    assert f"127.0.0.1:{port}" in one_line(caught)


def test_a_missing_socket_is_one_line_with_its_path(registry, tmp_path):
    with pytest.raises(click.ClickException) as caught:
        registry.create_session_service(f"unix://{tmp_path}/none.sock")
    assert f"{tmp_path}/none.sock" in one_line(caught)


@pytest.mark.parametrize("said", ["", f":{SECRET}@", f"ada:{SECRET}@"])
def test_a_refused_password_is_one_line(registry, tmp_path, said):
    server = Server(tmp_path / "locked", any_binary(), password="other").start()
    try:
        with pytest.raises(click.ClickException) as caught:
            registry.create_session_service(f"redis://{said}127.0.0.1:{server.port}")
        assert "password" in one_line(caught).lower()
    finally:
        server.close()


def test_a_port_that_speaks_no_redis_is_one_line(registry):
    import socket
    from threading import Thread

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        thread = Thread(target=answer)
        thread.start()
        with pytest.raises(click.ClickException) as caught:
            registry.create_session_service(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    one_line(caught)


def test_a_wrong_option_is_one_line(registry, shared_server):
    with pytest.raises(click.ClickException) as caught:
        registry.create_session_service(shared_server.url, on_stale="ignore")
    assert "on_stale" in one_line(caught)
