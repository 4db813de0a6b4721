"""The breaker on its own."""

from __future__ import annotations

from sojourn.resilience.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_its_longest_outage_and_closes_with_the_first_success() -> None:
    clock, told = Clock(), list[bool]()
    breaker = Breaker(2.0, clock, told.append)
    breaker.attempt()
    for clock.now in (0.5, 1.0, 1.9):
        breaker.failed()
        breaker.attempt()
    assert not breaker.is_open
    clock.now = 2.0
    breaker.failed()
    breaker.failed()
    assert breaker.is_open
    breaker.succeeded()
    assert not breaker.is_open
    assert told == [True, False]


def test_a_restart_that_can_be_waited_for_does_not_open_it() -> None:
    clock, told = Clock(), list[bool]()
    breaker = Breaker(2.0, clock, told.append)
    for start in range(0, 100, 5):
        breaker.attempt()
        clock.now = start + 1.9
        breaker.failed()
        breaker.succeeded()
        clock.now = start + 5
    assert told == []
