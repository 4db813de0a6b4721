"""Addresses: URLs and lent clients; and servers that cannot be used, each with its own error."""

from __future__ import annotations

import asyncio
import inspect
import secrets
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

import sojourn
from servers import Server, any_binary
from sojourn import AccessDenied, ConfigurationError, Event, InvalidInput, SessionKey, Unavailable
from sojourn.engine.address import KEPT, TLS

RUNNING = (Path(__file__).parents[2] / "docs/guides/running.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "empty"),
        ("localhost", "scheme"),
        ("reddis://localhost", "scheme"),
        ("http://localhost", "scheme"),
        ("redis:/localhost", "slashes"),
        ("redis:localhost", "slashes"),
        ("redis://localhost:port", "port"),
        ("redis://localhost:99999", "port"),
        ("redis://localhost/zero", "number"),
        ("redis://localhost/0/1", "number"),
        ("unix://", "socket"),
        ("redis://localhost?db=x", "db"),
        ("redis://localhost?nonsense=1", "nonsense"),
        ("redis://localhost?decode_responses=true", "decode_responses"),
        ("redis://localhost?session_ttl=soon", "session_ttl"),
        ("memory://?max_events=many", "max_events"),
    ],
)
def test_a_wrong_url_is_refused_before_anything_is_sent(url: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        sojourn.open(url)


@pytest.mark.parametrize(
    "options",
    [
        {"session_ttl": 0},
        {"session_ttl": 1e12},
        {"artifact_ttl": 1e12},
        {"state_ttl": -1},
        {"max_event_bytes": 0},
        {"max_events": 0},
        {"operation_timeout": 0},
        {"operation_timeout": None},
        {"session_ttl": "3600"},
        {"max_events": "5"},
        {"max_events": True},
        {"namespace": "a:b"},
        {"namespace": "session"},
        {"namespace": "*"},
        {"namespace": "ü"},
        {"replicas": 2},
    ],
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        sojourn.open("redis://localhost", **options)


def test_replicas_of_memory_are_refused() -> None:
    with pytest.raises(InvalidInput):
        sojourn.open("memory://", durability="replicas")


def test_secrets_are_in_no_message_and_no_repr() -> None:
    store = sojourn.open("redis://ada:topsecret@127.0.0.1:1/0")
    assert store.where == "redis://127.0.0.1:1"
    assert "topsecret" not in repr(store)
    with pytest.raises(ConfigurationError) as caught:
        sojourn.open("redis://ada:topsecret@127.0.0.1:x")
    assert "topsecret" not in str(caught.value)


async def test_options_in_the_url(shared_server: Server) -> None:
    space = f"n{secrets.token_hex(4)}"
    url = f"{shared_server.url}?namespace={space}&session_ttl=60&max_events=2&state_ttl=none"
    async with sojourn.open(url) as store:
        made = await store.sessions.create("a", "u", "s", state={"user:x": 1})
        assert made.ttl == 60
        await store.sessions.append(made.key, *(Event(author="a", payload=n) for n in range(5)))
        read = await store.sessions.get(made.key)
        assert read is not None
        assert [event.payload for event in read.events] == [3, 4]
        assert (read.length, read.complete) == (5, True)
    with shared_server.client() as client:
        keys = list(client.scan_iter(f"{space}:*"))
        assert f"{space}:session:{{a:u}}:s" in keys
        assert client.ttl(f"{space}:state:{{a:u}}") == -1


async def test_a_namespace_is_a_world_of_its_own(shared_server: Server) -> None:
    app = secrets.token_hex(4)
    async with (
        sojourn.open(shared_server.url, namespace=f"one{app}") as one,
        sojourn.open(shared_server.url, namespace=f"two{app}") as two,
    ):
        made = await one.sessions.create(app, "u")
        assert await two.sessions.get(made.key) is None
        assert (await two.sessions.list(app)).sessions == []
        assert (await two.admin.apps()).names == []


async def test_the_acl_rule_of_the_docs_is_enough(server: Server) -> None:
    """docs/guides/running.md gives this rule; every operation must pass under it."""
    line = next(line for line in RUNNING.splitlines() if line.startswith("ACL SETUSER"))
    with server.client() as client:
        client.execute_command(*line.split()[0:2], *line.split()[2:])
    user, secret = line.split()[2], next(w[1:] for w in line.split() if w.startswith(">"))
    url = server.url.replace("redis://", f"redis://{user}:{secret}@")
    async with sojourn.open(url, namespace="shop") as store:
        made = await store.sessions.create("a", "u", state={"app:x": 1, "user:y": 2})
        await store.sessions.append(
            made.key, Event(author="a", payload=1, state_delta={"app:x": 2, "user:y": 3})
        )
        await store.sessions.update(made.key, title="T")
        assert len((await store.sessions.list("a")).sessions) == 1
        assert await store.sessions.get(made.key, last=1) is not None
        with server.client() as client:
            client.rpush(f"shop:session:{{a:u}}:{made.key.session}:events", "mine")
            client.hincrby(f"shop:session:{{a:u}}:{made.key.session}", "seq", 1)
            client.delete("shop:state:{a}")
            client.sadd("shop:state:{a}", "mine")
        assert await store.sessions.get(made.key) is not None
        kept = await store.admin.quarantined("a", "u")
        assert len([record for record in kept if record.raw]) == 2
        assert await store.admin.release("a", "u", kept[0].id)
        assert await store.sessions.delete(made.key)
    async with sojourn.open(url) as outside:
        with pytest.raises(AccessDenied, match="ACL"):
            await outside.sessions.create("a", "u")


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis])
async def test_a_lent_client_lends_its_address_and_stays_open(
    shared_server: Server, kind: type
) -> None:
    client = kind.from_url(shared_server.url, decode_responses=True, db=3)
    async with sojourn.open(client) as store:
        made = await store.sessions.create("lent", "ada")
    pong = client.ping()
    assert (await pong if asyncio.iscoroutine(pong) or hasattr(pong, "__await__") else pong) is True
    with redis.Redis(port=shared_server.port, db=3) as third:
        assert third.exists(f"session:{{lent:ada}}:{made.key.session}") == 1
    if kind is redis.Redis:
        client.close()
    else:
        await client.aclose()


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis])
async def test_a_lent_client_lends_its_tls_and_its_trust(tls_server: Server, kind: type) -> None:
    address = {"host": "localhost", "port": tls_server.port, "password": tls_server.password}
    trust = {"ssl": True, "ssl_ca_certs": str(tls_server.tls / "ca.crt")}
    for client in (kind(**address, **trust), kind.from_url(tls_server.url)):
        async with sojourn.open(client) as store:
            assert store.where == f"rediss://localhost:{tls_server.port}"
            made = await store.sessions.create("lent", "ada")
            assert await store.sessions.get(made.key) == made
    async with sojourn.open(kind(**address, ssl=True)) as store:
        with pytest.raises(ConfigurationError, match="certificate"):
            await store.ping()
    async with sojourn.open(kind(**address, ssl=True, ssl_cert_reqs="none")) as store:
        await store.ping()


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis])
async def test_a_lent_client_lends_all_that_reaches_the_server(
    tls_server: Server, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves out, a proxy or a policy may insist on."""
    folder = str(tls_server.tls)
    options = {"ssl_min_version": 771, "ssl_ciphers": "ECDHE+AESGCM", "ssl_ca_path": folder}
    lent: dict[str, Any] = {name: value for name, value in options.items() if name in TLS}
    made: list[dict[str, object]] = []
    connection = redis.asyncio.connection.SSLConnection
    create = connection.__init__
    monkeypatch.setattr(
        connection,
        "__init__",
        lambda self, **options: (made.append(options), create(self, **options))[1],
    )
    if "driver_info" in inspect.signature(kind).parameters:  # not in the oldest redis-py
        lent["driver_info"] = None
    async with sojourn.open(
        kind(
            host="localhost",
            port=tls_server.port,
            password=tls_server.password,
            ssl=True,
            ssl_ca_certs=str(tls_server.tls / "ca.crt"),
            **lent,
        )
    ) as store:
        await store.ping()
    assert made
    for options in made:
        assert options.items() >= lent.items()


OURS = frozenset(
    {
        *("decode_responses", "encoder_class", "legacy_responses", "parser", "parser_class"),
        *("himport_registry", "protocol", "socket_read_size"),  # how replies are read
        *("retry", "retry_on_error", "retry_on_timeout", "health_check_interval"),
        *("socket_timeout", "socket_connect_timeout"),
        *("event_dispatcher", "oss_cluster_maint_notifications_handler", "orig_host_address"),
        *("maint_notifications_config", "maint_notifications_pool_handler"),
        *("maintenance_notification_hash", "maintenance_state"),  # pushed over RESP3
        *("orig_socket_connect_timeout", "orig_socket_timeout"),
    }
)
"""What Sojourn decides itself for connections of a lent client."""


@pytest.mark.parametrize(
    "kind",
    [
        redis.asyncio.connection.Connection,
        redis.asyncio.connection.SSLConnection,
        redis.asyncio.connection.UnixDomainSocketConnection,
    ],
)
def test_every_option_of_a_connection_is_lent_or_decided(kind: type) -> None:
    """A newer redis-py may have more: decide what becomes of it."""
    of_all = (inspect.signature(each.__init__).parameters for each in kind.__mro__)
    names = {name for parameters in of_all for name in parameters} - {"self", "args", "kwargs"}
    assert names - KEPT - TLS - OURS == set()


async def test_what_a_lent_client_does_on_connecting_is_done(server: Server) -> None:
    """As the logins of cloud services do."""
    server.ask("ACL", "SETUSER", "default", "resetpass", ">é")
    seen: list[object] = []

    async def login(connection: Any) -> None:
        seen.append(connection)
        connection._parser.on_connect(connection)  # as those of Google's and Amazon's do
        await connection.send_command("AUTH", "default", "é".encode(), check_health=False)
        await connection.read_response()

    client = redis.asyncio.Redis(port=server.port, redis_connect_func=login)
    async with sojourn.open(client) as store:
        await store.ping()
    assert seen
    await client.aclose()
    plain = redis.Redis(port=server.port, redis_connect_func=lambda _: None)
    with pytest.raises(ConfigurationError, match="redis_connect_func"):
        sojourn.open(plain)


async def test_a_lent_client_lends_the_encoding_of_its_password(server: Server) -> None:
    with server.client() as direct:
        direct.execute_command(
            "ACL", "SETUSER", "latin", "on", ">é".encode("latin-1"), "~*", "+@all"
        )
    client = redis.asyncio.Redis(
        port=server.port, username="latin", password="é", encoding="latin-1"
    )
    assert await client.ping()
    async with sojourn.open(client) as store:
        await store.ping()
        made = await store.sessions.create("é", "ü", state={"ß": "ö"})
        assert await store.sessions.get(made.key) == made
    await client.aclose()
    async with sojourn.open(server.url) as store:
        assert await store.sessions.get(made.key) == made


def test_a_check_of_tls_that_cannot_be_kept_is_not_dropped() -> None:
    with pytest.raises(ConfigurationError, match="ssl_validate_ocsp"):
        sojourn.open(redis.Redis(ssl=True, ssl_validate_ocsp=True))


def test_what_cannot_be_lent_is_refused() -> None:
    for other, name in ((None, "NoneType"), (6379, "int"), (object(), "object")):
        with pytest.raises(ConfigurationError, match=rf"takes a URL as text.* not {name}\."):
            sojourn.open(other)  # type: ignore[arg-type]
    pool = redis.sentinel.SentinelConnectionPool("m", redis.sentinel.Sentinel([("h", 1)]))
    with pytest.raises(ConfigurationError, match="lent"):
        sojourn.open(redis.Redis(connection_pool=pool))


async def test_a_server_that_wants_a_password(tmp_path: Path) -> None:
    server = Server(tmp_path, any_binary(), password="right").start()
    try:
        for secret in ("", ":wrong@"):
            async with sojourn.open(f"redis://{secret}127.0.0.1:{server.port}") as store:
                with pytest.raises(AccessDenied, match="password") as caught:
                    await store.ping()
                assert "wrong" not in str(caught.value)
        async with sojourn.open(server.url) as store:
            await store.ping()
    finally:
        server.close()


async def test_a_database_that_is_not_there(shared_server: Server) -> None:
    async with sojourn.open(f"{shared_server.url}/9999") as store:
        with pytest.raises(ConfigurationError, match=r"no database of that number.* raise"):
            await store.ping()


async def test_a_server_that_is_read_only_out_of_memory_or_busy(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        made = await store.sessions.create("a", "u")
        with server.client() as client:
            client.config_set("maxmemory", "1mb")
            with pytest.raises(sojourn.ServerOutOfMemory, match="maxmemory"):
                await store.sessions.append(made.key, Event(author="a", payload="x" * 3_000_000))
            client.config_set("maxmemory", "0")
            client.replicaof("127.0.0.1", "1")
            # Or: the last sending had no reply when time was up.
            refused = (sojourn.ServerReadOnly, sojourn.OutcomeUnknown)
            with pytest.raises(refused, match=r"primary|read only"):
                await store.sessions.append(made.key, Event(author="a", payload=1))
            client.replicaof("NO", "ONE")
        read = await store.sessions.get(made.key)
        assert read is not None
        assert (read.length, read.version) == (0, 1)


async def test_a_port_that_speaks_something_else() -> None:
    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    played = await asyncio.start_server(http, "127.0.0.1", 0)
    port = played.sockets[0].getsockname()[1]
    async with sojourn.open(f"redis://127.0.0.1:{port}", operation_timeout=0.3) as store:
        with pytest.raises(sojourn.SojournError):
            await store.sessions.get(SessionKey.of("a", "b", "c"))
    played.close()


async def test_a_host_that_does_not_answer_at_all() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    played = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = played.sockets[0].getsockname()[1]
    url = f"redis://127.0.0.1:{port}"
    async with sojourn.open(url, connect_timeout=0.1, operation_timeout=0.3) as store:
        with pytest.raises(Unavailable, match="within"):
            await store.ping()
    played.close()


@pytest.mark.parametrize("form", ["{}", "{}+cluster"])
async def test_tls_to_a_server_without_it_is_told_at_once(shared_server: Server, form: str) -> None:
    url = f"{form.format('rediss')}://127.0.0.1:{shared_server.port}"
    async with sojourn.open(url, operation_timeout=30) as store:
        with pytest.raises(ConfigurationError, match="does not speak TLS"):
            async with asyncio.timeout(20):
                await store.ping()


async def test_a_server_with_tls_is_told_at_once_to_who_speaks_none(tls_server: Server) -> None:
    urls = [f"redis{form}://:x@127.0.0.1:{tls_server.port}" for form in ("", "+cluster")]
    for url in (*urls, f"redis+sentinel://127.0.0.1:{tls_server.port}/mymaster"):
        async with sojourn.open(url, operation_timeout=30) as store:
            with pytest.raises(ConfigurationError, match=r"speaks TLS only.*rediss"):
                async with asyncio.timeout(20):
                    await store.ping()


async def test_whoever_meets_silence_by_tls_is_told_what_to_check() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    played = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"rediss://127.0.0.1:{played.sockets[0].getsockname()[1]}"
    async with sojourn.open(url, operation_timeout=0.5, connect_timeout=0.4) as store:
        with pytest.raises(Unavailable, match="speaks TLS there"):
            await store.ping()
    played.close()
