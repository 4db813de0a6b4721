"""`sojourn codec`: train a dictionary from what an app has stored, store it, and list it."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path

import pytest
from cli_kit import Cli

import sojourn
from sojourn import Event
from sojourn.codecs.compression import SHIPPED, Dictionary
from sojourn.keys import KeyRing


def fill(cli: Cli, keys: str | None = None) -> None:
    async def work(_: sojourn.Sojourn) -> None:
        async with sojourn.open(
            cli.url, namespace=cli.namespace, compression="zstd", keys=keys
        ) as store:
            for n in range(20):
                key = (await store.sessions.create("shop", f"u{n}")).key
                said = [f"{secrets.token_hex(8)}: the crate is at the quay" for _ in range(40)]
                await store.sessions.append(key, *(Event(author="user", payload=t) for t in said))

    cli.fill(work)


def test_a_dictionary_is_trained_written_and_stored(cli: Cli, tmp_path: Path) -> None:
    fill(cli)
    file = tmp_path / "shop.dictionary"
    ran = cli.run("codec", "train", "--app", "shop", "--out", str(file))
    name = Dictionary(file.read_bytes()).id
    assert (ran.code, f"{name}: " in ran.out, "20 users" in ran.out) == (0, True, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = cli.run("codec", "train", "--app", "shop", "--out", str(file))
    assert (again.code, "is there already" in again.err) == (2, True)
    assert [each["id"] for each in cli.run("codec", "ls", "shop", "--json").documents] == [SHIPPED]
    (done,) = cli.run("codec", "train", "--app", "shop", "--store", "--json").documents
    assert (done["users"], done["samples"], done["seen_by"], done["stored"]) == (20, 800, 1, True)
    listed = cli.run("codec", "ls", "shop", "--json").documents
    assert [(each["id"], each["active"]) for each in listed] == [
        (SHIPPED, False),
        (done["id"], True),
    ]
    shown = cli.run("codec", "ls", "shop").out
    assert ("shipped" in shown, "active" in shown, done["id"] in shown) == (True, True, True)


def test_with_keys_it_is_of_many_users_and_sealed(cli: Cli, tmp_path: Path) -> None:
    keys = str(tmp_path / "keys.json")
    KeyRing.new().save(Path(keys))
    fill(cli, keys)
    command = ("codec", "train", "--app", "shop", "--store", "--json", "--keys", keys)
    (done,) = cli.run(*command).documents
    assert done["seen_by"] == 20
    (_, listed) = cli.run("codec", "ls", "shop", "--json").documents
    assert (listed["sealed"], listed["seen_by"]) == (True, 20)


@pytest.mark.parametrize("app", ["shop", ""])
def test_too_little_is_refused_in_a_line(cli: Cli, app: str) -> None:
    ran = cli.run("codec", "train", "--app", app)
    assert (ran.code, ran.out, ran.err.count("error: ")) == (2, "", 1)


def test_retiring_says_what_it_needs(cli: Cli) -> None:
    ran = cli.run("codec", "retire", "shop", "abcdef")
    assert (ran.code, "SOJOURN_COMPRESSION" in ran.err) == (2, True)
