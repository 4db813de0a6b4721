"""Two users with hostile ids attack each other; each sees what a store of its own would show."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sojourn
from extent import examples
from servers import Server, any_binary
from sojourn import Event, SojournError
from sojourn.calls.call import Call, only
from sojourn.security import AccessLog, Principal, User

HOSTILE = st.lists(
    st.sampled_from([*":%{}*?[#/aé\0", "..", "\r\n", "\x1b[2J", "%3A"]), min_size=1, max_size=5
)
ALIKE = st.lists(st.sampled_from([":", "%3A", "%253A", "a"]), min_size=1, max_size=2)
IDS = st.one_of(ALIKE, HOSTILE).map("".join)
WHO = st.tuples(st.sampled_from(["a", "a:", "a%3A", ":"]), IDS)
Step = Callable[[User, str, str], Awaitable[object]]
Turn = tuple[bool, Step, int]


def flush():
    return Call("test.flush", (), only, commands=[("FLUSHALL",)])


async def done(caller: User, step: Step, name: str, mark: str) -> object:
    """Everything that a caller sees of a step."""
    try:
        return await step(caller, name, mark)
    except SojournError as error:
        return type(error).__name__, str(error)


async def append(caller: User, name: str, mark: str) -> object:
    event = Event(author="user", payload=mark, state_delta={name: mark, f"user:{name}": 1})
    return (await caller.sessions.append(name, event)).seqs


async def ensure(caller: User, name: str, mark: str) -> object:
    return await shown(caller, await caller.sessions.ensure(name, title=mark))


async def get(caller: User, name: str, _: str) -> object:
    return await shown(caller, await caller.sessions.get(name))


async def listed(caller: User, *_: str) -> object:
    page = await caller.sessions.list(pattern="*")
    return sorted((each.key.session, each.title) for each in page.sessions)


async def delete(caller: User, name: str, _: str) -> object:
    return await caller.sessions.delete(name)


async def remember(caller: User, name: str, mark: str) -> object:
    await caller.memory.put(name, mark)
    return [(hit.entry.key, hit.entry.value) for hit in await caller.memory.search(mark)]


async def recall(caller: User, *_: str) -> object:
    entries = (await caller.memory.list()).entries
    return sorted((each.key, each.value) for each in entries)


async def forget(caller: User, *_: str) -> object:
    return await caller.memory.clear()


async def cache(caller: User, name: str, mark: str) -> object:
    found = await caller.cache.get(name)
    await caller.cache.put(name, mark)
    return found


async def attach(caller: User, name: str, mark: str) -> object:
    await caller.artifacts.save(name, mark.encode(), session=name)
    return await caller.artifacts.names(session=name)


async def say(caller: User, name: str, mark: str) -> object:
    await caller.history(name).append("user", mark)
    return [message.content for message in await caller.history(name).all()]


STEPS = [append, ensure, get, listed, delete, remember, recall, forget, cache, attach, say]


async def shown(caller: User, session: sojourn.Session | None) -> object:
    if session is None:
        return None
    payloads = [event.payload for event in session.events]
    return session.key, session.title, session.state, payloads, await caller.sessions.user_state()


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Server(tmp_path_factory.mktemp("attacked"), any_binary()).start()
    yield server.url
    server.close()


LOOK_ALIKES = [
    (app, user) for app in ("a", "a:", "a%3A") for user in ("b", ":b", "%3Ab", "%253Ab", "b:c")
]


@pytest.mark.parametrize("number", range(len(LOOK_ALIKES) - 1))
def test_no_two_of_those_who_look_alike_are_one(number, attacked):
    one, name = LOOK_ALIKES[number], "c"
    for other in LOOK_ALIKES[number + 1 :]:
        turns = [(second, step, 0) for step in [ensure, *STEPS, *STEPS] for second in (False, True)]
        asyncio.run(attacks(attacked, [one, other], [name], turns))


@pytest.mark.parametrize("where", ["memory", "server"])
@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    callers=st.lists(WHO, min_size=2, max_size=2, unique=True),
    names=st.lists(IDS, min_size=2, max_size=2),
    turns=st.lists(
        st.tuples(st.booleans(), st.sampled_from(STEPS), st.integers(0, 1)),
        min_size=15,
        max_size=50,
    ),
)
def test_what_one_does_never_shows_to_the_other(where, attacked, **attack):
    url = "memory://" if where == "memory" else attacked
    if "*" not in {user for _, user in attack["callers"]}:
        asyncio.run(attacks(url, **attack))


async def attacks(url: str, callers: list[tuple[str, str]], names: list[str], turns: list[Turn]):
    if url != "memory://":
        async with sojourn.open(url) as store:
            await store._engine.run(flush())
    async with (
        sojourn.open(url) as both,
        sojourn.open("memory://") as a,
        sojourn.open("memory://") as b,
    ):
        guard = both.guard(log=AccessLog())
        shared = [guard.user(Principal.of(*who)) for who in callers]
        alone = [
            store.guard().user(Principal.of(*caller.owner))
            for store, caller in zip((a, b), shared, strict=True)
        ]
        for number, (second, step, name) in enumerate(turns):
            given = names[name], f"{second}{number}"
            assert await done(shared[second], step, *given) == await done(
                alone[second], step, *given
            )
