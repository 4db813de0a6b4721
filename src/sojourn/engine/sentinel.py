"""Discovery of the primary through Redis Sentinel.

https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

from sojourn.engine import tls
from sojourn.engine.address import Address, Target
from sojourn.engine.faults import is_here, is_hopeless, is_misheard, translate
from sojourn.engine.tasks import quiet
from sojourn.engine.tls import Certificates
from sojourn.errors import AccessDenied, ConfigurationError, SojournError, Unavailable
from sojourn.resilience.deadline import from_now, until


async def find_primary(
    target: Target,
    timeout: float,  # noqa: ASYNC109
    certificates: Certificates,
) -> Address:
    """Ask all Sentinels at once, and believe what most of them say. One round trip.

    Waits no longer than until a majority has given the same answer.

    Args:
        target: the Sentinels, and the name of the primary.
        timeout: seconds that a Sentinel may take.
        certificates: what they are trusted by.

    Raises:
        ConfigurationError: the Sentinels do not know that name, or TLS with them failed.
        AccessDenied: the Sentinels want other credentials.
        Unavailable: none answers.
    """
    answers: Counter[Address | None] = Counter()
    failures: list[BaseException] = []
    loop = asyncio.get_running_loop()
    questions = [
        loop.create_task(_ask(target, each, timeout, certificates)) for each in target.addresses
    ]
    try:
        for answered in asyncio.as_completed(questions):
            try:
                address = await answered
            except Exception as error:  # noqa: BLE001 - the others may know
                failures.append(error)
                continue
            answers[address] += 1
            if address is not None and answers[address] > len(questions) / 2:
                return address
    finally:
        for task in questions:
            task.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
    unknown = answers.pop(None, 0)
    if answers:
        return cast("Address", answers.most_common(1)[0][0])
    if unknown:
        raise ConfigurationError(
            f"The Sentinels of {target.where} know no primary of the name {target.master!r}: check "
            "the name behind the hosts in the URL."
        )
    raise _silence(target, failures) from failures[0]


def _silence(target: Target, failures: list[BaseException]) -> SojournError:
    """Why no Sentinel told anything. While one of them may yet come up, that is an outage."""
    detail = str(failures[0]) or type(failures[0]).__name__
    if is_here(failures[0]):
        return translate(failures[0], target.where)
    if not all(map(is_hopeless, failures)):
        return Unavailable(
            f"No Sentinel of {target.where} answers ({detail}). Check that they run and can be "
            "reached."
        )
    error = translate(failures[0], target.where)
    if isinstance(error, AccessDenied):
        return AccessDenied(
            f"The Sentinels of {target.where} refuse access ({detail}). Their own credentials "
            "stand behind the URL: ?sentinel_username=…&sentinel_password=…"
        )
    return error


async def _ask(
    target: Target,
    sentinel: Address,
    timeout: float,  # noqa: ASYNC109
    certificates: Certificates,
) -> Address | None:
    """What one Sentinel says; None when it does not know the name."""
    trust = {name: value for name, value in target.options.items() if name.startswith("ssl_")}
    connection = quiet(target.kind)(
        **sentinel._asdict(),
        **target.sentinel,
        **trust,
        protocol=2,
        decode_responses=True,
        socket_timeout=None,
        socket_connect_timeout=None,
    )
    await certificates.give(connection)
    try:
        async with until(from_now(timeout)):
            await tls.connect(connection, target.where, delay=timeout / 4)
            words = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.master)
            await connection.send_command(*words, check_health=False)
            reply = cast("Any", await connection.read_response())
    except Exception as error:
        if is_misheard(error):
            await tls.check_sides(connection, target.where)
        raise
    finally:
        await connection.disconnect(nowait=True)
    return None if reply is None else Address(str(reply[0]), int(reply[1]))
