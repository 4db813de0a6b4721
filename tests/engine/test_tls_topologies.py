"""Sets of servers that speak TLS only and know one ACL user: found, followed, and refused."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

import sojourn
from cluster import ClusterSet
from sentinel import SentinelSet
from servers import Server, make_certificates
from sojourn import AccessDenied, ConfigurationError, Event, SessionKey

RUNNING = (Path(__file__).parents[2] / "docs/guides/running.md").read_text("utf-8")
SECRETS = ("sécret", "s%C3%A9cret", "agent", "hush")

Guarded = SentinelSet | ClusterSet


@pytest.fixture(params=["guarded_sentinels", "guarded_cluster"])
def guarded(request: pytest.FixtureRequest) -> Guarded:
    """Each set in turn, when all agree after whatever was done to it before."""
    started: Guarded = request.getfixturevalue(request.param)
    started.settle()
    return started


def servers_of(guarded: Guarded) -> list[Server]:
    return guarded.nodes if isinstance(guarded, ClusterSet) else guarded.servers


def ca_of(guarded: Guarded) -> str:
    """As it stands in the URL."""
    return servers_of(guarded)[0].trust.removeprefix("?ssl_ca_certs=")


async def refusal(url: str) -> str:
    """How a URL that cannot work is told so: at once, not at the deadline."""
    async with sojourn.open(url, operation_timeout=30) as store:
        with pytest.raises((ConfigurationError, AccessDenied)) as caught:
            async with asyncio.timeout(20):
                await store.ping()
    told = str(caught.value)
    assert not [secret for secret in SECRETS if secret in told]
    return f"{type(caught.value).__name__}: {told}"


async def payloads(store: sojourn.Sojourn, key: SessionKey) -> list[Any]:
    found = await store.sessions.get(key)
    assert found is not None
    return [event.payload for event in found.events]


async def test_sessions_are_kept_over_tls(guarded: Guarded) -> None:
    async with sojourn.open(guarded.url) as store:
        assert store.where.startswith("rediss+")
        for user in ("ada", "bob", "cleo", "dan"):  # on several nodes, if there are
            made = await store.sessions.create("shop", user, state={"app:n": 1, "user:n": 2})
            await store.sessions.append(made.key, Event(author="a", payload=user))
            assert await payloads(store, made.key) == [user]


async def test_the_acl_rule_of_the_docs_is_enough_on_sets(guarded: Guarded) -> None:
    rule = next(line for line in RUNNING.splitlines() if line.startswith("ACL SETUSER"))
    more = ["+cluster|slots"] if isinstance(guarded, ClusterSet) else []
    for server in servers_of(guarded):
        server.ask(*rule.split(), *more)
    url = guarded.url.replace(guarded.url.split("//")[1].split("@")[0], "shop:secret")
    async with sojourn.open(url, namespace="shop") as store:
        made = await store.sessions.create("a", "u", state={"app:x": 1, "user:y": 2})
        await store.sessions.append(made.key, Event(author="a", payload=1))
        assert await payloads(store, made.key) == [1]


async def test_the_primary_that_sentinels_name_next_is_found(
    guarded_sentinels: SentinelSet,
) -> None:
    sentinels = guarded_sentinels
    async with sojourn.open(sentinels.url, durability="replicas", operation_timeout=20) as store:
        made = await store.sessions.create("shop", "failover")
        await store.sessions.append(made.key, Event(author="a", payload="before"))
        old = sentinels.kill_primary()
        new = await asyncio.to_thread(sentinels.await_new_primary, old)
        await store.sessions.append(made.key, Event(author="a", payload="after"))
        assert await payloads(store, made.key) == ["before", "after"]
    with new.client() as client:
        key = f"session:{{shop:failover}}:{made.key.session}:events"
        assert client.llen(key) == 2
    sentinels.restart(old)


@pytest.mark.parametrize("told", ["ip", "hostname"])
async def test_a_moved_that_names_a_tls_port_is_followed(
    guarded_cluster: ClusterSet, told: str
) -> None:
    """Nodes that are to tell their names, and have none, tell a question mark and the port."""
    cluster = guarded_cluster
    cluster.settle()
    for node in cluster.nodes:
        node.ask("CONFIG", "SET", "cluster-preferred-endpoint-type", told)
    sent: dict[str, int] = {}
    async with sojourn.open(cluster.url) as store:
        made = await store.sessions.create("shop", "ada")
        await store.sessions.append(made.key, Event(author="a", payload="before"))
        old = cluster.owner_of("{shop:ada}")
        cluster.failover(cluster.replica_of(old))
        await asyncio.to_thread(cluster.await_promoted, old, cluster.slot_of("{shop:ada}"))
        lost = store.stats().lost_connections
        store.on_call(lambda fact: sent.update({fact.name: fact.attempts}))
        await store.sessions.append(made.key, Event(author="a", payload="after"))
        assert sent["sessions.append"] == 2
        assert store.stats().lost_connections == lost
        assert await payloads(store, made.key) == ["before", "after"]
    for node in cluster.nodes:
        node.ask("CONFIG", "SET", "cluster-preferred-endpoint-type", "ip")


async def test_a_slot_that_moves_is_served_by_both_nodes(guarded_cluster: ClusterSet) -> None:
    cluster = guarded_cluster
    cluster.settle()
    slot, source = cluster.slot_of("{shop:eve}"), cluster.owner_of("{shop:eve}")
    target = next(n for n in cluster.nodes if n is not source and n.ask("ROLE")[0] == "master")
    async with sojourn.open(cluster.url, operation_timeout=10) as store:
        made = await store.sessions.create("shop", "eve")
        asked: list[Any] = []

        def read() -> None:
            """ASK leads to the port of TLS as well, once all keys are there."""
            if not source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
                future = asyncio.run_coroutine_threadsafe(store.sessions.get(made.key), loop)
                asked.append(future.result())

        loop = asyncio.get_running_loop()
        await asyncio.to_thread(cluster.move_slot, slot, source, target, between=read)
        await store.sessions.append(made.key, Event(author="a", payload="moved"))
        assert asked == [made]
        assert await payloads(store, made.key) == ["moved"]
    assert cluster.client().exists(f"session:{{shop:eve}}:{made.key.session}")


async def test_a_certificate_of_another_ca_is_refused(guarded: Guarded, tmp_path: Path) -> None:
    other = make_certificates(tmp_path / "other") / "ca.crt"
    told = await refusal(guarded.url.replace(ca_of(guarded), str(other)))
    assert told.startswith("ConfigurationError: TLS with rediss")
    assert "CERTIFICATE_VERIFY_FAILED" in told
    assert "ssl_ca_certs" in told


async def test_a_file_of_cas_that_is_not_there_is_named(guarded: Guarded) -> None:
    told = await refusal(guarded.url.replace(ca_of(guarded), "/nowhere/ca.crt"))
    assert told.startswith("ConfigurationError")
    assert "ssl_ca_certs" in told


async def test_sentinels_that_want_a_password_of_their_own(guarded_sentinels: SentinelSet) -> None:
    url = guarded_sentinels.url
    for sentinel in guarded_sentinels.sentinels:
        sentinel.ask("ACL", "SETUSER", "default", "resetpass", ">hush")
    try:
        for missing in ("", "&sentinel_password=hushhush"):
            told = await refusal(url + missing)
            assert told.startswith("AccessDenied: The Sentinels of rediss+sentinel://")
            assert "sentinel_password" in told
        async with sojourn.open(f"{url}&sentinel_password=hush") as store:
            await store.ping()
    finally:
        for sentinel in guarded_sentinels.sentinels:
            sentinel.password = "hush"
            sentinel.ask("ACL", "SETUSER", "default", "nopass")
            sentinel.password = ""


async def test_certificates_are_read_beside_the_loop(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes tens of milliseconds for each connection, in which all other tasks would stand."""
    threads: list[threading.Thread] = []
    create = ssl.create_default_context

    def watched() -> ssl.SSLContext:
        threads.append(threading.current_thread())
        return create()

    monkeypatch.setattr(ssl, "create_default_context", watched)
    async with sojourn.open(guarded.url) as store:
        await store.ping()
    assert threads
    assert threading.current_thread() not in threads


