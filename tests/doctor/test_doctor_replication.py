"""Replicas: whether there are any, whether they keep up, and whether writes wait for them."""

from __future__ import annotations

import signal

import pytest
from doctor_kit import ADVICE, OK, PROBLEM, WARNING, examined, read, until

from servers import Server, redis_binary, valkey_binary
from sojourn.doctor.checks.replication import replicas

QUICK = "--repl-diskless-sync-delay 0"
"""A replica is served at once, and not together with others that may come."""


def follow(primary: Server, replica: Server) -> None:
    with primary.client() as client:
        known = client.info("replication")["connected_slaves"]
    with replica.client() as client:
        client.replicaof("127.0.0.1", primary.port)
        until(lambda: client.info("replication")["master_link_status"] == "up")
    with primary.client() as client:
        until(lambda: client.info("replication").get(f"slave{known}", {}).get("state") == "online")


def test_a_server_alone(shared_server: Server) -> None:
    found = examined(shared_server.url)

    assert found["replicas"].level is ADVICE
    assert "min-replicas" not in found


@pytest.mark.parametrize("binary", [redis_binary, valkey_binary])
def test_replicas_in_step(start, binary) -> None:
    primary = start(QUICK, binary=binary())
    follow(primary, start(binary=binary()))

    one = examined(primary.url)
    follow(primary, start(binary=binary()))
    two = examined(primary.url)

    assert (one["replicas"].level, two["replicas"].level) == (OK, OK)
    assert (one["min-replicas"].level, two["min-replicas"].level) == (ADVICE, WARNING)
    assert "min-replicas-to-write 1" in two["min-replicas"].todo


@pytest.mark.parametrize("binary", [redis_binary, valkey_binary])
def test_writes_that_need_a_replica(start, binary) -> None:
    primary = start(f"{QUICK} --min-replicas-to-write 1", binary=binary())

    refused = examined(primary.url)["min-replicas"]
    follow(primary, start(binary=binary()))
    taken = examined(primary.url)["min-replicas"]
    with primary.client() as client:
        client.config_set("min-replicas-to-write", 2)
    still_refused = examined(primary.url)["min-replicas"]

    assert (refused.level, taken.level, still_refused.level) == (PROBLEM, OK, PROBLEM)
    assert "refuses all writes" in refused.what
    assert "is 2 and 1 are in step" in still_refused.what


def test_writes_that_are_refused_are_seen_without_config(start) -> None:
    found = examined(start("--min-replicas-to-write 1 --rename-command CONFIG ''").url)

    assert found["min-replicas"].level is PROBLEM


def test_a_replica_that_falls_behind(start) -> None:
    primary, replica = start(QUICK), start()
    follow(primary, replica)
    replica.process.send_signal(signal.SIGSTOP)
    with primary.client() as client:
        until(lambda: client.info("replication")["slave0"]["lag"] >= 2)
    reading = read(primary.url)
    replica.process.send_signal(signal.SIGCONT)

    strict, lenient = replicas(reading, late=1), replicas(reading, late=3600)

    assert strict is not None
    assert lenient is not None
    assert (strict.level, lenient.level) == (WARNING, OK)
    assert f"127.0.0.1:{replica.port} (online" in strict.what


def test_a_replica_that_still_copies(start) -> None:
    primary = start("--repl-diskless-sync yes --repl-diskless-sync-delay 60")
    replica = start(f"--replicaof 127.0.0.1 {primary.port}")
    with primary.client() as client:
        until(lambda: client.info("replication")["connected_slaves"] == 1)

    found = examined(primary.url)["replicas"]

    assert found.level is WARNING
    assert f"127.0.0.1:{replica.port} (wait_bgsave)" in found.what


def test_a_replica_says_nothing_of_replicas(start) -> None:
    primary, replica = start(QUICK), start()
    follow(primary, replica)

    found = examined(replica.url)

    assert not {"replicas", "min-replicas"} & set(found)
