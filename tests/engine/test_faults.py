"""No exception of redis-py, asyncio or the system leaves Sojourn."""

from __future__ import annotations

import errno
import inspect
import socket
import ssl

import pytest
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.exceptions
import redis.sentinel

import sojourn
from sojourn import errors
from sojourn.engine.faults import translate


def tree(root: type[BaseException]) -> set[type[BaseException]]:
    found = {root}
    for child in root.__subclasses__():
        found |= tree(child)
    return found


def specimen(kind: type[BaseException]) -> BaseException:
    for arguments in (("boom",), ("1 127.0.0.1:7000",), (), ("boom", "x")):
        try:
            return kind(*arguments)
        except (TypeError, ValueError):
            continue
    raise AssertionError(f"cannot make a {kind}")


DRIVER = sorted(
    {
        kind
        for root in (redis.exceptions.RedisError, redis.exceptions.RedisClusterException)
        for kind in tree(root)
    }
    | {
        kind
        for _, kind in inspect.getmembers(redis.exceptions, inspect.isclass)
        if issubclass(kind, Exception)
    },
    key=lambda kind: (kind.__module__, kind.__qualname__),
)


@pytest.mark.parametrize("kind", DRIVER, ids=lambda kind: kind.__qualname__)
def test_every_exception_of_the_driver_becomes_ours(kind: type[BaseException]) -> None:
    ours = translate(specimen(kind), "redis://here:1")
    assert isinstance(ours, sojourn.SojournError)
    assert "redis://here:1" in str(ours)


@pytest.mark.parametrize("where", ["rediss://h:1", "rediss+sentinel://h:1/m", "redis://h:1"])
def test_what_is_out_of_reach_says_what_to_check(where: str) -> None:
    said = str(translate(redis.exceptions.ConnectionError("wrong version number"), where))
    assert ("speaks TLS there" in said) == where.startswith("rediss")
    assert "Check that the server runs" in said


@pytest.mark.parametrize(
    "error",
    [OSError(111, "refused"), TimeoutError(), ConnectionResetError(), EOFError(), KeyError()],
)
def test_every_exception_of_the_system_becomes_ours(error: Exception) -> None:
    assert isinstance(translate(error, "x"), sojourn.SojournError)


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("LOADING Redis is loading the dataset in memory", errors.ServerBusy),
        ("BUSY Redis is busy running a script", errors.ServerBusy),
        ("CLUSTERDOWN The cluster is down", errors.ServerBusy),
        ("TRYAGAIN Multiple keys request during rehashing of slot", errors.ServerBusy),
        ("MASTERDOWN Link with MASTER is down", errors.ServerBusy),
        ("ERR max number of clients reached", errors.ServerBusy),
        ("READONLY You can't write against a read only replica.", errors.ServerReadOnly),
        ("MISCONF Redis is configured to save RDB snapshots", errors.ServerReadOnly),
        ("NOREPLICAS Not enough good replicas to write.", errors.ServerReadOnly),
        ("OOM command not allowed when used memory > 'maxmemory'.", errors.ServerOutOfMemory),
        (
            "ERR Error running script (call to f_5a): @user_script:9: -OOM command not allowed",
            errors.ServerOutOfMemory,
        ),
        ("NOAUTH Authentication required.", errors.AccessDenied),
        ("WRONGPASS invalid username-password pair", errors.AccessDenied),
        ("NOPERM this user has no permissions to run the 'get' command", errors.AccessDenied),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", errors.CorruptRecord),
        ("ERR unknown command 'ZMSCORE', with args beginning with: ", errors.UnsupportedServer),
        (
            "ERR Error running script (call to f_5a): @user_script:9: Unknown Redis command called "
            "from Lua script",
            errors.UnsupportedServer,
        ),
        ("ERR wrong number of arguments", errors.ServerFault),
        ("ERR value BUSYNESS is not an integer", errors.ServerFault),
    ],
)
def test_error_replies_by_their_code(text: str, ours: type[Exception]) -> None:
    """As text, and as redis-py's parser would hand it on."""
    assert type(translate(redis.exceptions.ResponseError(text), "x")) is ours
    parser = redis.asyncio.connection.Connection()._parser
    parsed = parser.parse_error(text)
    assert type(translate(parsed, "x")) is ours


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        TypeError("unexpected keyword"),
        redis.exceptions.DataError("Invalid input"),
        redis.exceptions.RedisError("Invalid SSL Certificate Requirements Flag: maybe"),
        ValueError("the OOM of a codec"),
    ],
)
def test_what_failed_here_is_no_answer_of_the_server(error: Exception) -> None:
    told = str(translate(error, "redis://h"))
    assert "in this process, not on the server" in told
    assert type(error).__name__ in told
    assert "answered" not in told


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EMFILE, "ulimit"),
        (errno.EADDRNOTAVAIL, "not to blame"),
        (errno.EACCES, "rights of the socket"),
        (errno.EPERM, "may not connect"),
        (errno.ENETUNREACH, "no way to"),
        (errno.EHOSTUNREACH, "no way to"),
    ],
)
def test_a_lack_on_this_side_does_not_blame_the_server(number: int, words: str) -> None:
    error = redis.exceptions.ConnectionError("Error while connecting")
    error.__cause__ = OSError(number, "boom")
    told = str(translate(error, "unix:///s"))
    assert words in told
    assert "Check that the server runs" not in told


def test_a_name_without_an_address_does_not_blame_the_server() -> None:
    error = redis.exceptions.ConnectionError("Error -2 connecting to cache:6379")
    error.__cause__ = socket.gaierror(-2, "Name or service not known")
    told = str(translate(error, "redis://cache:6379"))
    assert "DNS" in told
    assert "Check that the server runs" not in told


def test_what_a_command_carried_stays_out_of_the_message() -> None:
    text = "unknown command 'HGETALL', with args beginning with: 'session:{shop:ada}:8e42' "
    told = str(translate(redis.exceptions.ResponseError(text), "x"))
    assert "HGETALL" in told
    assert "ada" not in told


def test_a_certificate_error_is_a_matter_of_configuration() -> None:
    error = redis.exceptions.ConnectionError("tls")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    assert type(translate(error, "x")) is errors.ConfigurationError


def test_the_tree_is_exported_whole() -> None:
    ours = {
        kind.__name__
        for kind in tree(errors.SojournError)
        if not kind.__module__.startswith(
            "sojourn.integrations."
        )  # those stay inside, or are ADK's
    }
    assert ours == set(errors.__all__)
    assert set(errors.__all__) <= set(sojourn.__all__)
    for name in errors.__all__:
        assert name in errors.__doc__
