"""Clocks and round trips."""

from __future__ import annotations

import time
from typing import Any

import pytest
from doctor_kit import ADVICE, OK, WARNING, examined, judged, read

from servers import Server
from sojourn.calls.call import Call
from sojourn.doctor.checks.timing import clocks


@pytest.mark.parametrize(
    ("wrong_by", "words"), [(5, "behind"), (-5, "ahead of"), (3600, "behind"), (-1.5, "ahead of")]
)
def test_clocks_that_differ(shared_server: Server, wrong_by: float, words: str) -> None:
    """The server's clock is real; this machine's is made wrong."""
    reading = read(shared_server.url, clock=lambda: time.time() + wrong_by)

    found = judged(reading)["clock"]

    assert found.level is WARNING
    assert f"{abs(wrong_by):,.1f} s {words}" in found.what
    assert "NTP" in found.todo


def test_clocks_of_nodes_that_differ_from_each_other() -> None:
    verdict = clocks({"a:1": -0.2, "b:2": 4.8, "c:3": 0.1})
    assert verdict is not None
    assert verdict.level is WARNING
    assert "b:2 is 5.0 s ahead of that of a:1" in verdict.what
    verdict = clocks({"a:1": -0.2, "b:2": 0.1})
    assert verdict is not None
    assert verdict.level is OK
    assert clocks({"a:1": 3.0}) is None


def test_clocks_that_agree(shared_server: Server) -> None:
    assert examined(shared_server.url)["clock"].level is OK


def test_half_of_the_round_trip_is_not_taken_for_skew(shared_server: Server) -> None:
    """Each look at the clock is made to last long: the server seems 4 s away, and on time."""
    looks = iter(range(1000))
    start = time.time()

    reading = read(shared_server.url, clock=lambda: start - 2 + 4 * (next(looks) % 2))

    assert judged(reading)["clock"].level is OK


def test_a_server_that_stands_still_for_a_while(server: Server) -> None:
    pings = 0
    with server.client() as client:

        def pause(call: Call[Any]) -> None:
            nonlocal pings
            pings += call.commands[0] == ("PING",)
            if pings == 7:
                client.client_pause(600, all=True)

        found = judged(read(server.url, before=pause))["latency"]

    assert found.level is WARNING
    assert "time-out" in found.what
    assert 10 <= pings <= 100


@pytest.mark.parametrize(
    ("pings", "level"),
    [
        ([0.0002] * 20, OK),
        ([0.0002] * 19 + [0.3], OK),
        ([0.0002] * 19 + [0.6], WARNING),
        ([0.006] * 20, ADVICE),
        ([0.080] * 20, WARNING),
    ],
)
def test_thresholds_of_round_trips(shared_server: Server, pings: list[float], level) -> None:
    reading = read(shared_server.url)._replace(pings=pings)

    found = judged(reading)["latency"]

    assert found.level is level
    assert "good" in found.what or found.todo
