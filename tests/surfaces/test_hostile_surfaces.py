"""Whatever is given to a tool of MCP or on the command line, the answer is soon, short and ours."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from cli_kit import SECONDS, SOJOURN, Cli
from mcp import Client
from mcp_kit import text

import sojourn
from extent import FULL
from servers import Server
from sojourn import Sojourn
from sojourn.surfaces.cli.app import app
from sojourn.surfaces.cli.exits import ExitCode
from sojourn.surfaces.mcp import Identity, RequestContext, server_of

LONGEST = 1500
"""Characters of what went wrong."""

DEEP: Any = []
for _ in range(150):
    DEEP = [DEEP]

VALUES: Sequence[Any] = [
    *("", "\x00", "\ud800", "\n", "\u202e", "../../etc/passwd", "a:b{c}", "%", "--help"),
    *("*" * 1000, "[" * 600, "x" * 1_000_000, "$encoded", "nan", "1e999", "null"),
    *(math.nan, math.inf, 1e300, 5e-324, -1, 0, 2**53, 2**63, 10**400, True, None),
    *([], [[]], [5], [None], ["\ud800"], [{}], ["x"] * 10_000, DEEP),
    *({}, {"": 1}, {"\x00": 1}, {"x" * 5000: 1}, {"a": math.nan}, {"a": 10**400}, {"a": DEEP}),
    *({"app:": 1}, {"user:": 1}, {"temp:": 1}, {"$encoded": "x"}, {"$plain": 1}, {"a": None}),
]
"""What JSON can say to a tool."""

GOOD: dict[str, Any] = {
    "session": "s",
    "thread": "t",
    "events": [{"author": "a", "payload": 1}],
    "changes": {"a": 1},
    "role": "user",
    "content": "x",
    "key": "k",
    "value": {"a": 1},
    "name": "n",
    "tag": "t",
    "query": "tea",
}
"""For the arguments that a tool must have."""

WORDS = [
    *("", "\n", "a\x00b", "\udcff", "\u202e", "../../etc/passwd", "a:b{c}", "%", "[", "x" * 5000),
    *("nan", "-1", "0", "1e999", "9" * 30),
]
"""What a shell can say, and more."""

ARGUMENTS = {
    "app": "shop",
    "user": "ada",
    "session": "gone",
    "file": "nowhere/at all",
    "source": "memory://",
    "target": "memory://",
    "name": "n",
    "key": "k",
    "query": "tea",
    "tag": "t",
    "record": "r",
    "state": "on",
    "thread": "t",
}
"""For what a command must have."""

TURNS = itertools.count()


def some(values: Sequence[Any]) -> Sequence[Any]:
    """A third of them, in turn another one; all with FULL=1."""
    return values if FULL else values[next(TURNS) % 3 :: 3]


LEFT_OUT = ("adk", "mcp", "serve")
"""The first is Google's command line; the others serve until they are ended: see below."""


@pytest.mark.parametrize("kind", ["memory", "server"])
async def test_whatever_is_given_to_a_tool(kind: str, shared_server: Server) -> None:
    space = f"?namespace=tools-{kind}"
    url = "memory://" if kind == "memory" else f"{shared_server.url}{space}"
    wrong: list[str] = []
    async with (
        sojourn.open(url) as store,
        Client(
            server_of(RequestContext(store.guard(), Identity("shop", "ada"))), mode="auto"
        ) as client,
    ):
        for tool in (await client.list_tools()).tools:
            needed = {name: GOOD[name] for name in tool.input_schema.get("required", [])}
            for name in tool.input_schema["properties"]:
                wrong += await tried(store, client, tool.name, needed, name)
    assert not wrong, "\n".join(wrong)


async def tried(
    store: Sojourn,
    client: Client,
    tool: str,
    needed: dict[str, Any],
    name: str,
) -> list[str]:
    """What was wrong with the answers of a tool to values of an argument."""
    wrong: list[str] = []
    for value in some(VALUES):
        await store.sessions.ensure("shop", "ada", "s")
        async with asyncio.timeout(SECONDS):
            done = await client.call_tool(tool, {**needed, name: value})
        if not done.is_error:
            continue
        said = text(done)
        if len(said) > LONGEST or "Traceback" in said or "pydantic" in said:
            wrong.append(f"{tool} {name} {repr(value)[:20]}: {len(said)} characters: {said[:200]}")
        if "does not answer" in said or "refuses to work" in said or "cannot be read" in said:
            wrong.append(f"{tool} {name} {repr(value)[:20]}: {said[:200]}")
    return wrong


