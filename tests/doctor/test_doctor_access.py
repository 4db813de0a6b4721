"""Who can listen, who gets in, what they may do; and what the doctor itself may not ask."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor_kit import (
    ADVICE,
    OK,
    PROBLEM,
    UNKNOWN,
    WARNING,
    WithoutHello,
    by_name,
    examined,
    judged,
    own_addresses,
    read,
)

import sojourn
from servers import Server, make_certificates, redis_binary
from sojourn import AccessDenied
from sojourn.doctor.checks.access import acl_rule
from sojourn.doctor.reading import Answers, ServerAddress
from sojourn.rooms import StoreKeys

RUNNING = (Path(__file__).parents[2] / "docs/guides/running.md").read_text("utf-8")


# ── tls ────────────────────────────────────────────────────────────────────────────────────────


def test_a_connection_that_stays_on_this_machine_needs_no_tls(shared_server: Server, start) -> None:
    assert examined(shared_server.url)["tls"].level is OK
    assert examined(start(unix=True).url)["tls"].level is OK


def test_a_connection_to_elsewhere_does(start) -> None:
    server = start(f"--bind {own_addresses()}", password="secret")

    found = examined(by_name(server))["tls"]

    assert found.level in (WARNING, PROBLEM)
    assert "rediss://" in found.todo


def test_tls_is_seen(start, tmp_path: Path) -> None:
    server = start(binary=redis_binary(), tls=make_certificates(tmp_path / "tls"), password="x")

    assert examined(server.url)["tls"].what == "The connection is encrypted."


@pytest.mark.parametrize(
    ("where", "level"),
    [
        ("redis://localhost:6379", OK),
        ("redis://127.9.9.9:6379/4", OK),
        ("redis://::1:6379", OK),
        ("redis://::ffff:127.0.0.1:6379", OK),
        ("unix:///tmp/redis.sock?db=2", OK),
        ("rediss://203.0.113.7:6379", OK),
        ("redis://10.1.2.3:6379", WARNING),
        ("redis://fd00::2:6379", WARNING),
        ("redis://redis:6379", WARNING),
        ("redis://8.8.8.8:6379", PROBLEM),
        ("redis://cache.example.com:6379", PROBLEM),
        ("redis://localhost.example.com:6379", PROBLEM),
    ],
)
def test_what_counts_as_elsewhere(shared_server: Server, where: str, level) -> None:
    reading = read(shared_server.url)._replace(address=ServerAddress.of(where))

    assert judged(reading)["tls"].level is level


def test_addresses_are_read_whole() -> None:
    assert ServerAddress.of("redis://127.9.9.9:6379/4") == ("redis", "127.9.9.9", 4)
    assert ServerAddress.of("redis://::1:6379") == ("redis", "::1", 0)
    assert ServerAddress.of("unix:///tmp/redis.sock?db=2") == ("unix", "", 2)
    assert ServerAddress.of("embedded:redis://x/3") == ("embedded", "", 0)


# ── password ───────────────────────────────────────────────────────────────────────────────────


def test_no_password_and_nobody_else_gets_in(shared_server: Server, start) -> None:
    assert "only this machine" in examined(shared_server.url)["password"].what
    assert "only this machine" in examined(start("--bind ''", unix=True).url)["password"].what


def test_no_password_and_doors_to_elsewhere(start) -> None:
    """203.0.113.1 is nobody's; the dash lets a server start without it."""
    found = examined(start("--bind 127.0.0.1 -203.0.113.1 --protected-mode no").url)["password"]

    assert found.level is PROBLEM
    assert "203.0.113.1" in found.what
    assert "requirepass" in found.todo


def test_protected_mode_turns_others_away(start) -> None:
    found = examined(start("--bind 127.0.0.1 -203.0.113.1 --protected-mode yes").url)["password"]

    assert found.level is OK
    assert "protected-mode" in found.what


def test_protected_mode_of_redis_6_does_not_once_bind_is_set(start) -> None:
    """No wheel of 6.2 is there for every Python; its version is all that is made up."""
    reading = read(start("--bind 127.0.0.1 -203.0.113.1 --protected-mode yes").url)
    told = {**reading.info.values, "redis_version": "6.2.14"}

    found = judged(reading._replace(info=Answers("INFO", told)))["password"]

    assert found.level is PROBLEM


def test_no_password_over_the_network(start) -> None:
    server = start(f"--bind {own_addresses()} --protected-mode no")

    assert examined(by_name(server))["password"].level is PROBLEM


def test_a_password_is_enough(start) -> None:
    line = "--bind 127.0.0.1 -203.0.113.1 --protected-mode no"

    assert examined(start(line, password="secret").url)["password"].level is OK


def test_a_default_user_who_is_switched_off(start) -> None:
    server = start("--protected-mode no --bind 127.0.0.1 -203.0.113.1")
    with server.client() as client:
        client.execute_command("ACL SETUSER ada on >secret ~* +@all")
        client.execute_command("ACL SETUSER default off")

    found = examined(server.url.replace("//", "//ada:secret@"))

    assert found["password"].level is OK
    assert found["user"].level is ADVICE
    assert "ada" in found["user"].what


