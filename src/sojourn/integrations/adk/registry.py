"""Sojourn's URI schemes in ADK's service registry."""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import Any, TypeVar

import click
from google.adk.cli.service_registry import ServiceRegistry, get_service_registry

from sojourn.engine.address import SCHEMES
from sojourn.errors import SojournError
from sojourn.integrations.adk.artifacts import ArtifactService
from sojourn.integrations.adk.memory import MemoryService
from sojourn.integrations.adk.sessions import SessionService

_Service = SessionService | MemoryService | ArtifactService
S = TypeVar("S", SessionService, MemoryService, ArtifactService)


def register(registry: ServiceRegistry | None = None) -> None:
    """Let ADK know `redis`, `rediss`, `unix` and `embedded`; `memory` stays ADK's.

    For sessions, memory and artifacts.

    Args:
        registry: ADK's own if not given.
    """
    registry = registry or get_service_registry()
    for scheme in SCHEMES:
        registry.register_session_service(scheme, session_service)
        registry.register_artifact_service(scheme, artifact_service)
        registry.register_memory_service(scheme, memory_service)


def session_service(uri: str, **kwargs: Any) -> SessionService:
    """The factory that ADK's command line calls. Asks the server once, so that a wrong URI is said.

    Args:
        uri: as `sojourn.open` takes it.
        kwargs: arguments of `SessionService`; ADK's `agents_dir` is ignored.

    Raises:
        click.ClickException: the URI is wrong or the server cannot be used, in one line.
    """
    return _made(SessionService, "--session_service_uri", uri, kwargs)


def artifact_service(uri: str, **kwargs: Any) -> ArtifactService:
    """The same for artifacts.

    Args:
        uri: as `sojourn.open` takes it.
        kwargs: arguments of `ArtifactService`; ADK's `agents_dir` is ignored.

    Raises:
        click.ClickException: the URI is wrong or the server cannot be used, in one line.
    """
    return _made(ArtifactService, "--artifact_service_uri", uri, kwargs)


def memory_service(uri: str, **kwargs: Any) -> MemoryService:
    """The same for memory.

    Args:
        uri: as `sojourn.open` takes it.
        kwargs: arguments of `MemoryService`; ADK's `agents_dir` is ignored.

    Raises:
        click.ClickException: the URI is wrong or the server cannot be used, in one line.
    """
    return _made(MemoryService, "--memory_service_uri", uri, kwargs)


def _made(kind: type[S], option: str, uri: str, kwargs: dict[str, Any]) -> S:
    kwargs.pop("agents_dir", None)
    try:
        service = kind(uri, **kwargs)
        _in_a_loop_of_its_own(service)
    except SojournError as error:
        raise click.ClickException(f"{option}: {error}") from error
    return service


def _in_a_loop_of_its_own(service: _Service) -> None:
    """ADK calls factories before its loop runs, or from inside it: ask in a thread either way."""
    failed: list[SojournError] = []

    def ask() -> None:
        try:
            asyncio.run(_ask(service))
        except SojournError as error:
            failed.append(error)

    thread = Thread(target=ask, name="sojourn ping")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


async def _ask(service: _Service) -> None:
    await service.store.ping()
    await service.store.disconnect()
