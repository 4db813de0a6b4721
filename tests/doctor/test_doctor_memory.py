"""Eviction, limits and fragmentation."""

from __future__ import annotations

import pytest
import redis
from doctor_kit import ADVICE, OK, PROBLEM, WARNING, examined, judged, read, until

from servers import Server, redis_binary, valkey_binary
from sojourn.doctor.checks.memory import MiB, fragmentation
from sojourn.doctor.reading import Answers

POLICIES = ("allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_that_drops_sessions(start, policy: str) -> None:
    limited = examined(start(f"--maxmemory 100mb --maxmemory-policy {policy}").url)["eviction"]
    unlimited = examined(start(f"--maxmemory-policy {policy}").url)["eviction"]

    assert (limited.level, unlimited.level) == (PROBLEM, WARNING)
    assert limited.todo == unlimited.todo == "maxmemory-policy noeviction"


def test_sessions_that_were_dropped_are_counted(start) -> None:
    server = start("--maxmemory 4mb --maxmemory-policy allkeys-random")
    with server.client() as client:
        for number in range(100):
            client.set(f"key {number}", "x" * 100_000)
        dropped = client.info("stats")["evicted_keys"]

    found = examined(server.url)["eviction"]

    assert dropped > 0
    assert f"dropped {dropped} keys" in found.what


@pytest.mark.parametrize("line", ["", "--maxmemory 100mb", "--maxmemory-policy noeviction"])
def test_a_server_that_drops_nothing(start, line: str) -> None:
    assert examined(start(line).url)["eviction"].level is OK


def test_the_policy_is_known_without_config(start) -> None:
    line = "--maxmemory-policy volatile-lru --maxmemory 1gb --rename-command CONFIG ''"

    assert examined(start(line).url)["eviction"].level is PROBLEM


def test_no_limit_is_worth_a_word(start) -> None:
    found = examined(start().url)["maxmemory"]

    assert found.level is ADVICE
    assert found.todo.startswith("maxmemory ")


@pytest.mark.parametrize(("share", "level"), [(0.5, OK), (0.9, WARNING), (0.97, PROBLEM)])
def test_memory_that_runs_out(start, share: float, level) -> None:
    server = start()
    with server.client() as client:
        client.set("large", "x" * 32 * MiB)
    used = int(read(server.url).info["used_memory"])
    with server.client() as client:
        client.config_set("maxmemory", int(used / share))

    found = examined(server.url)["maxmemory"]

    assert found.level is level
    assert ("maxmemory " in found.todo) is (level is not OK)


def test_a_limit_that_the_machine_does_not_have(start) -> None:
    found = examined(start("--maxmemory 900000gb").url)["maxmemory"]

    assert found.level is WARNING
    assert "the machine has" in found.what


def test_no_limit_and_a_machine_that_is_nearly_full(shared_server: Server) -> None:
    """The machine's memory is all that is made up."""
    reading = read(shared_server.url)
    told = {**reading.info.values, "total_system_memory": reading.info["used_memory"]}

    assert judged(reading._replace(info=Answers("INFO", told)))["maxmemory"].level is WARNING


def test_fragmentation_of_a_small_server_does_not_matter(start) -> None:
    """Any small server has a ratio of 5 or 10."""
    reading = read(start().url)

    assert float(reading.info["mem_fragmentation_ratio"]) > 1.5
    assert judged(reading)["fragmentation"].level is OK


def settled(client: redis.Redis) -> bool:
    """INFO has the resident size as of a tenth of a second ago."""
    memory = client.info("memory")
    return memory["used_memory_rss"] > memory["used_memory"]


@pytest.mark.parametrize("binary", [redis_binary, valkey_binary])
def test_fragmentation_is_seen_once_there_is_enough(start, binary) -> None:
    server = start(binary=binary())
    with server.client() as client:
        for batch in range(40):
            client.mset({f"{batch}:{number}": "x" * 900 for number in range(1000)})
        until(lambda: settled(client))
        whole = fragmentation(read(server.url), matters=10 * MiB)
        for batch in range(40):
            client.delete(*(f"{batch}:{number}" for number in range(1000) if number % 4))

    found = fragmentation(read(server.url), matters=MiB)

    assert whole.level is OK
    assert found.level is ADVICE
    assert "gaps" in found.what or "pages" in found.what
    assert found.todo


def test_memory_that_is_swapped_out(start) -> None:
    """Every server is below a ratio of 1,000."""
    assert fragmentation(read(start().url), matters=0, swapped=1000).level is WARNING
