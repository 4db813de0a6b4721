"""How much is measured: sizes, rounds and the time that one peer may take in a round."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    name: str
    rounds: int
    turn_seconds: float  # a slow peer stops its turn after this, with at least one sample
    turn_samples: int
    burst: int  # appends of each of the tasks
    list_sessions: int
    list_rounds: int
    memory_sessions: int
    create_samples: int
    lengths: tuple[int, ...] = (10, 100, 1000, 5000)
    whole: tuple[int, ...] = (1000, 5000)
    tails: tuple[int, ...] = (100, 5000)
    recent: int = 20
    tasks: int = 64
    list_events: int = 100
    memory_events: int = 100
    writers: int = 40
    writes: int = 5


FULL = Plan(
    name="full",
    rounds=5,
    turn_seconds=0.8,
    turn_samples=50,
    burst=15,
    list_sessions=500,
    list_rounds=3,
    memory_sessions=20,
    create_samples=300,
)
QUICK = Plan(
    name="quick",
    rounds=1,
    turn_seconds=0.3,
    turn_samples=30,
    burst=4,
    list_sessions=100,
    list_rounds=1,
    memory_sessions=5,
    create_samples=100,
    lengths=(10, 100, 1000, 2000),
    whole=(2000,),
    tails=(100, 2000),
)
