"""Replies about data keys that are lost on the way."""

from __future__ import annotations

import pytest

import sojourn
from proxy import Proxy
from servers import Server
from sojourn.client import Sojourn
from sojourn.errors import Erased, OutcomeUnknown, Unavailable
from sojourn.keys import KeyRing

RING = KeyRing.new()


def hurt(proxy: Proxy, nth: int, how: str) -> list[bytes]:
    """Hurt the nth script that is sent from now on; what was hurt."""
    scripts: list[bytes] = []
    hurt: list[bytes] = []

    def on_request(data: bytes) -> str:
        if b"EVALSHA" not in data:
            return "pass"
        scripts.append(data)
        if len(scripts) != nth:
            return "pass"
        hurt.append(data)
        return how

    proxy.on_request = on_request
    return hurt


async def made(store: Sojourn) -> str:
    keys = await store.room("keys").keys_of("shop", "ada", create=True)
    assert keys.active is not None
    return keys.active.id


@pytest.mark.parametrize("how", ["lose", "drop", "trim"])
@pytest.mark.parametrize("nth", [1, 2])
async def test_a_key_is_made_once_whatever_is_lost(server: Server, nth: int, how: str) -> None:
    async with Proxy(server.port) as proxy, sojourn.open(proxy.url, keys=RING) as store:
        hit = hurt(proxy, nth, how)
        name = await made(store)
        assert hit
        assert [each.id for each in await store.admin.keys.of("shop", "ada")] == [name]


async def test_a_key_whose_fate_is_unknown_is_no_fate_of_the_write(server: Server) -> None:
    async with (
        Proxy(server.port) as proxy,
        sojourn.open(proxy.url, keys=RING, operation_timeout=0.3) as store,
    ):
        hit = hurt(proxy, 2, "mute")
        with pytest.raises(Unavailable) as error:
            await store.sessions.create("shop", "ada", "8e42")
        assert not isinstance(error.value, OutcomeUnknown)
        assert hit
        proxy.on_request = lambda _: "pass"
        assert (await store.sessions.create("shop", "ada", "8e42")).key.session == "8e42"
        assert len(await store.admin.keys.of("shop", "ada")) == 1


@pytest.mark.parametrize("how", ["lose", "drop"])
async def test_a_key_is_destroyed_whatever_is_lost(server: Server, how: str) -> None:
    async with Proxy(server.port) as proxy, sojourn.open(proxy.url, keys=RING) as store:
        await made(store)
        hit = hurt(proxy, 1, how)
        await store.admin.keys.destroy("shop", "ada")
        assert hit
        with pytest.raises(Erased):
            await made(store)
