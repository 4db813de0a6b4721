"""Dictionaries that records need and that are gone, as the doctor finds them."""

from __future__ import annotations

import redis

import sojourn
from servers import Server


async def test_a_dictionary_that_is_gone_is_a_problem(server: Server) -> None:
    async with sojourn.open(server.url, compression="zstd") as store:
        key = (await store.sessions.create("shop", "ada")).key
        for number in range(3):
            payload = {"text": f"Which tea would you like, number {number}? " * 4}
            await store.sessions.append(key, sojourn.Event(author="user", payload=payload))
        assert _found(await store.admin.doctor.examine()) == ("OK", "")
        with redis.Redis.from_url(server.url) as client:
            log = f"session:{{shop:ada}}:{key.session}:events"
            row = client.lindex(log, -1)
            assert row is not None
            name = row.split(b"zstd:")[1][:6]
            client.rpush(log, row.replace(name, b"gone12"))
        level, message = _found(await store.admin.doctor.examine())
        assert level == "PROBLEM"
        assert "gone12 of shop" in message


def _found(report: sojourn.Report) -> tuple[str, str]:
    (found,) = (each for each in report.findings if each.check == "dictionaries")
    return found.level.name, found.what if found.level.name != "OK" else ""
