"""URLs of several servers, and what is refused before anything is sent."""

from __future__ import annotations

import pytest

import sojourn
from sojourn import ConfigurationError
from sojourn.engine.address import Address, parse


def test_a_sentinel_url_names_hosts_primary_and_database() -> None:
    found = parse("redis+sentinel://ada:s%40cret@one:1,two,[::1]:3/mymaster/2?sentinel_password=x")
    assert found.addresses == (Address("one", 1), Address("two", 26379), Address("::1", 3))
    assert found.master == "mymaster"
    assert found.options["username"] == "ada"
    assert found.options["password"] == "s@cret"
    assert found.options["db"] == 2
    assert found.sentinel == {"password": "x"}
    assert found.where == "redis+sentinel://one:1,two:26379,[::1]:3/mymaster/2"


def test_a_cluster_url_names_nodes() -> None:
    found = parse("rediss+cluster://:secret@one:1,two/?ssl_ca_certs=/ca.crt")
    assert found.addresses == (Address("one", 1), Address("two", 6379))
    assert found.options["ssl_ca_certs"] == "/ca.crt"
    assert found.where == "rediss+cluster://one:1,two:6379"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+sentinel://one:1", "names no primary"),
        ("redis+sentinel:one:1/mymaster", "two slashes"),
        ("redis+sentinel://one:1,/mymaster", "no host:port"),
        ("redis+sentinel://one:x/mymaster", "no host:port"),
        ("redis+sentinel://one:1/mymaster/a", "must be a number"),
        ("redis+cluster://one:1/3", "no databases"),
        ("redis+cluster://", "no host:port"),
        ("redis+cluster://one:99999", "no host:port"),
        ("redis+cluster://one?max_connections=3", "max_connections"),
        ("redis+ring://one", "URL scheme"),
        ("unix+cluster:///x", "URL scheme"),
    ],
)
def test_a_wrong_url_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        sojourn.open(url)


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("valkey://one", "redis"),
        ("valkeys://one", "rediss"),
        ("redis-sentinel://one/mymaster", "redis[+]sentinel"),
        ("sentinel://one:26379;sentinel://two:26379", "redis[+]sentinel"),
        ("rediscluster://one", "redis[+]cluster"),
        ("redis+socket:///run/redis.sock?virtual_host=3", "unix"),
        ("redis+ssl://one", "rediss"),
    ],
)
def test_the_scheme_of_another_program_is_translated(url: str, ours: str) -> None:
    with pytest.raises(ConfigurationError, match=f"is written {ours} here"):
        sojourn.open(url)


@pytest.mark.parametrize("url", ["one:6379", "localhost", "s3cret:one", "10.0.0.1:6379/0"])
def test_a_url_without_a_scheme_is_not_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="begins with no scheme") as caught:
        sojourn.open(url)
    assert url.partition(":")[0] not in str(caught.value).replace("redis://localhost", "")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("protocol=3", "RESP2"),
        ("decode_responses=True", "leave it out"),
        ("max_connections=10", "share two connections"),
        ("retry_on_timeout=True", "operation_timeout"),
        ("socket_timeout=5", "operation_timeout=SECONDS"),
        ("ssl=true", "rediss://"),
        ("skip_verify=true", "ssl_cert_reqs=none"),
    ],
)
def test_an_option_of_another_program_is_translated(option: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        sojourn.open(f"redis://one?{option}")


@pytest.mark.parametrize("url", ["REDIS://one:1", " redis://one:1", "redis://one:1?db=0\n"])
def test_a_url_is_read_as_people_write_it(url: str) -> None:
    assert sojourn.open(url).where == "redis://one:1"


def test_no_password_is_ever_shown() -> None:
    for scheme in ("redis+sentinel", "redis+cluster"):
        path = "/mymaster" if scheme == "redis+sentinel" else ""
        store = sojourn.open(f"{scheme}://ada:hidden@one:1{path}")
        assert "hidden" not in store.where
        assert "ada" not in store.where


@pytest.mark.parametrize("around", ["{}\n", " {}", "\t{}\r\n"])
def test_what_files_and_secrets_add_to_a_url_is_left_out(around: str) -> None:
    for url in ("redis://one:1/2", "REDISS://one:1", "redis+cluster://one:1,two:2", "Memory://"):
        scheme, _, rest = url.partition("://")
        where = sojourn.open(around.format(url)).where
        assert where == sojourn.open(f"{scheme.lower()}://{rest}").where
        assert where.startswith(f"{scheme.lower()}://")


BROKEN = ["hid/den", "hid?den", "hid#den", "hid[den", "h@hid#den", "h@hid?den", "h@hid?den=3"]


@pytest.mark.parametrize("password", BROKEN)
@pytest.mark.parametrize("scheme", ["redis", "redis+sentinel", "redis+cluster"])
def test_a_password_that_breaks_the_url_is_not_shown(scheme: str, password: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        sojourn.open(f"{scheme}://ada:{password}@one:1/mymaster")
    assert "hid" not in str(caught.value)
    assert "den" not in str(caught.value)


def test_tls_checks_the_name_of_the_host_with_every_redis_py() -> None:
    assert parse("rediss://one").options["ssl_check_hostname"] is True
    assert parse("rediss+cluster://one").options["ssl_check_hostname"] is True
    assert "ssl_check_hostname" not in parse("rediss://one?ssl_cert_reqs=none").options
    assert "ssl_check_hostname" not in parse("redis://one").options


@pytest.mark.parametrize("told", ["none", "CERT_NONE", "cert_none", "None"])
def test_certificates_need_not_be_checked_in_any_spelling(told: str) -> None:
    """Celery, Heroku and Python's own ssl write CERT_NONE."""
    for url in ("rediss://one", "rediss+cluster://one", "rediss+sentinel://one/mymaster"):
        options = parse(f"{url}?ssl_cert_reqs={told}").options
        assert options["ssl_cert_reqs"] == "none"
        assert "ssl_check_hostname" not in options
    assert parse("rediss://one?ssl_cert_reqs=CERT_REQUIRED").options["ssl_check_hostname"] is True


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rediss://one?ssl_cert_reqs=CERT_MAYBE", "none, optional or required"),
        ("rediss://one?ssl_nonsense=1", "ssl_nonsense"),
        ("rediss://one?ssl_min_version=1", "ssl_min_version"),
        ("rediss://one?ssl_min_version=TLSv1_2", "ssl_min_version"),
        ("rediss://one?ssl_ciphers=NONSENSE", "ssl_ciphers"),
        ("rediss://one?ssl_check_hostname=1&ssl_include_verify_flags=no_such", "flag"),
        ("redis://one?ssl_cert_reqs=none", "rediss://"),
        ("redis+cluster://one?ssl_ca_certs=x", "rediss://"),
        ("unix:///one?ssl_ca_certs=x", "rediss://"),
        ("redis://one?ssl=true", "rediss://"),
        ("redis://one?tls=true", "rediss://"),
        ("rediss://one?skip_verify=true", "ssl_cert_reqs=none"),
        ("redis://one?socket_timeout=5", "operation_timeout"),
        ("redis://one?socket_connect_timeout=5", "connect_timeout"),
        ("redis://one?global_keyprefix=x", "namespace"),
        ("redis://one?credential_provider=x", "credential_provider"),
        ("redis://one?socket_keepalive_options=x", "socket_keepalive_options"),
        ("redis://one?path=/x", "path"),
        ("unix:///one?host=x", "host"),
        ("redis://?port=x", "port"),
    ],
)
def test_options_are_checked_at_open(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        sojourn.open(url)
