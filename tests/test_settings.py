"""`sojourn.Settings`: every variable, which wins, what is refused, and what is never told."""

from __future__ import annotations

import inspect
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

import sojourn
from extent import examples
from servers import Server, any_binary
from sojourn import ConfigurationError
from sojourn.engine.address import parse
from sojourn.keys import KeyRing
from sojourn.options import Options
from sojourn.settings import Settings
from sojourn.settings import settings as reading

ROOT = Path(__file__).parents[1]
READ = hypothesis(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

SAID: dict[str, tuple[str, str, Any]] = {
    "SOJOURN_URL": ("redis://one:1/2", "url", "redis://one:1/2"),
    "SOJOURN_NAMESPACE": ("shop", "namespace", "shop"),
    "SOJOURN_SESSION_TTL": ("60", "session_ttl", 60.0),
    "SOJOURN_STATE_TTL": ("none", "state_ttl", None),
    "SOJOURN_MEMORY_TTL": ("60", "memory_ttl", 60.0),
    "SOJOURN_KNOWLEDGE_TTL": ("None", "knowledge_ttl", None),
    "SOJOURN_HISTORY_TTL": ("0.5", "history_ttl", 0.5),
    "SOJOURN_ARTIFACT_TTL": ("60", "artifact_ttl", 60.0),
    "SOJOURN_THREAD_TTL": ("60", "thread_ttl", 60.0),
    "SOJOURN_MAX_ARTIFACT_BYTES": ("100", "max_artifact_bytes", 100),
    "SOJOURN_MAX_SESSIONS": ("100", "max_sessions", 100),
    "SOJOURN_STRICT_IDS": ("true", "strict_ids", True),
    "SOJOURN_MAX_EVENT_BYTES": ("100", "max_event_bytes", 100),
    "SOJOURN_MAX_STATE_BYTES": ("100", "max_state_bytes", 100),
    "SOJOURN_MAX_EVENTS": ("none", "max_events", None),
    "SOJOURN_NEAR_CACHE_BYTES": ("0", "near_cache_bytes", 0),
    "SOJOURN_CONNECT_TIMEOUT": ("0.5", "connect_timeout", 0.5),
    "SOJOURN_OPERATION_TIMEOUT": ("5", "operation_timeout", 5.0),
    "SOJOURN_TRANSFER_TIMEOUT": ("5", "transfer_timeout", 5.0),
    "SOJOURN_HEALTH_CHECK_INTERVAL": ("5", "health_check_interval", 5.0),
    "SOJOURN_DURABILITY": ("replicas", "durability", "replicas"),
    "SOJOURN_REPLICAS": ("1", "replicas", 1),
    "SOJOURN_ON_OUTAGE": ("buffer", "on_outage", "buffer"),
    "SOJOURN_JOURNAL": ("/tmp/journal", "journal", "/tmp/journal"),
    "SOJOURN_BUFFER_CALLS": ("5", "buffer_calls", 5),
    "SOJOURN_BUFFER_BYTES": ("5", "buffer_bytes", 5),
    "SOJOURN_BUFFER_SECONDS": ("5", "buffer_seconds", 5.0),
    "SOJOURN_NOTICES": ("true", "notices", True),
    "SOJOURN_KEYS": ("/etc/keys", "keys", "/etc/keys"),
    "SOJOURN_KEY_STORE": ("file:/var/keys", "key_store", "file:/var/keys"),
    "SOJOURN_KEY_CACHE_SECONDS": ("5", "key_cache_seconds", 5.0),
    "SOJOURN_COMPRESSION": ("zstd", "compression", "zstd"),
    "SOJOURN_SERIALIZER": ("msgpack", "serializer", "msgpack"),
    "REDIS_ENABLED": ("false", "url", "memory://"),
    "REDIS_URL": ("redis://one:1/2", "url", "redis://one:1/2"),
    "REDIS_HOST": ("one", "url", "redis://one:6379/0"),
    "REDIS_PORT": ("1", "url", "redis://localhost:1/0"),
    "REDIS_DB": ("3", "url", "redis://localhost:6379/3"),
    "REDIS_PASSWORD": (" a@:/?#%$ä", "url", "redis://:%20a%40%3A%2F%3F%23%25%24%C3%A4@localhost:6379/0"),
    "REDIS_FALLBACK_TO_MEMORY": ("true", "on_outage", "buffer"),
    "REDIS_TTL_SECONDS": ("604800", "session_ttl", 604800.0),
    "REDIS_TTL": ("3600", "session_ttl", 3600.0),
    "MEMORY_TTL_HOURS": ("72", "memory_ttl", 259200.0),
    "KNOWLEDGE_TTL_HOURS": ("168", "knowledge_ttl", 604800.0),
    "HISTORY_TTL_HOURS": ("0.5", "history_ttl", 1800.0),
    "REDIS_MAX_CONNECTIONS": ("10", "", None),
    "REDIS_RETRY_ATTEMPTS": ("3", "", None),
}  # fmt: skip
"""A variable, what it says, and what that means: the URL, or an argument of `open`."""

NEEDS = {
    "SOJOURN_JOURNAL": {"SOJOURN_ON_OUTAGE": "buffer"},
    "SOJOURN_KEY_STORE": {"SOJOURN_KEYS": "/etc/keys"},
}

Read = Callable[..., Settings]


@pytest.fixture
def read(clean_environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Read]:
    """Settings of the variables that are given, and of no others."""
    monkeypatch.setattr(reading, "_told", set[str]())

    def read(**variables: str) -> Settings:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            return Settings()

    return read


def refusal(read: Read, **variables: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        read(**variables)
    assert refused.value.__context__ is refused.value.__cause__ is None
    return str(refused.value)


# ── what each variable means ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("variable", SAID)
def test_a_variable_means_what_the_table_says(read: Read, variable: str) -> None:
    value, where, meaning = SAID[variable]

    found = read(**{variable: value, **NEEDS.get(variable, {})})

    if where == "url":
        assert (found.url, found.said_by) == (meaning, variable)
    elif where:
        assert found._read(where) == meaning
        assert found.arguments.get(where, meaning) == meaning
        assert (where in found.arguments) == (where in Options._fields)
    else:
        assert (found.arguments, found.url) == ({}, "embedded:.sojourn")
        assert variable in found.without_effect


def test_the_table_has_every_variable() -> None:
    assert {name.upper() for name in Settings.model_fields} == set(SAID)


def test_every_argument_of_open_has_a_variable_with_its_default() -> None:
    arguments = dict(inspect.signature(sojourn.open).parameters)
    del arguments["credential_provider"]  # no text can be one
    ours = {name for name in Settings.model_fields if name.startswith("sojourn_")}
    assert {f"sojourn_{name}" for name in arguments} == ours
    for name, argument in arguments.items():
        if name != "url":
            assert Settings.model_fields[f"sojourn_{name}"].default == argument.default, name


def test_nothing_set_means_nothing_said(read: Read) -> None:
    found = read()
    assert (found.url, found.said_by, found.arguments) == ("embedded:.sojourn", "", {})
    assert repr(found) == "Settings()"


@pytest.mark.parametrize("variable", SAID)
def test_an_empty_variable_is_not_set(read: Read, variable: str) -> None:
    found = read(**{variable: ""})
    assert (found.url, found.arguments, found.without_effect) == ("embedded:.sojourn", {}, {})


def test_all_of_a_documents_variables_together(read: Read) -> None:
    found = read(
        REDIS_ENABLED="true",
        REDIS_URL="redis://localhost:6379",
        REDIS_DB="0",
        REDIS_PASSWORD="your_password_here",
        REDIS_MAX_CONNECTIONS="10",
        REDIS_RETRY_ATTEMPTS="3",
        REDIS_FALLBACK_TO_MEMORY="true",
        MEMORY_TTL_HOURS="72",
        KNOWLEDGE_TTL_HOURS="168",
        HISTORY_TTL_HOURS="720",
    )
    assert found.url == "redis://:your_password_here@localhost:6379"
    assert found.arguments.items() >= {"on_outage": "buffer"}.items()
    assert set(found.without_effect) == {"REDIS_MAX_CONNECTIONS", "REDIS_RETRY_ATTEMPTS"}


def test_settings_are_frozen(read: Read) -> None:
    with pytest.raises(ValueError, match="frozen"):
        read().redis_db = 3  # type: ignore[misc]


# ── which of several wins ──────────────────────────────────────────────────────────────────────


def test_the_most_specific_lifetime_wins(read: Read) -> None:
    several = {"REDIS_TTL": "1", "REDIS_TTL_SECONDS": "2", "SOJOURN_SESSION_TTL": "3"}
    while several:
        found = read(**several)
        _, value = several.popitem()
        assert found.arguments == {"session_ttl": float(value)}
        assert set(found.without_effect) == set(several)
    assert read(REDIS_TTL_SECONDS="none", REDIS_TTL="5").arguments == {"session_ttl": None}


def test_the_most_specific_server_wins(read: Read) -> None:
    several = {
        "REDIS_HOST": "three",
        "REDIS_URL": "redis://two:2",
        "REDIS_ENABLED": "false",
        "SOJOURN_URL": "redis://one:1",
    }
    for url in ("redis://one:1", "memory://", "redis://two:2", "redis://three:6379/0"):
        found = read(**several)
        name, _ = several.popitem()
        assert (found.url, found.said_by) == (url, name)
        if name.endswith("_URL"):
            assert set(found.without_effect) == set(several)


def test_an_outage_is_met_as_the_more_specific_says(read: Read) -> None:
    both = {"REDIS_FALLBACK_TO_MEMORY": "true", "SOJOURN_ON_OUTAGE": "raise"}
    assert read(**both).arguments == {"on_outage": "raise"}
    assert read(REDIS_FALLBACK_TO_MEMORY="no").arguments == {"on_outage": "raise"}


@pytest.mark.parametrize(
    ("url", "whole", "spare"),
    [
        ("redis://h", "redis://:p%40@h?db=3", ()),
        ("redis://u@h:1/?client_name=x", "redis://u:p%40@h:1/?client_name=x&db=3", ()),
        ("redis://u:own@h/2", "redis://u:own@h/2", ("REDIS_PASSWORD", "REDIS_DB")),
        ("redis://h/0?password=own", "redis://h/0?password=own", ("REDIS_PASSWORD", "REDIS_DB")),
        ("unix:///a.sock", "unix://:p%40@/a.sock?db=3", ()),
        ("redis+sentinel://a:1,b:2/m", "redis+sentinel://:p%40@a:1,b:2/m?db=3", ()),
        ("redis+sentinel://a:1/m/2", "redis+sentinel://:p%40@a:1/m/2", ("REDIS_DB",)),
        ("redis://h?namespace=n", "redis://:p%40@h?namespace=n&db=3", ()),
        ("embedded:x", "embedded:x", ("REDIS_PASSWORD", "REDIS_DB")),
        ("memory://", "memory://", ("REDIS_PASSWORD", "REDIS_DB")),
    ],
)
def test_a_url_is_completed_where_it_says_nothing(
    read: Read, url: str, whole: str, spare: tuple[str, ...]
) -> None:
    found = read(REDIS_URL=url, REDIS_PASSWORD="p@", REDIS_DB="3")
    assert found.url == whole
    assert set(found.without_effect) == set(spare)
    alone = read(SOJOURN_URL=url, REDIS_PASSWORD="p@", REDIS_DB="3")
    assert alone.url == url


def test_a_cluster_has_no_databases(read: Read) -> None:
    assert read(REDIS_URL="redis+cluster://a:1", REDIS_DB="0").url == "redis+cluster://a:1"
    assert "REDIS_DB" in refusal(read, REDIS_URL="redis+cluster://a:1", REDIS_DB="1")


def test_memory_needs_no_replicas(read: Read) -> None:
    found = read(REDIS_ENABLED="false", SOJOURN_DURABILITY="replicas", SOJOURN_REPLICAS="2")
    sojourn.open(found.url, **found.arguments)


def test_what_kubernetes_sets_is_no_port(read: Read) -> None:
    assert read(REDIS_PORT="tcp://10.0.0.1:6379").said_by == ""
    found = read(REDIS_HOST="redis", REDIS_PORT="tcp://10.0.0.1:6379")
    assert found.url == "redis://redis:6379/0"


# ── what is wrong ──────────────────────────────────────────────────────────────────────────────

_WRONG = ("-1", "soon", "1e99", "nan", "inf", "3600 # an hour")
WRONG: dict[str, tuple[str, ...]] = {
    **{name: _WRONG for name in SAID if "TIMEOUT" in name},
    **{name: (*_WRONG, "20000000000") for name in SAID if "TTL" in name},
    **{name: (*_WRONG, "1.5") for name in SAID if "BYTES" in name or "MAX" in name},
    "SOJOURN_URL": ("hunter2", "http://hunter2", "redis://h:hunter2", "memory://x", ":", "redis:h"),
    "REDIS_URL": ("hunter2", "redis://h/hunter2", "redis://:hunter2?x@h", "redis://:?hunter2=x@h",
                  "redis://:?session_ttl=hunter2@h", "redis://h?nonsense=1", "redis://:hunter2\udcff@h"),
    "SOJOURN_NAMESPACE": ("a:b", "session", "ä"),
    "SOJOURN_HEALTH_CHECK_INTERVAL": _WRONG,
    "SOJOURN_BUFFER_SECONDS": _WRONG,
    "SOJOURN_BUFFER_CALLS": (*_WRONG, "0"),
    "SOJOURN_DURABILITY": ("Primary", "both"),
    "SOJOURN_REPLICAS": (*_WRONG, "0", "2"),
    "SOJOURN_ON_OUTAGE": ("memory",),
    "SOJOURN_JOURNAL": ("/tmp/journal",),
    "SOJOURN_NOTICES": ("maybe", "2"),
    "SOJOURN_KEYS": (),
    "SOJOURN_KEY_CACHE_SECONDS": (*_WRONG, "0"),
    "SOJOURN_KEY_STORE": ("file:/var/keys",),
    "SOJOURN_COMPRESSION": ("gzip", "true"),
    "SOJOURN_SERIALIZER": ("pickle",),
    "SOJOURN_STRICT_IDS": ("maybe", "2"),
    "REDIS_ENABLED": ("maybe", "2"),
    "REDIS_FALLBACK_TO_MEMORY": ("maybe",),
    "REDIS_HOST": ("redis://h", "h:6379", "a b", "u@h", "h/0", "[h]", "h?", "::1]", "a%2Fb", "h\n"),
    "REDIS_PORT": ("0", "65536", "6379.5", "http", "udp://1"),
    "REDIS_DB": ("-1", "one"),
    "REDIS_PASSWORD": ("hunter2\udcff",),
    "REDIS_RETRY_ATTEMPTS": _WRONG,
}  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "value"), [(name, value) for name in SAID for value in WRONG[name]]
)
def test_a_wrong_value_is_refused_by_name(read: Read, variable: str, value: str) -> None:
    said = refusal(read, **{variable: value})

    assert variable in said
    assert "hunter2" not in said
    assert value not in said or "URL" not in variable
    assert len(said) > len(variable) + 10


