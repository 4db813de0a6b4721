"""`sojourn keys`: a rotation from the first file to the last step, and what it refuses."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_kit import Cli

import sojourn
from extent import FULL
from sojourn.keys import KeyRing, files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def file(path: Path, cli: Cli) -> str:
    assert cli.run("keys", "new", "--out", str(path)).code == 0
    return str(path)


def seal(cli: Cli, file: str, *users: str | None) -> None:
    async def work(store: sojourn.Sojourn) -> None:
        async with sojourn.open(cli.url, namespace=cli.namespace, keys=file) as sealed:
            for user in users:
                await sealed.room("keys").keys_of("shop", user, create=True)

    cli.fill(work)


def test_a_rotation_step_by_step(cli: Cli, file: str, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = KeyRing.load(file).active
    seal(cli, file, "ada", "bob", None)
    ran = cli.run("keys", "add", file)
    second = ran.out.strip()
    assert f"sojourn keys activate {file} {second}" in ran.err
    assert KeyRing.load(file).active == first
    for _ in range(2):  # each step can be repeated
        assert cli.run("keys", "activate", file, second).code == 0
        assert KeyRing.load(file).active == second
    refused = cli.run("keys", "retire", file, first)
    assert (refused.code, "wraps 3 data keys" in refused.err) == (1, True)
    listed = cli.run("keys", "ls", cli.url, "--keys", file, "--json").documents
    assert listed == [
        {"id": first, "active": False, "known": True, "data_keys": 3},
        {"id": second, "active": True, "known": True, "data_keys": 0},
    ]
    for rewrapped, already in ((3, 0), (0, 3)):
        (done,) = cli.run("keys", "rotate", "--keys", file, "--json").documents
        assert (done["rewrapped"], done["already"], done["failed"]) == (rewrapped, already, 0)
    assert cli.run("keys", "retire", file, first).code == 0
    assert list(KeyRing.load(file).ids) == [second]
    shown = cli.run("keys", "ls", "--keys", file)
    assert [line.split() for line in shown.out.splitlines()[1:]] == [[second, "3", "active"]]
    assert cli.run("keys", "retire", file, second).code == 2, "it is active"
    assert cli.run("keys", "retire", file, first).code == 3, "it is gone"


def test_no_output_shows_a_key(cli: Cli, file: str, path: Path) -> None:
    seal(cli, file, "ada")
    key = path.read_text().split('": "')[-1].split('"')[0]
    assert len(key) == 44
    for words in (["ls"], ["rotate"], ["sweep"], ["ls", "--json"]):
        ran = cli.run("keys", *words, "--keys", file)
        assert ran.code == 0
        assert key[:8] not in ran.out + ran.err


def test_the_environment_names_the_file(
    cli: Cli, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(cli, file, "ada")
    missing = cli.run("keys", "ls")
    assert (missing.code, "SOJOURN_KEYS" in missing.err) == (2, True)
    monkeypatch.setenv("SOJOURN_KEYS", file)
    assert cli.run("keys", "ls", "--json").documents[0]["data_keys"] == 1
    monkeypatch.setenv("SOJOURN_KEYS", "env:RING")
    monkeypatch.setenv("RING", Path(file).read_text())
    assert cli.run("keys", "ls", "--json").documents[0]["data_keys"] == 1


def test_keys_that_cannot_be_opened_are_told(cli: Cli, file: str, path: Path) -> None:
    seal(cli, file, "ada")
    needed = KeyRing.load(file).active
    other = str(path.with_name("other"))
    cli.run("keys", "new", "--out", other)
    ran = cli.run("keys", "ls", "--keys", other)
    assert (ran.code, "1 master key that data keys need" in ran.err) == (0, True)
    assert [needed, "1", "missing", "here"] in [line.split() for line in ran.out.splitlines()]
    ran = cli.run("keys", "rotate", "--keys", other)
    assert (ran.code, needed in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["new", "--out", "FILE"], "cannot be written"),
        (["activate", "FILE", "0123456789abcdef"], "not in this ring"),
        (["add", "NONE"], "cannot be"),
        (["migrating", "FILE", "maybe"], "on or off"),
        (["ls", "--keys", "NONE"], "sojourn keys new"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    cli: Cli, file: str, path: Path, words: list[str], said: str
) -> None:
    before = path.read_bytes()
    places = {"FILE": file, "NONE": str(path.with_name("none"))}
    ran = cli.run("keys", *(places.get(word, word) for word in words))
    assert ran.code in (2, 3)
    assert said in ran.err.splitlines()[-1]
    assert path.read_bytes() == before


def test_a_migration_is_begun_and_ended(cli: Cli, file: str) -> None:
    assert not KeyRing.load(file).migrating
    name = cli.run("keys", "new", "--inactive", "--out", f"{file}.2").out.strip()
    assert (KeyRing.load(f"{file}.2").active, KeyRing.load(f"{file}.2").migrating) == ("", True)
    assert cli.run("keys", "activate", f"{file}.2", name).code == 0
    assert KeyRing.load(f"{file}.2").active == name
    for state in ("on", "off"):
        assert cli.run("keys", "migrating", file, state).code == 0
        assert KeyRing.load(file).migrating is (state == "on")


def test_who_was_forgotten_is_readmitted(cli: Cli, file: str) -> None:
    seal(cli, file, "ada")
    (receipt,) = cli.run("user", "forget", "ada", "--yes", "--json").documents
    assert (receipt["erased"]["data_keys"], receipt["copies"]) == (1, "server")
    with pytest.raises(sojourn.Erased):
        seal(cli, file, "ada")
    assert "gets a new data key" in cli.run("keys", "readmit", "shop", "ada").out
    assert "was not forgotten" in cli.run("keys", "readmit", "shop", "ada").out
    seal(cli, file, "ada")


@pytest.mark.parametrize("options", [{}, {"key_store": "file:PATH"}, {"keys": None}])
def test_a_receipt_says_which_copies_stay_readable(
    cli: Cli, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    if "keys" not in options:
        monkeypatch.setenv("SOJOURN_KEYS", file)
    if "key_store" in options:
        monkeypatch.setenv("SOJOURN_KEY_STORE", f"file:{tmp_path}/wrapped")
    said = cli.run("user", "forget", "ada", "--yes").out
    wanted = "but with a backup" if "key_store" in options else "in clear" if options else "wrapped"
    assert wanted in " ".join(said.split())


@pytest.mark.parametrize("given", ["environment", "url"])
def test_the_doctor_finds_a_file_that_others_may_read(
    cli: Cli, file: str, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    url = cli.url
    if given == "environment":
        monkeypatch.setenv("SOJOURN_KEYS", file)
    else:
        url += f"?keys={file}"
    for mode, level in ((0o600, "ok"), (0o640, "problem")):
        Path(file).chmod(mode)
        documents = cli.run("doctor", url, "--json", "--keys", "1").documents
        found = {each["check"]: each for each in documents}["master-keys"]
        assert found["level"] == level
    assert found["todo"] == f"chmod 600 {file}"


STEPS = [
    *((os, name) for name in ("open", "fsync", "link", "close")),
    *((Path, name) for name in ("replace", "unlink")),
]


def killed_at(step: int, change: Callable[[], object]) -> bool:
    """Whether a process that does something was killed before its n-th call to the disk."""
    child = os.fork()
    if child == 0:
        left = step

        def mortal(call: Callable[..., object]) -> Callable[..., object]:
            def called(*args: object, **options: object) -> object:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **options)

            return called

        for home, name in STEPS:
            setattr(home, name, mortal(getattr(home, name)))
        try:
            change()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def test_a_file_is_whole_whenever_who_writes_it_is_killed(path: Path) -> None:
    assert files.os is os
    KeyRing.new().save(path)
    first = before = KeyRing.load(path)
    step = 1
    while killed_at(step, lambda: KeyRing.edit(path, KeyRing.add)):
        after = KeyRing.load(path)
        assert set(before.ids) <= set(after.ids)
        assert len(after.ids) - len(before.ids) in (0, 1)
        step, before = step + 1, after
    assert step > 7
    assert len(KeyRing.load(path).ids) > len(first.ids) + 1


@pytest.mark.skipif(not FULL, reason="as the one above: make test-all")
def test_a_new_file_is_whole_or_not_there(path: Path) -> None:
    step = 1
    while killed_at(step, lambda: KeyRing.new().save(path)):
        if path.exists():
            KeyRing.load(path)
            path.unlink()
        step += 1
    assert step > 5
    assert KeyRing.load(path)
