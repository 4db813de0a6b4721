"""Every name of ours in the guide to migrating exists, so that its tables cannot drift."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import typer
from google.adk.cli.cli_tools_click import main as adk

import sojourn
from servers import Server
from sojourn.engine.address import SCHEMES
from sojourn.integrations.adk.command import main as adk_command
from sojourn.sessions import SessionFields
from sojourn.settings import Settings
from sojourn.surfaces.cli.app import app
from sojourn.transfer.migration import LAYOUTS

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs/guides/migrating.md").read_text("utf-8")
FORMAT = (ROOT / "docs/storage-format.md").read_text("utf-8")

SECTIONS = {
    title: section
    for title, section in re.findall(
        r"^## (.+?)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL
    )
    if "\n| theirs |" in section
}
CODE = re.compile(r"`([^`]+)`")
OURS = re.compile(r"store\.|sojourn[. ]|SOJOURN_|examples/|make |\w+\+\w+://")
"""How names of ours begin that stand outside of their column."""
CALLED = {"sojourn.open(url)", "sojourn.default()"}
"""Names that the guide calls with arguments of its own."""


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert lines[0] == "| theirs | ours | what differs |"
    return [[cell.strip() for cell in line[1:-1].split(" |")] for line in lines[2:]]


def names(section: str) -> list[str]:
    """What a section says is ours."""
    found: list[str] = []
    for _, ours, differs in rows(section):
        found += CODE.findall(ours)
        found += [name for name in CODE.findall(differs) if OURS.match(name)]
    return list(dict.fromkeys(found))


@pytest.fixture
async def store() -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open("memory://", notices=True) as store:
        yield store


async def check(name: str, store: sojourn.Sojourn, folder: Path) -> None:
    """Find what a name of ours stands for.

    Raises:
        LookupError: there is no such thing.
    """
    if "{" in name:
        found = f"| `NS:{name}` |" in FORMAT
    elif name.endswith((":", "://")):
        found = name.partition(":")[0] in (*SCHEMES, "memory")
    elif name.isupper():
        found = name.lower() in Settings.model_fields
    elif name.startswith("make "):
        found = f"\n{name.removeprefix('make ')}:" in (ROOT / "Makefile").read_text("utf-8")
    elif name.startswith(("examples/", "docker-compose")):
        found = (ROOT / name).exists()
    elif " " in name and not name.startswith(("store", "sojourn.")):
        found = is_command(name.removeprefix("python -m ").split()[1:], folder)
    else:
        found = await is_attribute(name, store)
    if not found:
        raise LookupError(name)


def is_command(words: list[str], folder: Path) -> bool:
    """Whether the command line has a command, and the option at its end."""
    if words == ["adk", "init"]:
        adk_command(["init", str(folder)])
        return (folder / "services.py").exists()
    command: Any = typer.main.get_command(app)
    if words[0] == "adk":
        command, words = adk, words[1:]
    for word in words:
        if word.startswith("-"):
            return any(word in option.opts for option in command.params)
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            return False
    return True


async def is_attribute(name: str, store: sojourn.Sojourn) -> bool:
    """Whether a name can be resolved, and takes the arguments that stand behind it."""
    path, arguments = name, ""
    if name.endswith("=)"):
        path, _, arguments = name.removesuffix("=)").rpartition("(")
    try:
        found = await resolved(path, store)
    except (AttributeError, ImportError, ValueError):  # ValueError: no dotted name at all
        return False
    taken = set(inspect.signature(found).parameters) if arguments else set()
    if "fields" in taken:  # **fields
        taken |= SessionFields.__annotations__.keys()
    return all(each in taken for each in arguments.split("=, ") if each)


async def resolved(path: str, store: sojourn.Sojourn) -> Any:
    """What a dotted path leads to; `(…)` calls with a name, `()` with nothing."""
    if not path.startswith("store."):
        home, _, last = path.rpartition(".")
        parent = pkgutil.resolve_name(home)
        if last in getattr(parent, "model_fields", {}):
            return parent.model_fields[last]
        return getattr(parent, last)
    found: Any = store
    for step in path.split(".")[1:]:
        found = getattr(found, step.partition("(")[0])
        if step.endswith(")"):
            found = found("name") if step.endswith("(…)") else found()
            found = await found if inspect.isawaitable(found) else found
    return found


@pytest.mark.parametrize("title", SECTIONS)
async def test_every_name_of_ours_exists(title: str, store, tmp_path: Path) -> None:
    missing: list[str] = []
    for name in names(SECTIONS[title]):
        try:
            await check(name, store, tmp_path)
        except LookupError:
            missing.append(name)
    assert len(names(SECTIONS[title])) > 15
    assert not missing


async def test_every_name_before_the_tables_exists(store, tmp_path: Path) -> None:
    spoken = CODE.findall(GUIDE.partition("\n## ")[0])
    ours = {name for name in spoken if OURS.match(name)} - CALLED
    assert len(ours) > 4
    for name in ours:
        await check(name, store, tmp_path)


def test_a_row_says_what_is_ours_or_that_there_is_none() -> None:
    assert len(SECTIONS) == 5
    for section in SECTIONS.values():
        for theirs, ours, _ in rows(section):
            assert theirs
            assert ours in ("not yet", "nothing") or not CODE.sub("", ours).strip(" ,"), ours


@pytest.mark.parametrize(
    "name",
    [
        "later",
        "store.sessions.make",
        "store.memory.user(…).store",
        "store.memory.user(…).list(pages=)",
        "store.stats().type",
        "store.sessions.list(pattern=, author=)",
        "sojourn.Session.owner",
        "sojourn.integrations.adk.StateService",
        "sojourn.Settings.redis_pool",
        "SOJOURN_POOL",
        "session:{app}:id",
        "memcached://",
        "sojourn sessions export",
        "sojourn sessions ls --csv",
        "sojourn adk serve",
        "python -m sojourn adk web --session_uri",
        "make migrate",
        "examples/dashboard.py",
    ],
)
async def test_what_does_not_exist_is_found_out(name: str, store, tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        await check(name, store, tmp_path)


async def test_their_keys_are_neither_read_nor_touched(shared_server: Server) -> None:
    theirs = {"session:shop:ada:8e42": "{}", "session:user-123": "[]", "vana:session:8e42": "\x80"}
    async with (
        redis.asyncio.Redis.from_url(shared_server.url, decode_responses=True) as old,
        sojourn.open(shared_server.url) as store,
    ):
        await old.flushall()
        await old.mset(theirs)
        session = await store.sessions.create("shop", "ada", "8e42")
        history = store.history("user-123")
        await history.append("user", "Hello!")
        assert [message.content for message in await history.all()] == ["Hello!"]
        await store.sessions.delete(session.key)
        await store.sessions.delete(history.key)
        assert await old.mget(theirs) == list(theirs.values())
        await old.delete(*theirs)


async def test_the_layouts_that_the_guide_names_are_those_that_there_are(store) -> None:
    section = GUIDE.partition("## Bringing sessions along")[2]
    table = [line for line in section.splitlines() if line.startswith("| `")]
    named = [CODE.findall(line.split(" | ")[1]) for line in table]
    assert {name for names in named for name in names} == set(LAYOUTS)
    for line in table:
        for name in CODE.findall(line.split(" | ")[2]):
            if OURS.match(name):
                await check(re.sub(r"\(.*?\)", "(…)", name).partition("(")[0], store, ROOT)
