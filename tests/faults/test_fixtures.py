"""The sets of servers do what fault tests ask of them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import redis
from redis.sentinel import Sentinel

from cluster import ClusterSet
from sentinel import SentinelSet
from servers import Server, any_binary, make_certificates, redis_binary


def write(client: redis.Redis, key: str, value: str) -> None:
    """Write, and see that a replica has it: so that it outlives the primary."""
    client.set(key, value)
    assert client.wait(1, 10_000) >= 1


def test_sentinels_promote_a_replica_of_a_primary_that_was_killed(sentinels: SentinelSet) -> None:
    write(sentinels.client(), "key", "kept")
    old = sentinels.kill_primary()
    new = sentinels.await_new_primary(old)
    assert new is not old
    assert sentinels.primary is new
    assert sentinels.client().get("key") == "kept"
    sentinels.restart(old)
    assert sentinels.primary is new
    assert old in sentinels.replicas
    assert old.ask("ROLE")[:3] == ["slave", "127.0.0.1", new.port]
    assert old.ask("GET", "key") == "kept"


def test_sentinels_fail_over_when_asked(sentinels: SentinelSet) -> None:
    old = sentinels.failover()
    new = sentinels.await_new_primary(old)
    assert sentinels.settle() is new
    assert old.ask("ROLE")[0] == "slave"


def test_a_primary_that_was_frozen_comes_back_and_must_learn_its_place(
    sentinels: SentinelSet,
) -> None:
    old = sentinels.pause_primary()
    new = sentinels.await_new_primary(old)
    sentinels.resume()
    assert old.running
    assert sentinels.settle() is new
    assert old.ask("ROLE")[0] == "slave"


def test_a_sentinel_that_was_killed_comes_back_and_knows_the_others(sentinels: SentinelSet) -> None:
    lost = sentinels.sentinels[0]
    lost.stop(9)
    assert sentinels.primary is sentinels.servers[0]
    sentinels.restart(lost)
    assert int(lost.ask("SENTINEL", "CKQUORUM", sentinels.name).split()[1]) == 3


def test_plain_redis_py_finds_the_primary_with_a_password_and_another_name(
    binary: str, tmp_path: Path
) -> None:
    named = SentinelSet(tmp_path, binary, name="agents", password="sécret/:@")
    try:
        named.start()
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in named.sentinels)
        assert named.url == f"redis+sentinel://:s%C3%A9cret%2F%3A%40@{hosts}/agents/0"
        known = Sentinel([("127.0.0.1", sentinel.port) for sentinel in named.sentinels])
        write(known.master_for("agents", password="sécret/:@"), "key", "kept")
        with pytest.raises(redis.AuthenticationError):
            known.master_for("agents").ping()
        old = named.kill_primary()
        named.await_new_primary(old)
        assert known.master_for("agents", password="sécret/:@").get("key") == b"kept"
    finally:
        named.close()


def test_a_cluster_promotes_the_replica_of_a_primary_that_was_killed(cluster: ClusterSet) -> None:
    slot, old = cluster.slot_of("key"), cluster.owner_of("key")
    replica = cluster.replica_of(old)
    write(old.client(), "key", "kept")
    cluster.kill(old)
    assert cluster.await_promoted(old, slot) is replica
    assert cluster.owner_of("key") is replica
    assert cluster.client().get("key") == "kept"
    cluster.restart(old)
    assert cluster.replica_of(replica) is old
    assert old.ask("ROLE")[:4] == ["slave", "127.0.0.1", replica.port, "connected"]


def test_a_cluster_fails_over_when_asked(cluster: ClusterSet) -> None:
    old = cluster.owner_of("key")
    replica = cluster.replica_of(old)
    cluster.failover(replica)
    assert cluster.await_promoted(old, cluster.slot_of("key")) is replica
    cluster.settle()
    assert cluster.replica_of(replica) is old


def test_a_cluster_fails_over_and_back_and_over_again(cluster: ClusterSet) -> None:
    slot = cluster.slot_of("key")
    for _ in range(3):
        old = cluster.owner_of("key")
        replica = cluster.replica_of(old)
        cluster.failover(replica)
        assert cluster.await_promoted(old, slot) is replica
        cluster.settle()


def test_a_cluster_promotes_the_replica_of_a_primary_that_was_frozen(cluster: ClusterSet) -> None:
    old = cluster.owner_of("key")
    replica = cluster.replica_of(old)
    old.pause()
    assert cluster.await_promoted(old, cluster.slot_of("key")) is replica
    old.resume()
    cluster.settle()
    assert cluster.owner_of("key") is replica
    assert cluster.replica_of(replica) is old


def test_nobody_is_taken_for_promoted_while_all_is_well(sentinels: SentinelSet) -> None:
    with pytest.raises(TimeoutError, match="another primary"):
        sentinels.await_new_primary(sentinels.primary, 0.2)


def test_no_owner_is_taken_for_promoted_while_all_is_well(cluster: ClusterSet) -> None:
    slot = cluster.slot_of("key")
    with pytest.raises(TimeoutError, match="another owner"):
        cluster.await_promoted(cluster.owner_of("key"), slot, 0.2)


def test_no_node_serves_a_slot_whose_nodes_are_all_dead(cluster: ClusterSet) -> None:
    old = cluster.owner_of("key")
    cluster.kill(cluster.replica_of(old))
    cluster.kill(old)
    with pytest.raises(LookupError):
        cluster.replica_of(old)
    with pytest.raises(LookupError):
        cluster.owner_of("key")


def test_a_slot_moves_key_by_key_and_what_has_moved_is_asked_for(cluster: ClusterSet) -> None:
    keys = [f"{{tag}}:{n}" for n in range(5)]
    slot, source = cluster.slot_of("{tag}"), cluster.owner_of("{tag}")
    target = next(n for n in cluster.nodes[:3] if n is not source)
    client = cluster.client()
    direct = client.get_redis_connection(client.get_node("127.0.0.1", source.port))
    for key in keys:
        client.set(key, key)
    asked: list[int] = []

    def ask(key: str) -> tuple[int, int] | None:
        try:
            direct.get(key)
        except redis.exceptions.AskError as error:
            return error.slot_id, error.port
        return None

    def between() -> None:
        assert [client.get(key) for key in keys] == keys
        asked.append([ask(key) for key in keys].count((slot, target.port)))

    cluster.move_slot(slot, source, target, between=between)
    assert asked == [1, 2, 3, 4, 5]
    assert cluster.owner_of("{tag}") is target
    with pytest.raises(redis.exceptions.MovedError):
        direct.get(keys[0])
    assert [client.get(key) for key in keys] == keys
    cluster.settle()


@pytest.mark.parametrize("kind", [SentinelSet, ClusterSet])
def test_a_set_that_cannot_start_leaves_no_process(kind: type, tmp_path: Path) -> None:
    servers = kind(tmp_path, any_binary())
    everybody = servers.nodes if kind is ClusterSet else servers.servers + servers.sentinels
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", everybody[-1].port))
        with pytest.raises(RuntimeError, match="did not start"):
            servers.start()
    for server in everybody:
        assert server.process is None
        with pytest.raises(redis.ConnectionError):
            server.ask("PING")


def test_a_server_with_an_acl_user_lets_nobody_else_in(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "tls")
    server = Server(tmp_path, redis_binary(), tls=certificates, user="user", password="secret")
    try:
        server.start()
        assert server.url.startswith(f"rediss://user:secret@localhost:{server.port}")
        assert server.ask("ACL", "WHOAMI") == "user"
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(server.url.replace("user:", ":")).ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(server.url.replace("user:secret@", "")).ping()
    finally:
        server.close()
