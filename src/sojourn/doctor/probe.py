"""Probe of one server: read-only commands, each of which the server may refuse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from sojourn.calls.call import Call
from sojourn.calls.keys import Keys
from sojourn.doctor.ask import Careful, Run, ask
from sojourn.doctor.reading import (
    Answers,
    NotAllowed,
    ProbeRequest,
    Reading,
    ServerAddress,
    pairs,
    text,
)
from sojourn.doctor.sample import sample

_DIRECTIVES = (
    *("activedefrag", "appendfsync", "bind", "maxclients", "maxmemory", "maxmemory-policy"),
    *("min-replicas-max-lag", "min-replicas-to-write", "no-appendfsync-on-rewrite"),
    *("notify-keyspace-events", "port", "protected-mode", "save", "stop-writes-on-bgsave-error"),
    "tls-port",
)
"""What is read of the configuration: no password is among it."""

_TIMES = 5
"""How often the server is asked for its time; the quickest answer counts."""
_PINGS = 20
"""How many PINGs, one after the other."""
_NO_SCRIPT = "0" * 40


async def probe(
    run: Run,
    address: ServerAddress,
    keys: Keys,
    wanted: ProbeRequest,
    *,
    endless_state: bool = False,
    clock: Callable[[], float] = time.time,
) -> Reading:
    """Read all that the checks need from one server, and change nothing.

    28 round trips, and those of the sample of keys.

    Args:
        run: sends a call to the server.
        address: how it is reached.
        keys: the keys of the deployment.
        wanted: what the examination is to cover.
        endless_state: the state of users and apps is meant to stay for ever.
        clock: this machine's time, in seconds since the epoch.

    Raises:
        SojournError: the server does not answer, or not this user at all.
    """
    run = Careful(run).run
    hello = await ask(run, "HELLO")  # every user may, even while the server loads its data
    if isinstance(hello, NotAllowed):
        await run(
            Call("doctor.ask", (), bool, commands=[("PING",)], retry_when_busy=False)
        )  # is it refused, or all?
    info, client, default_user, config, tried = await asyncio.gather(
        ask(run, "INFO"),
        ask(run, "CLIENT", "INFO"),
        _acl_user(run, "default"),
        _config(run),
        _try(run, keys),
    )
    this_client = Answers("CLIENT INFO", _fields(client, " ", "="))
    own_name = this_client.get("user")
    own_user = default_user
    if own_name not in ("", "default"):
        own_user = await _acl_user(run, own_name)
    return Reading(
        address=address,
        wanted=wanted,
        hello=Answers("HELLO", _named(hello)),
        info=Answers("INFO", _fields(info, "\r\n", ":")),
        config=config,
        client=this_client,
        default_user=default_user,
        own_user=own_user,
        tried=tried,
        patterns=keys.patterns,
        skew=await _skew(run, clock),
        pings=await _pings(run),
        lifetimes=(
            await sample(run, keys, wanted.keys, endless_state=endless_state)
            if wanted.keys
            else None
        ),
    )


async def _config(run: Run) -> Answers:
    """Directive by directive: several at once are a command of Redis 7."""
    replies = await asyncio.gather(*(ask(run, "CONFIG", "GET", each) for each in _DIRECTIVES))
    values: dict[str, str] = {}
    for reply in replies:
        if isinstance(reply, NotAllowed):
            return Answers("CONFIG GET", reply)
        values.update((name, text(value)) for name, value in pairs(reply).items())
    return Answers("CONFIG GET", values)


async def _acl_user(run: Run, user: str) -> Answers:
    """The rights of a user; the digests of its passwords are left behind."""
    reply = await ask(run, "ACL", "GETUSER", user)
    if isinstance(reply, NotAllowed):
        return Answers("ACL GETUSER", reply)
    told = pairs(reply or ())
    values = {name: _words(value) for name, value in told.items() if name != "passwords"}
    return Answers("ACL GETUSER", values)


async def _try(run: Run, keys: Keys) -> tuple[NotAllowed | None, ...]:
    """Whether this user may use scripts, and read a key of this deployment."""
    ours = keys.patterns[0].rstrip("*")
    tries = (ask(run, "SCRIPT", "EXISTS", _NO_SCRIPT), ask(run, "PTTL", ours, keys=(ours,)))
    replies = await asyncio.gather(*tries)
    return tuple(reply if isinstance(reply, NotAllowed) else None for reply in replies)


async def _skew(run: Run, clock: Callable[[], float]) -> float | NotAllowed:
    """How far the server's clock is ahead, read when half of the round trip had passed."""
    quickest, skew = float("inf"), 0.0
    for _ in range(_TIMES):
        before = clock()
        reply = await ask(run, "TIME")
        if isinstance(reply, NotAllowed):
            return reply
        took = clock() - before
        if took < quickest:
            seconds, micros = map(int, reply)
            quickest, skew = took, seconds + micros / 1_000_000 - (before + took / 2)
    return skew


async def _pings(run: Run) -> list[float] | NotAllowed:
    took: list[float] = []
    for _ in range(_PINGS):
        before = time.perf_counter()
        reply = await ask(run, "PING")
        if isinstance(reply, NotAllowed):
            return reply
        took.append(time.perf_counter() - before)
    return took


def _named(reply: Any) -> Mapping[str, str] | NotAllowed:
    """Names and values in turn."""
    if isinstance(reply, NotAllowed):
        return reply
    return {name: text(value) for name, value in pairs(reply).items()}


def _fields(reply: Any, between: str, sign: str) -> Mapping[str, str] | NotAllowed:
    """`name:value` lines, or `name=value` words."""
    if isinstance(reply, NotAllowed):
        return reply
    parts = (part.partition(sign) for part in text(reply).split(between))
    return {name.strip(): value.strip() for name, found, value in parts if found}


def _words(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(text, cast("list[object]", value)))
    return text(value)
