"""Pauses between attempts: random, longer with each failure, and bounded."""

from __future__ import annotations

import pytest

from sojourn.resilience.backoff import backoff


@pytest.mark.parametrize(
    ("failures", "bound"), [(0, 0.01), (1, 0.02), (3, 0.08), (6, 0.5), (1024, 0.5), (10**9, 0.5)]
)
def test_a_pause_is_random_up_to_a_bound_that_doubles(failures: int, bound: float) -> None:
    pauses = [backoff(failures, 0.01, 0.5) for _ in range(500)]
    assert all(0 <= pause <= bound for pause in pauses)
    assert min(pauses) < 0.2 * bound  # full jitter begins at zero
    assert max(pauses) > 0.8 * bound