def test_lines_that_are_no_json(shared_server: Server) -> None:
    """The server over pipes answers what it can, and goes on."""
    surrogate = '{"key": "\\ud800", "value": {"\\ud800": 1}}'
    lines = [
        "",
        "nonsense",
        "[" * 100_000,
        '{"jsonrpc": "2.0", "id": 1, "method": 5}',
        '{"jsonrpc": "2.0", "id": NaN, "method": "ping"}',
        '{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "memory_put", '
        f'"arguments": {surrogate}}}}}',
        '{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "memory_put", '
        f'"arguments": {{"key": "k", "value": {"[" * 3000}{"]" * 3000}}}}}}}',
        '{"jsonrpc": "2.0", "id": "last", "method": "ping"}',
    ]
    command = [*SOJOURN, "mcp", "--app", "shop", "--user", "ada", "--url", shared_server.url]
    done = subprocess.run(
        command,
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        encoding="utf-8",
        timeout=3 * SECONDS,
        check=False,
    )
    answered = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert "last" in answered
    assert "Traceback" not in done.stderr


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands, each with its path."""

    def below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        if not hasattr(command, "commands"):
            yield path, command
            return
        for name, each in command.commands.items():
            yield from below(each, (*path, name))

    return below(typer.main.get_command(app), ())


FOUND = {" ".join(path): command for path, command in commands() if path[0] not in LEFT_OUT}


@pytest.mark.parametrize("name", FOUND)
def test_whatever_is_given_to_a_command(
    cli: Cli, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # files of such names are written
    wrong: list[str] = []
    params = FOUND[name].params
    arguments = [each for each in params if each.param_type_name == "argument"]
    options = [each for each in params if each.param_type_name == "option" and not each.is_flag]
    sure = ["--yes"] if any("--yes" in each.opts for each in params) else []
    needed = {each.name: ARGUMENTS[each.name] for each in arguments if each.required}
    for param in (*arguments, *options):
        if param.name in ("url", "namespace") and name != "stats":  # one is as the other
            continue
        for word in some(WORDS):
            given = {**needed, param.name: word} if param in arguments else needed
            option = [] if param in arguments else [f"{param.opts[0]}={word}"]
            last = [given[each.name] for each in arguments if each.name in given]
            ran = cli.run(*name.split(), *sure, *option, "--", *last)
            where = f"{name} {param.name} {word[:20]!r}: {ran.code}, {ran.err[-200:]!r}"
            if ran.code not in (ExitCode.OK, ExitCode.NOT_FOUND, ExitCode.WRONG_INPUT):
                wrong.append(where)
            said = [line for line in ran.err.splitlines() if "error: " in line]
            if any(len(line) > LONGEST for line in said) or "Traceback" in ran.err:
                wrong.append(f"{len(ran.err)} characters, {where}")
            if ran.code == ExitCode.WRONG_INPUT and len(said) != 1:
                wrong.append(f"{len(said)} errors, {where}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "words",
    [
        ("--app=",),
        ("--app=\n",),
        ("--user=",),
        ("--user=" + "x" * 5000,),
        ("--app=shop", "--http", "--port=9" * 30),
        ("--app=shop", "--http", "--port=-1"),
        ("--app=shop", "--http", "--auth=/nowhere/at all"),
        ("--app=shop", "--http", "--host=\u202e"),
    ],
)
def test_whatever_is_given_to_the_server_of_mcp(cli: Cli, words: tuple[str, ...]) -> None:
    ran = cli.call("mcp", *words)
    assert ran.code in (ExitCode.OK, ExitCode.WRONG_INPUT), ran.err
    assert len(ran.err) < LONGEST
    assert "Traceback" not in ran.err
