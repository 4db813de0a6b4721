"""Damage in a thread: it is kept in the quarantine, told, and hides nothing else."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

import sojourn
from servers import Server
from sojourn import CorruptRecord, ThreadKey
from sojourn.checkpoints import CheckpointPlace, Leaf
from sojourn.keys import KeyRing

KEY = ThreadKey.of("shop", "ada", "t1")
PLACES = [CheckpointPlace("", name) for name in ("c", "b", "a")]
DAMAGE = {
    "a flipped byte": lambda body: body[:-3] + bytes([body[-3] ^ 0x41]) + body[-2:],
    "cut": lambda body: body[: len(body) // 2],
    "other bytes": lambda _: b"\xff\x00 no record \x9c",
}


async def fill(store: sojourn.Sojourn) -> None:
    for n, name in enumerate("abc"):
        said = Leaf(b'{"text":"only %s has this%s"}' % (name.encode(), b", at length" * 60))
        await store.threads.put(
            KEY, name, parent="abc"[n - 1] if n else "", values={"said": lambda said=said: said}
        )


async def hashes(server: Redis, namespace: str, kind: str) -> tuple[bytes, list[bytes]]:
    """The key of one hash of the thread, and its fields in order."""
    keys = [key async for key in server.scan_iter(f"{namespace}:*", 1000)]
    (key,) = [key for key in keys if key.endswith(kind.encode())]
    return key, sorted(await server.hkeys(key))


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_checkpoint_is_kept_and_the_others_are_served(
    shared_server: Server, damage: str, sealed: bool
) -> None:
    namespace = f"damaged-{damage.rsplit(maxsplit=1)[-1]}-{sealed}"
    keys = KeyRing.new() if sealed else None
    async with sojourn.open(shared_server.url, namespace=namespace, keys=keys) as store:
        await fill(store)
        async with Redis.from_url(shared_server.url) as server:
            key, fields = await hashes(server, namespace, ":checkpoints")
            (field,) = [each for each in fields if each.endswith(b"b")]
            body = await server.hget(key, field)
            assert body is not None
            await server.hset(key, field, DAMAGE[damage](body))
    async with sojourn.open(shared_server.url, namespace=namespace, keys=keys) as store:
        with pytest.raises(CorruptRecord) as caught:
            await store.threads.get(KEY, "b")
        assert caught.value.raw or sealed
        assert [each.place.id for each in await store.threads.readable(KEY, PLACES)] == ["c", "a"]
        own = store.user("shop", "ada").threads
        assert [each.place.id for each in await own.read("t1", PLACES)] == ["c", "a"]
        with pytest.raises(CorruptRecord):
            await store.threads.read(KEY, PLACES)
        newest = await store.threads.get(KEY)
        assert newest is not None
        assert newest.place.id == "c"
        await store.ping()
        assert store.stats().corrupt >= 1
        kept = await store.admin.quarantined("shop", "ada")
        assert "t1" in kept[0].key
        assert all(each.reason for each in kept)


async def test_a_value_that_is_gone_hides_no_other_checkpoint(shared_server: Server) -> None:
    namespace = "damaged-values"
    async with sojourn.open(shared_server.url, namespace=namespace) as store:
        await fill(store)
        async with Redis.from_url(shared_server.url) as server:
            key, fields = await hashes(server, namespace, ":values")
            for field in fields:
                if b"only a has" in (await server.hget(key, field) or b""):
                    await server.hdel(key, field)
                if b"only c has" in (await server.hget(key, field) or b""):
                    await server.hset(key, field, b"{}")
    async with sojourn.open(shared_server.url, namespace=namespace) as store:
        assert [each.place.id for each in await store.threads.readable(KEY, PLACES)] == ["b"]
        for name in "ac":
            with pytest.raises(CorruptRecord):
                await store.threads.get(KEY, name)
        await store.ping()
        assert len(await store.admin.quarantined("shop", "ada")) >= 2
