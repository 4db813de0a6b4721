"""Python and C calls that one operation takes, with all that the event loop does for it.

python -m bench.calls               # a table
python -m bench.calls append        # one operation, function by function

They are counted by the interpreter, so a busy machine counts the same as a quiet one.
"""

import argparse
import asyncio
import gc
import logging
import sys
from collections import Counter

import sojourn
from sojourn.integrations.adk import SessionService

from . import events as shapes
from . import server

WARM, COUNTED, TASKS, EVENTS = 50, 200, 64, 300


class Profile:
    """Calls inside `with`, by function."""

    def __init__(self):
        self.python, self.c = Counter(), Counter()

    def __enter__(self):
        gc.collect()
        gc.disable()
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        gc.enable()

    def _called(self, frame, what, argument):
        if what == "call":
            self.python[_name(frame)] += 1
        elif what == "c_call":
            name = getattr(argument, "__qualname__", str(argument))
            self.c[f"{name}  in {_name(frame)}"] += 1


def _name(frame):
    path = frame.f_code.co_filename.replace("\\", "/")
    for folder in ("/site-packages/", "/src/", "/python3"):
        path = path.rpartition(folder)[2]
    return f"{path}:{frame.f_code.co_qualname}"


def event():
    return sojourn.Event(author="user", payload={"text": "x" * 1000, "n": 1})


async def append(url, profile):
    """`store.sessions.append` of one event after the other."""
    async with sojourn.open(url) as store:
        made = await store.sessions.create("calls", "ada")
        for _ in range(WARM):
            await store.sessions.append(made.key, event())
        waiting = [event() for _ in range(COUNTED)]
        with profile:
            for each in waiting:
                await store.sessions.append(made.key, each)
    return COUNTED


async def tasks(url, profile):
    """`store.sessions.append` by 64 tasks, each to a session of its own."""
    rounds = 10

    async def write(key, waiting):
        for each in waiting:
            await store.sessions.append(key, each)

    async with sojourn.open(url) as store:
        made = [await store.sessions.create("calls", "ada") for _ in range(TASKS)]
        await asyncio.gather(*(write(each.key, [event()] * 1) for each in made))
        waiting = [[event() for _ in range(rounds)] for _ in made]
        with profile:
            await asyncio.gather(
                *(write(each.key, some) for each, some in zip(made, waiting, strict=True))
            )
    return TASKS * rounds


async def adk(url, profile):
    """`append_event` of ADK's session service, one event after the other."""
    service = SessionService(url)
    try:
        session = await service.create_session(app_name="calls", user_id="ada")
        for each in shapes.make(WARM):
            await service.append_event(session, each)
        waiting = shapes.make(COUNTED)
        with profile:
            for each in waiting:
                await service.append_event(session, each)
    finally:
        await service.close()
    return COUNTED


async def get(url, profile):
    """`store.sessions.get` of 300 events and 300 state values, again and again."""
    async with sojourn.open(url) as store:
        state = {f"key{n}": {"n": n} for n in range(EVENTS)}
        made = await store.sessions.create("calls", "ada", state=state)
        await store.sessions.append(made.key, *(event() for _ in range(EVENTS)))
        for _ in range(5):
            await store.sessions.get(made.key)
        with profile:
            for _ in range(COUNTED):
                await store.sessions.get(made.key)
    return COUNTED


OPERATIONS = {"append": append, "tasks": tasks, "adk": adk, "get": get}


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.calls", description=__doc__)
    parser.add_argument("operation", nargs="?", choices=OPERATIONS)
    only = parser.parse_args().operation
    logging.disable(logging.WARNING)
    with server.running() as (url, _version):
        for name in [only] if only else OPERATIONS:
            profile = Profile()
            times = asyncio.run(OPERATIONS[name](url, profile))
            python, c = profile.python.total() / times, profile.c.total() / times
            print(f"{name:8} {python:7.1f} in Python {c:7.1f} in C   {OPERATIONS[name].__doc__}")
            if only:
                for kind, calls in (("Python", profile.python), ("C", profile.c)):
                    for function, count in calls.most_common():
                        if count >= times / 20:
                            print(f"  {count / times:7.2f}  {kind:6} {function}")


if __name__ == "__main__":
    main()
