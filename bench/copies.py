"""What a caller's own copy of an ADK event costs: `python -m bench.copies`.

In turns, the fastest of 30 rounds of each: other programs on the machine only add.
"""

import timeit

from google.adk.events.event import Event

from sojourn.integrations.adk import events

from . import events as shapes

ROUNDS, TIMES = 30, 200


def main() -> None:
    """Print microseconds an event, over the four shapes of the bench."""
    made = [Event.model_validate_json(each.model_dump_json()) for each in shapes.make(4)]
    texts = [each.model_dump_json(exclude_none=True) for each in made]
    kept = [events.KeptEvent(each) for each in made]
    ways = {
        'copies="light"': lambda: [events.LIGHT.copy(each) for each in kept],
        'copies="deep"': lambda: [events.EVENTS.copy(each) for each in kept],
        "for the first time": lambda: [events.EVENTS.copy(events.KeptEvent(each)) for each in made],
        "model_copy(deep=True)": lambda: [each.model_copy(deep=True) for each in made],
        "model_validate_json": lambda: [Event.model_validate_json(text) for text in texts],
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            best[name] = min(best[name], timeit.timeit(way, number=TIMES) / TIMES / len(made))
    for name, seconds in best.items():
        print(f"{name:<24}{seconds * 1e6:>8.1f} µs an event")


if __name__ == "__main__":
    main()
