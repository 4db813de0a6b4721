"""What a crash would cost: append-only file, snapshots, and whether they succeed."""

from __future__ import annotations

import shutil
from contextlib import suppress

import pytest
import redis
from doctor_kit import ADVICE, OK, PROBLEM, UNKNOWN, WARNING, examined, judged, read, until

from servers import redis_binary, valkey_binary
from sojourn.doctor.reading import Answers


def test_nothing_saved_is_a_problem(start) -> None:
    found = examined(start("--appendonly no --save ''").url)

    assert found["aof"].level is PROBLEM
    assert "CONFIG SET appendonly yes" in found["aof"].todo
    assert "appendfsync" not in found
    assert "aof-status" not in found


def test_snapshots_alone_lose_minutes(start) -> None:
    found = examined(start("--save 3600 1 300 100").url)

    assert found["aof"].level is WARNING
    assert "save 3600 1 300 100" in found["aof"].what
    assert "0 min ago" in found["aof"].what
    assert found["snapshots"].level is OK


def test_save_points_that_nobody_may_read_are_not_invented(start) -> None:
    found = examined(start("--save 3600 1 --rename-command CONFIG ''").url)

    assert found["aof"].level is WARNING
    assert "if there are any" in found["aof"].what


@pytest.mark.parametrize("binary", [redis_binary, valkey_binary])
def test_the_advice_on_aof_keeps_the_data_and_a_restart_would_not(start, binary) -> None:
    """`appendonly yes` in redis.conf and a restart: the log begins empty."""
    server = start(binary=binary())
    with server.client() as client:
        client.set("session", "worth keeping")
        client.save()
    server.stop()
    server.options = ["--appendonly", "yes"]
    with server.start().client() as client:
        assert client.dbsize() == 0
        client.set("session", "worth keeping")
        client.config_set("appendonly", "no")
        client.config_set("appendonly", "yes")
        until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0)
    server.stop(9)
    with server.start().client() as client:
        assert client.dbsize() == 1


@pytest.mark.parametrize(
    ("line", "level", "todo"),
    [
        ("--appendfsync always", OK, ""),
        ("--appendfsync everysec", ADVICE, "appendfsync always"),
        ("--appendfsync no", WARNING, "appendfsync"),
        ("--appendfsync always --no-appendfsync-on-rewrite yes", WARNING, "on-rewrite no"),
    ],
)
def test_when_the_log_reaches_the_disk(start, line: str, level, todo: str) -> None:
    found = examined(start(f"--appendonly yes {line}").url)

    assert (found["aof"].level, found["aof-status"].level) == (OK, OK)
    assert found["appendfsync"].level is level
    assert todo in found["appendfsync"].todo


def test_an_embedded_server_is_as_it_should_be(tmp_path) -> None:
    found = examined(f"embedded:{tmp_path / 'data'}")

    assert {each.level for name, each in found.items() if name != "latency"} == {OK}
    assert "everysec" in found["appendfsync"].what


def test_appendfsync_that_nobody_may_read(start) -> None:
    found = examined(start("--appendonly yes --rename-command CONFIG ''").url)

    assert found["aof"].level is OK
    assert found["appendfsync"].level is UNKNOWN


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("--save 3600 1", PROBLEM),
        ("--save 3600 1 --stop-writes-on-bgsave-error no", WARNING),
        ("--save ''", WARNING),
    ],
)
def test_a_snapshot_that_failed(start, line: str, level) -> None:
    server = start(line)
    assert examined(server.url)["snapshots"].level is OK
    shutil.rmtree(server.folder)
    with server.client() as client:
        client.bgsave()
        until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")

    found = examined(server.url)["snapshots"]

    assert found.level is level
    assert "BGSAVE" in found.todo
    assert ("refuses all writes" in found.what) is (level is PROBLEM)


def test_a_log_that_could_not_be_rewritten(start) -> None:
    server = start("--appendonly yes")
    shutil.rmtree(server.folder)
    with server.client() as client:
        with suppress(redis.ResponseError):  # Redis 7 says at once that it cannot
            client.bgrewriteaof()
        until(lambda: client.info("persistence")["aof_last_bgrewrite_status"] == "err")

    found = examined(server.url)["aof-status"]

    assert found.level is WARNING
    assert "BGREWRITEAOF" in found.todo


def test_a_log_that_could_not_be_written(start) -> None:
    """A full disk cannot be had in a test; the rest of the reading is a real server's."""
    reading = read(start("--appendonly yes").url)
    told = {**reading.info.values, "aof_last_write_status": "err"}

    found = judged(reading._replace(info=Answers("INFO", told)))["aof-status"]

    assert found.level is PROBLEM
