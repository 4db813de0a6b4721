"""What kind of server it is: version, mode, role, connections; and one that still loads."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from doctor_kit import ADVICE, OK, PROBLEM, WARNING, Loading, Sentinel, examined, judged, read

from servers import Server, free_port, redis_binary, valkey_binary
from sojourn import ConfigurationError
from sojourn.doctor.reading import Answers


def test_the_version_is_named(start) -> None:
    redis = examined(start(binary=redis_binary()).url)["version"]
    valkey = examined(start(binary=valkey_binary()).url)["version"]

    assert (redis.level, redis.what[:6]) == (OK, "Redis ")
    assert (valkey.level, valkey.what[:7]) == (OK, "Valkey ")


@pytest.mark.parametrize(
    ("told", "level"),
    [
        ({"redis_version": "6.0.20"}, PROBLEM),
        ({"redis_version": "6.2.0"}, OK),
        ({"redis_version": "7.2.4", "valkey_version": "7.1.9"}, PROBLEM),
        ({"redis_version": "7.2.4", "valkey_version": "10.0.0"}, OK),
    ],
)
def test_a_version_that_is_too_old(shared_server: Server, told: dict[str, str], level) -> None:
    """No such server installs any more."""
    reading = read(shared_server.url)._replace(info=Answers("INFO", told))

    assert judged(reading)["version"].level is level


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.0"}, "Valkey"),
        ({"redis_version": "6.3.4", "mvcc_depth": "0"}, "KeyDB 6.3.4"),
        ({"redis_version": "7.4.0", "dragonfly_version": "df-v1.25.1"}, "Dragonfly df-v1.25.1"),
        ({"redis_version": "4.0.0", "kvrocks_version": "2.9.0"}, "Kvrocks 2.9.0 (as Redis 4.0.0)"),
        ({"redis_version": "7.1.0", "os": "Amazon ElastiCache"}, "ElastiCache 7.1.0"),
        ({"redis_version": "7.4.3", "garnet_version": "1.0.61"}, "Garnet 1.0.61"),
        ({"redis_version": "7.2.4", "server_name": "newdb", "server_version": "0.1"}, "Newdb 0.1"),
    ],
)
def test_the_product_is_named(shared_server: Server, told: dict[str, str], named: str) -> None:
    """Played: as each of them answers INFO."""
    reading = read(shared_server.url)._replace(info=Answers("INFO", told))

    found = judged(reading)["version"]

    assert found.what.startswith(named)
    assert found.level is (OK if named == "Valkey" else ADVICE)


def test_a_plain_server_is_one(shared_server: Server) -> None:
    found = examined(shared_server.url)

    assert (found["mode"].level, found["role"].level) == (OK, OK)


def test_a_node_of_a_cluster_wants_another_url(start) -> None:
    found = examined(start(f"--cluster-enabled yes --cluster-port {free_port()}").url)["mode"]

    assert found.level is PROBLEM
    assert "redis+cluster://" in found.todo


def test_a_sentinel_is_no_server(start) -> None:
    found = examined(start(kind=Sentinel).url)["mode"]

    assert found.level is PROBLEM
    assert "redis+sentinel://" in found.todo


def test_another_database_than_0(shared_server: Server) -> None:
    found = examined(f"{shared_server.url}/3")["mode"]

    assert found.level is ADVICE
    assert "?namespace=" in found.todo


def test_a_replica_names_its_primary(start) -> None:
    primary = start()
    replica = start(f"--replicaof 127.0.0.1 {primary.port}")

    found = examined(replica.url)["role"]

    assert found.level is PROBLEM
    assert f"redis://127.0.0.1:{primary.port}" in found.todo


@pytest.mark.parametrize(("others", "level"), [(1, OK), (7, WARNING), (9, PROBLEM)])
def test_connections_that_run_out(start, others: int, level) -> None:
    server = start("--maxclients 10")
    with ExitStack() as clients:
        for _ in range(others):
            clients.enter_context(server.client()).ping()

        found = examined(server.url)["clients"]

    assert found.level is level
    assert ("maxclients 20" in found.todo) is (level is not OK)


def test_connections_that_were_refused(start) -> None:
    server = start("--maxclients 10")
    with ExitStack() as clients:
        for _ in range(10):
            clients.enter_context(server.client()).ping()
        with pytest.raises(Exception, match="max number of clients"), server.client() as client:
            client.ping()

    found = examined(server.url)["clients"]

    assert found.level is ADVICE
    assert "maxclients" in found.todo


def test_a_server_that_loads_is_not_ready(start) -> None:
    server = start()
    with server.client() as client:
        client.mset({f"key {number}": "x" * 100 for number in range(3000)})
        client.save()
    server.stop()
    slow = start(
        f"--key-load-delay 5000 --loading-process-events-interval-bytes 1024 --dir {server.folder}",
        kind=Loading,
    )

    found = examined(slow.url)

    assert found["loading"].level is WARNING
    assert found["version"].level is OK
    assert found["eviction"].level is OK
    assert "loading" in found["latency"].what.lower()
    assert "loading" in found["lifetimes"].what.lower()


def test_a_server_that_is_ready_says_nothing_of_loading(shared_server: Server) -> None:
    assert "loading" not in examined(shared_server.url)


def test_every_topology_can_be_examined_whole(url: str) -> None:
    if url == "memory://":
        with pytest.raises(ConfigurationError, match="no server"):
            examined(url)
        return

    found = examined(url, notifications=True)

    assert not [each for each in found.values() if each.level == "unknown"]
    assert len(found) >= 17
