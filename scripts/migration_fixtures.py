"""Write what other session services keep, for the tests of the migration.

    pip install google-adk[db] google-adk-community adk-session-services
    python scripts/migration_fixtures.py redis://127.0.0.1:6379/9    # an empty database

Each file in tests/transfer/fixtures has the keys that a service has written, and the sessions as
that service reads them. The database is emptied before and after each service.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import redis
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import BaseSessionService
from google.genai import types

FOLDER = Path(__file__).parent.parent / "tests/transfer/fixtures"
BEGIN = 1_760_000_000.25


def say(n: int, *parts: types.Part, author: str = "user", **fields: Any) -> Event:
    """An event with ids and times that are the same in every run."""
    role = "user" if author == "user" else "model"
    delta = fields.pop("state", {})
    return Event(
        id=f"e{n}",
        invocation_id=f"i{n // 2}",
        author=author,
        timestamp=BEGIN + n,
        content=types.Content(role=role, parts=list(parts)),
        actions=EventActions(state_delta=delta),
        **fields,
    )


def conversation() -> list[Event]:
    """Words, a tool, bytes, state of every scope."""
    call = types.FunctionCall(id="c1", name="look", args={"at": ["ünïcode", 1.5, None]})
    answer = types.FunctionResponse(id="c1", name="look", response={"seen": {"deep": [1, {}]}})
    return [
        say(0, types.Part(text="Hello, 世界 \u2028 {x:y}")),
        say(
            1,
            types.Part(function_call=call, thought_signature=b"\xfb\xff\x00~?>"),
            author="agent",
            long_running_tool_ids={"c1"},
            state={"mood": "good", "user:name": "Ada", "app:theme": {"dark": True}, "temp:x": 1},
        ),
        say(2, types.Part(function_response=answer)),
        say(
            3,
            types.Part(inline_data=types.Blob(mime_type="image/png", data=bytes(range(250, 256)))),
            author="agent",
            custom_metadata={"cost": 0.25, "tags": []},
            turn_complete=True,
            state={"mood": "better", "count": 3, "nothing": None},
        ),
    ]


async def fill(service: BaseSessionService) -> list[dict[str, Any]]:
    """Two apps, three users, four sessions; returns the sessions as the service reads them."""
    named = (
        ("shop", "ada", "long", conversation()),
        ("shop", "ada", "empty", []),
        ("shop", "bob", "id:with:colons", [say(10, types.Part(text="one"), state={"user:n": 7})]),
        ("other app", "ümlaut", "s", [say(20, types.Part(text="two"), state={"app:v": "2"})]),
    )
    for app, user, name, events in named:
        session = await service.create_session(
            app_name=app, user_id=user, session_id=name, state={"first": name}
        )
        for event in events:
            await service.append_event(session, event)
    read = [
        await service.get_session(app_name=app, user_id=user, session_id=name)
        for app, user, name, _ in named
    ]
    return [session.model_dump(mode="json", exclude_none=True) for session in read if session]


def keys_of(client: redis.Redis) -> dict[str, Any]:
    """All keys, with what they hold and how long they live."""
    found: dict[str, Any] = {}
    for key in sorted(client.scan_iter()):
        kind, ttl = client.type(key), client.ttl(key)
        value: Any = {
            "string": lambda key=key: client.get(key),
            "list": lambda key=key: client.lrange(key, 0, -1),
            "hash": lambda key=key: client.hgetall(key),
            "set": lambda key=key: sorted(client.smembers(key)),
        }[kind]()
        found[key] = {"type": kind, "value": value, "ttl": ttl if ttl >= 0 else None}
    return found


def write(name: str, packages: list[str], document: dict[str, Any]) -> None:
    """One fixture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    versions = {package: version(package) for package in packages}
    text = json.dumps({"versions": versions, **document}, indent=1, ensure_ascii=False)
    (FOLDER / name).write_text(text + "\n", "utf-8")
    sys.stdout.write(f"{name}: {versions}\n")


async def of_redis(
    name: str,
    packages: list[str],
    client: redis.Redis,
    opened: Callable[[], Awaitable[BaseSessionService]],
) -> None:
    """What a service writes to Redis."""
    client.flushdb()
    sessions = await fill(await opened())
    write(name, packages, {"sessions": sessions, "keys": keys_of(client)})
    client.flushdb()


async def of_database(name: str) -> None:
    """What ADK's database service writes, as the SQL of an SQLite file."""
    from google.adk.sessions.database_session_service import DatabaseSessionService  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adk.db"
        service = DatabaseSessionService(f"sqlite+aiosqlite:///{path}")
        sessions = await fill(service)
        await service.db_engine.dispose()
        with sqlite3.connect(path) as database:
            script = list(database.iterdump())
    packages = ["google-adk", "sqlalchemy"]
    write(name, packages, {"sessions": sessions, "script": script})


async def main() -> None:
    """All of them."""
    url = sys.argv[1]
    client = redis.Redis.from_url(url, decode_responses=True)

    async def community() -> BaseSessionService:
        from google.adk_community.sessions import RedisSessionService  # noqa: PLC0415

        return RedisSessionService(uri=url)

    async def own() -> BaseSessionService:
        from google.adk.integrations import redis as module  # noqa: PLC0415

        config = module._config.RedisSessionServiceConfig(uri=url)  # noqa: SLF001
        return module.RedisSessionService(config=config)

    async def services() -> BaseSessionService:
        from adk_session_services.redis_session import RedisSessionService  # noqa: PLC0415

        return RedisSessionService(url)

    await of_redis("adk-redis.json", ["google-adk", "redis"], client, own)
    await of_redis(
        "adk-community.json", ["google-adk", "google-adk-community", "redis"], client, community
    )
    await of_redis(
        "adk-session-services.json",
        ["google-adk", "adk-session-services", "redis"],
        client,
        services,
    )
    await of_database("adk-database.json")


if __name__ == "__main__":
    asyncio.run(main())
