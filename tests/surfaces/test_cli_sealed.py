"""The command line beside sealed content: key and size without the key, content with it."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from cli_kit import Cli

import sojourn
from sojourn import SessionKey
from sojourn.keys.ring import KeyRing

KEY = SessionKey.of("shop", "ada", "8e42")
WORDS = ("marzipan", "tangerine", "saffron")
RING = KeyRing.new()


async def _fill(store: sojourn.Sojourn) -> str:
    """Something in each room; the id of the user's key."""
    await store.sessions.create(*KEY, title="marzipan", state={"a": "tangerine"})
    await store.sessions.append(KEY, sojourn.Event(author="user", payload="saffron" * 9))
    await store.memory.user("ada", app="shop").put("likes", "marzipan")
    await store.artifacts.save(KEY, "f.txt", b"tangerine" * 9, metadata={"a": "saffron"})
    keys = await store.stores.rooms["keys"].service.keys_of("shop", "ada")
    return str(keys.active.id)


@pytest.fixture
def key_id(cli: Cli) -> str:
    async def fill(_: Any) -> str:
        async with sojourn.open(cli.url, namespace=cli.namespace, keys=RING) as store:
            return await _fill(store)

    return str(cli.fill(fill))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("sessions", "ls"), 0),
        (("sessions", "show", *KEY), 3),
        (("memory", "ls", "shop", "ada"), 0),
        (("memory", "show", "shop", "ada", "likes"), 3),
        (("artifacts", "ls", "shop", "ada"), 0),
    ],
    ids=lambda words: " ".join(words[:2]) if isinstance(words, tuple) else "",
)
def test_key_and_size_are_shown_without_the_key(
    cli: Cli,
    key_id: str,
    words: tuple[str, ...],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = cli.run(*words)
    assert shown.code == code, shown.err
    assert f"sealed (key {key_id}, " in " ".join(shown.out.split())
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    as_json = cli.run(*words, "--json")
    assert as_json.code == code
    (document,) = as_json.documents
    sealed = document["versions"][0]["sealed"] if "versions" in document else document["sealed"]
    assert sealed["key"] == key_id
    assert sealed["bytes"] > 20
    for word in WORDS:
        assert word not in shown.out + shown.err + as_json.out + as_json.err


def test_a_sealed_record_in_the_quarantine_is_told_by_key_and_size(cli: Cli, key_id: str) -> None:
    async def damage(_: Any) -> None:
        name = f"{cli.namespace}:session:{{shop:ada}}:8e42"
        with redis.Redis.from_url(cli.url) as client:
            client.hset(name, "summary", client.hget(name, "title"))
        async with sojourn.open(cli.url, namespace=cli.namespace, keys=RING) as store:
            found = await store.sessions.get(KEY)
            assert found is not None
            assert not found.complete

    cli.fill(damage)
    (listed,) = cli.run("quarantine", "ls", "--json").documents
    assert listed["sealed"]["key"] == key_id
    shown = cli.run("quarantine", "show", "shop", "ada", listed["id"])
    assert f"sealed (key {key_id}, {listed['size']:,} bytes)" in shown.out
