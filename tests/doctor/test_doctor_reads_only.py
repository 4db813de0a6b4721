"""The doctor changes nothing, and an outage is an error of its own."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from doctor_kit import examined, read

import sojourn
from servers import Server, free_port, redis_binary, valkey_binary
from sojourn import Closed, ConfigurationError, Event, Unavailable
from sojourn.calls.call import Call
from sojourn.doctor.checks import CHECKS


def contents(client: redis.Redis) -> dict[str, Any]:
    """Everything that a server keeps, and how it is configured."""
    return {
        "keys": {key: (client.dump(key), client.expiretime(key)) for key in client.keys("*")},
        "changes": client.info("persistence")["rdb_changes_since_last_save"],
        "configuration": client.config_get("*"),
        "users": client.acl_list(),
    }


async def fill(server: Server) -> None:
    """Sessions of all lifetimes, and keys that make the doctor look closer."""
    for options in ({}, {"session_ttl": None}, {"state_ttl": None}):
        async with sojourn.open(server.url, **options) as store:
            made = await store.sessions.create("shop", "ada", state={"user:u": 1, "app:a": 1})
            await store.sessions.append(made.key, Event(author="a", payload=1))
    with server.client() as client:
        client.persist(f"session:{{shop:ada}}:{made.key.session}:ops")
        client.set("users:{shop#0}", "of another type")


@pytest.mark.parametrize("binary", [redis_binary, valkey_binary])
async def test_no_command_writes_or_configures(start, binary) -> None:
    server = start("--appendonly yes", binary=binary())
    await fill(server)
    with server.client() as client:
        before = contents(client)
        writing = set(client.execute_command("COMMAND LIST FILTERBY ACLCAT write"))
        client.config_resetstat()
        async with sojourn.open(server.url) as store:
            await store.admin.doctor.examine(notifications=True)
        asked = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
        after = contents(client)

    assert asked - {"client|setinfo", "config|resetstat"} == {
        *("acl|getuser", "client|info", "config|get", "hello", "hget", "info", "ping", "pttl"),
        *("scan", "script|exists", "time", "zrevrange"),
    }
    assert {"set", "zadd", "persist"} <= writing
    assert not asked & writing
    assert after == before


def test_passwords_are_not_asked_for(shared_server: Server) -> None:
    """`CONFIG GET *` would bring them."""
    calls: list[Call[Any]] = []

    reading = read(shared_server.url, before=calls.append)

    asked = {str(word) for call in calls for command in call.commands for word in command}
    assert "maxclients" in asked
    assert not [word for word in asked if "*" in word or "pass" in word or "auth" in word]
    assert "passwords" not in reading.default_user


async def test_a_server_that_is_down_is_an_error() -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    async with sojourn.open(url, operation_timeout=0.3) as store:
        with pytest.raises(Unavailable):
            await store.admin.doctor.examine()


async def test_a_server_that_goes_down_meanwhile_is_an_error(server: Server) -> None:
    async with sojourn.open(server.url, operation_timeout=0.3) as store:
        await store.ping()
        server.stop(9)
        with pytest.raises(Unavailable):
            await store.admin.doctor.examine()


async def test_a_store_in_memory_has_no_server() -> None:
    async with sojourn.open("memory://") as store:
        with pytest.raises(ConfigurationError, match="memory"):
            await store.admin.doctor.examine()


async def test_a_store_that_is_closed(shared_server: Server) -> None:
    async with sojourn.open(shared_server.url) as store:
        pass
    with pytest.raises(Closed):
        await store.admin.doctor.examine()


def test_findings_have_names_of_their_own(shared_server: Server) -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for name, finding in examined(shared_server.url).items():
        assert finding.what.endswith("."), name
        assert finding.todo or finding.level == "ok", name
