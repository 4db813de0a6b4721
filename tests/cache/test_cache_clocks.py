"""A server whose clock steps back: what it stamped before is in its future."""

from __future__ import annotations

import sojourn
from servers import Server

STEP = 30_000_000
"""How far, µs."""


async def test_an_invalidated_entry_is_gone_and_a_new_one_is_there(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        for value in 1, 2:
            await store.cache.put("k", value, tags=["t"])
            with server.client() as admin:  # as if the clock had been ahead until now
                (entry,) = admin.keys("cache:*:entry:k")
                for field in "since", "fresh":
                    admin.hincrby(entry, field, STEP)
                for tags in admin.keys("cache:*:tags"):
                    for tag in admin.zrange(tags, 0, -1):
                        admin.zincrby(tags, STEP, tag)
            assert await store.cache.get("k") == value
            await store.cache.invalidate("t")
            assert await store.cache.get("k") is None
        assert await store.cache.fetch("k", three, tags=["t"]) == 3
        assert await store.cache.get("k") == 3
        await store.cache.invalidate("t")
        assert await store.cache.get("k") is None


async def three() -> int:
    return 3


async def test_the_newest_operations_are_not_the_first_to_be_forgotten(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        await store.cache.put("k", 0, operation_id="op 0")
        await store.sessions.create("shop", "ada", "s0", operation_id="op 0")
        with server.client() as admin:
            (ops,) = admin.keys("cache:*:ops")
            operations = "operations:{shop:ada}"
            for key, step in (ops, STEP), (operations, STEP // 1000):
                found = admin.zrange(key, 0, -1, withscores=True)
                (score,) = {score for _, score in found}
                admin.zadd(key, {f"former {n}": score + step for n in range(1000)})
        await store.cache.put("k", 1, operation_id="op 1")
        await store.sessions.create("shop", "ada", "s", operation_id="op 1")
        with server.client() as admin:
            assert any("op 1" in name for name in admin.zrange(ops, -1, -1))
            assert any("op 1" in name for name in admin.zrange(operations, -1, -1))