def test_every_wrong_variable_is_named_at_once(read: Read) -> None:
    said = refusal(read, REDIS_PORT="x", REDIS_TTL="x", SOJOURN_DURABILITY="x")
    assert "REDIS_PORT must be a port" in said
    assert "REDIS_TTL must be seconds" in said
    assert "SOJOURN_DURABILITY must be primary or replicas" in said


def test_options_in_the_url_count_too(read: Read) -> None:
    url = "redis://h?durability=replicas&on_outage=buffer"
    found = read(SOJOURN_URL=url, SOJOURN_REPLICAS="2", SOJOURN_JOURNAL="/tmp/j")
    assert found.arguments == {"replicas": 2, "journal": "/tmp/j"}
    assert "SOJOURN_URL" in refusal(read, SOJOURN_URL="redis://h?durability=both")
    assert "SOJOURN_URL" in refusal(read, SOJOURN_URL="redis://h?namespace=session")


@pytest.mark.parametrize(
    ("variables", "blamed", "spared"),
    [
        ({"REDIS_URL": "redis+cluster://a:1", "REDIS_DB": "1"}, "REDIS_DB", "REDIS_URL"),
        ({"SOJOURN_URL": "redis://h?replicas=2"}, "SOJOURN_URL", "SOJOURN_REPLICAS"),
        ({"REDIS_URL": "redis://h?journal=/tmp/j"}, "REDIS_URL", "SOJOURN_JOURNAL"),
        ({"SOJOURN_REPLICAS": "2", "REDIS_HOST": "h"}, "SOJOURN_REPLICAS", "REDIS_HOST"),
        ({"SOJOURN_URL": "redis://h?state_ttl=0", "SOJOURN_STATE_TTL": "9"}, "_URL", "_STATE"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_else(
    read: Read, variables: dict[str, str], blamed: str, spared: str
) -> None:
    said = refusal(read, **variables)
    assert blamed in said
    assert spared not in said


def test_a_url_that_overrules_a_variable_is_named(read: Read) -> None:
    said = refusal(
        read,
        SOJOURN_REPLICAS="2",
        SOJOURN_DURABILITY="replicas",
        SOJOURN_URL="redis://h?durability=primary",
    )
    assert said.endswith("belongs to durability=replicas, and SOJOURN_URL says otherwise.")
    assert said.startswith("SOJOURN_REPLICAS")


def test_a_value_that_has_its_form_and_no_meaning_is_refused_by_name(read: Read) -> None:
    with pytest.raises(ConfigurationError, match=r"^SOJOURN_NOTICES is wrong"):
        Settings(sojourn_notices=None, sojourn_session_ttl=60)


# ── secrets ────────────────────────────────────────────────────────────────────────────────────

PASSWORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@READ
@given(tail=PASSWORDS)
def test_a_secret_is_never_told(read: Read, caplog: pytest.LogCaptureFixture, tail: str) -> None:
    caplog.set_level(logging.DEBUG)
    secret = f"hunter2{tail}"
    for variables in (
        {"REDIS_PASSWORD": secret},
        {"REDIS_PASSWORD": secret, "REDIS_URL": "redis://ada@h", "REDIS_HOST": "h"},
        {"REDIS_PASSWORD": secret, "REDIS_PORT": "wrong"},
        {"REDIS_URL": f"redis://{secret}@h"},
        {"SOJOURN_URL": f"redis://ada:{secret}@h/0", "REDIS_PASSWORD": secret},
        {"SOJOURN_URL": f"redis+sentinel://:{secret}@h,i/m"},
        {"SOJOURN_URL": secret},
    ):
        told = ""
        try:
            found = read(**variables)
        except ConfigurationError as refused:
            told = str(refused)
        else:
            told = f"{found!r} {found} {found.model_dump()} {found.model_dump_json()}"
            told += f" {found.arguments} {found.without_effect}"
        assert "hunter2" not in told + caplog.text


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


HOSTS = ["127.0.0.1", "localhost", *(["::1", "[::1]"] if _has_ipv6() else [])]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("guarded"),
        any_binary(),
        ["--bind", "127.0.0.1", "-::1"],
        password="first",
    )
    yield server.start()
    server.close()


@hypothesis(READ, max_examples=examples(40))
@given(password=PASSWORDS, host=st.sampled_from(HOSTS))
def test_a_password_arrives_as_it_is(read: Read, guarded: Server, password: str, host: str) -> None:
    guarded.ask("CONFIG", "SET", "requirepass", password)
    guarded.password = password
    port = str(guarded.port)
    by_host = read(REDIS_HOST=host, REDIS_PORT=port, REDIS_PASSWORD=password)
    by_url = read(REDIS_URL=f"redis://127.0.0.1:{port}", REDIS_PASSWORD=password, REDIS_DB="1")
    for found in (by_host, by_url):
        with sojourn.sync.open(found.url) as store:
            store.ping()


@READ
@given(
    host=st.from_regex(r"\A[a-z0-9_.\-äß~+!=]{1,60}\Z")
    | st.ip_addresses().map(str)
    | st.ip_addresses(v=6).map(lambda ip: f"{ip}%eth0"),
    port=st.integers(1, 65535),
    db=st.integers(0, 99),
)
def test_a_host_arrives_as_it_is(read: Read, host: str, port: int, db: int) -> None:
    found = read(REDIS_HOST=host, REDIS_PORT=str(port), REDIS_DB=str(db))
    options = parse(found.url).options
    assert (options["host"], options["port"], options.get("db", 0)) == (host, port, db)


# ── files and the log ──────────────────────────────────────────────────────────────────────────


def test_a_file_is_read_only_when_it_is_named(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ".env"
    file.write_text(
        "# Redis\nREDIS_ENABLED=true\nREDIS_HOST=redis\nREDIS_DB=0\nREDIS_PASSWORD=\n"
        "REDIS_TTL=3600  # Session TTL in seconds (1 hour)\nOTHER=1\n"
    )
    assert read().said_by == ""
    found = read(SOJOURN_ENV_FILE=str(file))
    assert (found.url, found.arguments) == ("redis://redis:6379/0", {"session_ttl": 3600.0})
    assert read(SOJOURN_ENV_FILE=str(file), REDIS_HOST="other").url == "redis://other:6379/0"


def test_a_file_may_refer_to_the_environment(read: Read, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("REDIS_HOST=${REDIS_DB}.example\nREDIS_PASSWORD='a$b #c'\n")
    found = read(SOJOURN_ENV_FILE=str(tmp_path / "env"), REDIS_DB="3")
    assert found.url == "redis://:a%24b%20%23c@3.example:6379/3"


def test_a_file_that_cannot_be_read_is_refused(read: Read, tmp_path: Path) -> None:
    assert "SOJOURN_ENV_FILE" in refusal(read, SOJOURN_ENV_FILE=str(tmp_path / "missing"))
    assert "SOJOURN_ENV_FILE" in refusal(read, SOJOURN_ENV_FILE=str(tmp_path))
    (tmp_path / "bytes").write_bytes(b"REDIS_PASSWORD=\xff")
    said = refusal(read, SOJOURN_ENV_FILE=str(tmp_path / "bytes"))
    assert "SOJOURN_ENV_FILE" in said


def test_what_has_no_effect_is_told_once(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    several = {"REDIS_MAX_CONNECTIONS": "10", "REDIS_RETRY_ATTEMPTS": "3", "REDIS_HOST": "h"}
    for _ in range(3):
        read(**several, SOJOURN_URL="redis://one")
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert {level for level, _ in told} == {"INFO"}
    assert sorted(text.split()[0] for _, text in told) == sorted(several)
    assert any("no pool" in text for _, text in told)


def test_memory_is_told_once(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        assert read(REDIS_ENABLED="false").url == "memory://"
    assert len(caplog.records) == 1
    assert "REDIS_ENABLED" in caplog.text
    assert "memory" in caplog.text


def test_the_guide_is_up_to_date() -> None:
    subprocess.run([sys.executable, ROOT / "scripts/settings_table.py", "--check"], check=True)


async def test_open_takes_every_option(tmp_path: Path) -> None:
    KeyRing.new().save(tmp_path / "keys")
    options = Options()._asdict()
    others = {
        **{name: value + 1 for name, value in options.items() if type(value) in (int, float)},
        **{name: 7 for name, value in options.items() if value is None},
        **dict.fromkeys((name for name, value in options.items() if value is False), True),
        "namespace": "n",
        "durability": "replicas",
        "on_outage": "buffer",
        "journal": str(tmp_path),
        "keys": str(tmp_path / "keys"),
        "key_store": f"file:{tmp_path / 'wrapped'}",
        "compression": "zstd",
        "serializer": "msgpack",
    }
    assert {name for name, value in others.items() if value != options[name]} == options.keys()
    async with sojourn.open("redis://127.0.0.1:1", **others) as store:
        assert store.stores.options == Options(**others)