# ── users and their rights ─────────────────────────────────────────────────────────────────────


def test_the_rule_is_that_of_the_docs() -> None:
    assert acl_rule("shop", StoreKeys("shop").patterns) in RUNNING.splitlines()
    patterns = " ".join(RUNNING.split("the patterns are `")[1].split("`")[0].split())
    assert set(patterns.split()) == {f"~{each}" for each in StoreKeys().patterns}


@pytest.mark.parametrize("namespace", ["", "shop"])
def test_the_rule_that_is_advised_is_enough_and_silences_the_advice(start, namespace: str) -> None:
    server = start()
    advice = examined(server.url, namespace=namespace)["user"]
    assert advice.level is ADVICE
    with server.client() as client:
        client.execute_command(*advice.todo.partition(", then")[0].split())
    url = server.url.replace("//", "//sojourn:secret@")

    found = examined(url, namespace=namespace)

    assert found["user"].level is OK
    assert found["rights"].level is OK


def test_a_user_with_fewer_rights_than_the_default_user(start) -> None:
    server = start()
    with server.client() as client:
        client.execute_command("ACL SETUSER ada on >secret ~* +@all -flushall")

    found = examined(server.url.replace("//", "//ada:secret@"))

    assert (found["user"].level, found["rights"].level) == (OK, OK)


def test_a_user_of_another_namespace(start) -> None:
    server = start()
    with server.client() as client:
        client.execute_command(*acl_rule("ada", StoreKeys("shop").patterns).split())
    url = server.url.replace("//", "//ada:secret@")

    found = examined(url, namespace="travel")["rights"]

    assert found.level is PROBLEM
    assert "~travel:*" in found.todo
    assert examined(url, namespace="shop")["rights"].level is OK


def test_a_user_who_may_not_use_scripts(start) -> None:
    server = start()
    with server.client() as client:
        client.execute_command("ACL SETUSER ada on >secret ~* +@all -@scripting")

    found = examined(server.url.replace("//", "//ada:secret@"))["rights"]

    assert found.level is PROBLEM
    assert "script" in found.what.lower()


# ── what may not be asked ──────────────────────────────────────────────────────────────────────


def test_what_this_user_may_not_ask_is_named_and_the_rest_is_checked(start) -> None:
    server = start("--appendonly yes --maxmemory-policy allkeys-lru")
    with server.client() as client:
        client.execute_command(*acl_rule("ada", StoreKeys().patterns).split())

    found = examined(server.url.replace("//", "//ada:secret@"), notifications=True)

    unknown = {name for name, each in found.items() if each.level is UNKNOWN}
    assert unknown == {"appendfsync", "notifications", "password"}
    assert "CONFIG GET" in found["appendfsync"].what
    assert "ACL GETUSER" in found["password"].what
    assert found["eviction"].level is WARNING
    assert found["lifetimes"].level is OK


@pytest.mark.parametrize("command", ["CONFIG", "ACL", "CLIENT", "SCAN", "TIME", "SCRIPT"])
def test_commands_that_a_service_does_not_have(start, command: str) -> None:
    """As managed services do: INFO alone gives what it can."""
    server = start(f"--rename-command {command} '' --maxmemory-policy allkeys-lru --save 60 1")
    with server.client() as client:
        client.set("apps", 1)

    found = examined(server.url, notifications=True)

    unknown = [each for each in found.values() if each.level is UNKNOWN]
    assert unknown
    assert all(command in each.what for each in unknown)
    assert (found["eviction"].level, found["aof"].level) == (WARNING, WARNING)
    assert found["version"].level is OK


def test_a_server_without_hello(start) -> None:
    found = examined(start("--rename-command HELLO ''", kind=WithoutHello).url)

    assert found["version"].level is OK
    assert not [each for each in found.values() if each.level is UNKNOWN]


def test_a_user_without_any_right_still_learns_the_version(start) -> None:
    server = start()
    with server.client() as client:
        client.execute_command("ACL SETUSER ada on >secret")

    found = examined(server.url.replace("//", "//ada:secret@"))

    assert (found["version"].level, found["role"].level) == (OK, OK)
    assert found["rights"].level is PROBLEM
    assert found["eviction"].level is UNKNOWN


async def test_credentials_that_are_refused_are_an_error(start) -> None:
    server = start(password="secret")
    async with sojourn.open(server.url.replace("secret", "wrong")) as store:
        with pytest.raises(AccessDenied):
            await store.admin.doctor.examine()


async def test_a_database_that_is_not_there_is_an_error(shared_server: Server) -> None:
    async with sojourn.open(f"{shared_server.url}/9999") as store:
        with pytest.raises(sojourn.SojournError, match="DB index"):
            await store.admin.doctor.examine()
