"""Fifty words of content, looked for in all that a sealed store leaves anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

import sojourn
from extent import FULL
from servers import Server, any_binary
from sojourn import transfer
from sojourn.keys import KeyRing

WORDS = [f"marzipan{number:02}xylophone" for number in range(50)]


async def fill(store: sojourn.Sojourn, words: list[str]) -> None:
    """Write words into everything that holds content."""
    take = iter(words)
    said = lambda **more: sojourn.Event(author="user", payload={"text": next(take)}, **more)  # noqa: E731
    state = {"a": next(take), "user:b": next(take), "app:c": next(take)}
    session = await store.sessions.create(
        *("shop", "ada"),
        title=next(take),
        status=next(take),
        summary=next(take),
        metadata={"m": next(take)},
        state=state,
    )
    key = session.key
    delta = {"d": next(take), "user:e": next(take), "app:f": next(take)}
    await store.sessions.append(key, said(state_delta=delta), said(), said())
    await store.sessions.update(key, title=next(take), metadata={"m": next(take)})
    saved = (await store.sessions.create("shop", "ada", title=next(take))).key
    await store.sessions.save(saved, state={"a": next(take)}, events=[said(), said()])
    await store.sessions.delete((await store.sessions.create("shop", "bob", title=next(take))).key)
    history = store.history("talk", app="shop")
    await history.append("user", next(take))
    memory = store.memory.user("ada", app="shop")
    await memory.put("one", {"v": next(take)}, text=next(take), metadata={"m": next(take)})
    await memory.put_many({"two": next(take), "three": [next(take)]})
    await memory.merge("two-more", {"x": next(take)})
    await store.memory.agent("clerk", app="shop").put("k", next(take))
    await store.memory.knowledge("teas", app="shop").put("k", next(take))
    await store.remember(key, summary=next(take))
    await store.cache.put("result", {"v": next(take)}, tenant="shop:ada")
    await store.cache.put("shared", next(take))
    artifact = next(take).encode() * 2
    await store.artifacts.save(key, "file.txt", artifact, metadata={"m": next(take)})
    await store.artifacts.save(key.owner, "large", next(take).encode() + bytes(600_000))
    streams = store.room("streams")
    await streams.open(key)
    await streams.add(key, "s", next(take))
    for word in take:
        await store.sessions.append(key, sojourn.Event(author="user", payload=word))


def found_in(data: bytes) -> list[str]:
    return [word for word in WORDS if word.encode() in data or word.encode("utf-16-le") in data]


@pytest.mark.parametrize("compression", [None, "zstd"] if FULL else [None])
async def test_no_word_is_anywhere(tmp_path: Path, compression: str | None) -> None:
    persistence = ["--appendonly", "yes", "--appendfsync", "always", "--save", "3600 1"]
    server = Server(tmp_path / "server", any_binary(), persistence).start()
    journal, archive = tmp_path / "journal", tmp_path / "archive"
    try:
        sealing = {"keys": KeyRing.new(), "compression": compression}
        async with sojourn.open(server.url, **sealing) as store:
            await fill(store, WORDS[:-2])
            await transfer.export(store, archive, cache=True)
        buffering = {"on_outage": "buffer", "journal": str(journal)}
        async with sojourn.open(server.url, **sealing, **buffering) as store:
            key = (await store.sessions.create("shop", "ada", title=WORDS[-2])).key
            with redis.Redis.from_url(server.url) as client:
                kept = b"".join(client.dump(name) or b"" for name in client.scan_iter(count=1000))
                kept += b"".join(name for name in client.scan_iter(count=1000))
                values = b"".join(_value(client, name) for name in client.scan_iter(count=1000))
                client.save()
            server.stop()
            written = await store.sessions.append(
                key, sojourn.Event(author="user", payload=WORDS[-1], state_delta={"z": WORDS[-1]})
            )
            assert not written.durable
            waiting = b"".join(path.read_bytes() for path in journal.rglob("*") if path.is_file())
            assert waiting
            assert found_in(waiting) == []
            server.start()
        files = {path: path.read_bytes() for path in server.folder.rglob("*") if path.is_file()}
        assert [path for path, data in files.items() if found_in(data)] == []
        assert any(path.suffix == ".aof" and data for path, data in files.items())
        assert found_in(kept) == found_in(values) == found_in(archive.read_bytes()) == []
    finally:
        server.close()


async def test_every_word_is_there_without_keys(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        await fill(store, WORDS)
    with redis.Redis.from_url(server.url) as client:
        values = b"".join(_value(client, name) for name in client.scan_iter(count=1000))
    deleted = [word for word in WORDS if word not in found_in(values)]
    assert len(deleted) <= 6  # what was replaced or deleted


def _value(client: redis.Redis, name: bytes) -> bytes:
    match client.type(name):
        case b"hash":
            return b"".join(part for pair in client.hgetall(name).items() for part in pair)
        case b"list":
            return b"".join(client.lrange(name, 0, -1))
        case b"zset":
            return b"".join(client.zrange(name, 0, -1))
        case b"string":
            return client.get(name) or b""
        case _:
            return client.dump(name) or b""