async def test_certificates_are_read_once_for_all_connections(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the servers, the Sentinels and every node; again when a file has changed."""
    read = 0
    create = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        nonlocal read
        read += threading.current_thread() is not threading.main_thread()  # there the test asks
        return create()

    monkeypatch.setattr(ssl, "create_default_context", counted)
    trusted = tmp_path / "ca.crt"
    shutil.copy(ca_of(guarded), trusted)
    url = guarded.url.replace(ca_of(guarded), str(trusted))
    async with sojourn.open(url) as store:
        made = await store.sessions.create("shop", "ada")
        assert await store.sessions.get(made.key)
        await store.health()
        assert store.stats().connections > 1
        assert read == 1
        trusted.write_bytes(trusted.read_bytes() + b"\n")
        lost = store.stats().lost_connections
        for each in servers_of(guarded):
            each.ask("CLIENT", "KILL", "TYPE", "normal")
        assert await store.sessions.get(made.key)
        assert store.stats().lost_connections > lost
        assert read == 2


async def test_certificates_are_read_again_when_tls_has_failed(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CA that is new in the system is in no file that the URL names."""

    class Blind(ssl.SSLContext):
        def load_verify_locations(self, *_: Any, **__: Any) -> None:
            pass

    async with sojourn.open(guarded.url, operation_timeout=30) as store:
        with monkeypatch.context() as patch:
            patch.setattr(ssl, "create_default_context", lambda: Blind(ssl.PROTOCOL_TLS_CLIENT))
            with pytest.raises(ConfigurationError, match="CERTIFICATE_VERIFY_FAILED"):
                await store.ping()
        await store.ping()
