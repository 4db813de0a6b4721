"""README and the guides run as pasted: each block of Python, and each command that can run.

The blocks of a page run in order, in one namespace, with `await` at the top, as in
`python -m asyncio`; a block that calls `asyncio.run` is a program and has a namespace of its own.
Commands of `sojourn` run on the store that the blocks before them have filled.
"""

from __future__ import annotations

import ast
import asyncio
import io
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from inspect import CO_COROUTINE
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import pytest
import redis

import sojourn
from servers import Server
from sojourn.integrations.adk import SessionService
from sojourn.integrations.langchain import ChatMessageHistory, KeyValueStore, LLMCache
from sojourn.surfaces.cli import main

ROOT = Path(__file__).parent.parent
PAGES = {
    path.stem: path for path in (ROOT / "README.md", *sorted((ROOT / "docs/guides").glob("*.md")))
}
BLOCK = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"dockerfile", "json", "python", "sh", "text", "toml"}

ELSEWHERE = {
    "mcp": "tests/surfaces/test_mcp_guide.py runs them, with a server for each",
    "dashboard": "tests/http/test_http_guide.py runs them, with a file of keys",
}
"""Pages whose blocks of Python another test runs."""

NOT_RUN = {
    r"git clone .*|cd sojourn": "there is no clone of the clone",
    r"pip install .*": "installs packages",
    r"python3 -m venv .*": "makes an environment",
    r"curl .*": "asks a server that is not there",
    r"\(echo .*": "the shell's own words",
    r"(python -m )?sojourn adk (web|api_server|run) .*": "serves until Ctrl-C; tests/e2e runs it",
    r"sojourn metrics --listen .*": "serves until Ctrl-C; test_cli_metrics.py runs it",
    r"sojourn serve.*": "serves until Ctrl-C; tests/http runs it",
    r"export \w+=.*": "the shell's own words; tests/http/test_http_guide.py sets them",
    r"sojourn mcp.*": "serves until Ctrl-C; tests/surfaces/test_mcp_http.py runs it",
    r"sojourn sessions tail .*": "follows until Ctrl-C; tests/surfaces/test_cli_tail.py runs it",
    r"sojourn migrate .*": "needs another store's data; tests/transfer runs it",
    r"sojourn import .*redis\+cluster.*": "needs a Cluster",
    r"sojourn import .*--archive-keys.*": "needs a server; test_cli_transfer.py runs it",
    r"sojourn export .*--passphrase-file.*": "needs a passphrase; test_cli_transfer.py runs it",
    r"python examples/.*": "tests/test_examples.py runs them",
}
"""Commands that stand on a page and do not run here, and why."""

_used: set[str] = set()


class Block(NamedTuple):
    """A block of a page."""

    page: str
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}.md, line {self.line}"


def blocks(page: str) -> Iterator[Block]:
    text = PAGES[page].read_text("utf-8")
    for found in BLOCK.finditer(text):
        indent, language, title, inside = found.groups()
        lines = [line.removeprefix(indent) for line in inside.splitlines()]
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, language, title.strip(), "\n".join(lines) + "\n")


def commands(block: Block) -> Iterator[str]:
    """The lines of a shell block, without comments."""
    for line in block.text.replace("\\\n", " ").splitlines():
        command = re.split(r"(?:^|\s+)# ", line)[0].strip()
        if command:
            yield command


class Reader:
    """Somebody who pastes what stands on a page, into one interpreter and one shell."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._url = server.url
        self._folder = folder
        self._names: dict[str, Any] = {"__name__": "__main__"}

    async def python(self, block: Block) -> None:
        source = block.text.replace("redis://localhost:6379", self._url)
        source = source.replace("embedded:.sojourn", self._url)  # tests/engine starts those
        tree = compile(
            source, str(block), "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        )
        code = compile(tree, str(block), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if "asyncio.run(" in source:
            await asyncio.to_thread(FunctionType(code, {"__name__": "__main__"}))
        elif code.co_flags & CO_COROUTINE:
            await FunctionType(code, self._names)()
        elif "sojourn.sync" in source:  # it would wait for this loop's turn
            await asyncio.to_thread(FunctionType(code, self._names))
        else:
            FunctionType(code, self._names)()

    async def leave(self) -> None:
        """What a reader does by ending the interpreter."""
        for each in self._names.values():
            if isinstance(each, sojourn.Sojourn | SessionService):
                await each.close()
            elif isinstance(each, ChatMessageHistory | LLMCache | KeyValueStore):
                await asyncio.to_thread(each.close)

    def shell(self, command: str) -> None:
        line, _, file = command.partition(" >")
        words = shlex.split(line.replace("redis://localhost:6379", self._url))
        assert words[0] == "sojourn", f"{command!r}: run it here, or say in NOT_RUN why not"
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main(words[1:])
        fine = (
            {0, None, 1} if words[1] == "doctor" else {0, None}
        )  # it finds fault with this server
        assert end.value.code in fine, f"{command}: {err.getvalue()}{out.getvalue()}"
        if file:
            (self._folder / file.strip()).write_text(out.getvalue(), "utf-8")


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_runs_as_pasted(
    page: str,
    shared_server: Server,
    tmp_path: Path,
    clean_environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with redis.Redis.from_url(shared_server.url) as client:
        client.flushall()
    clean_environment.chdir(tmp_path)
    clean_environment.setenv("SOJOURN_URL", shared_server.url)
    reader = Reader(shared_server, tmp_path)
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block}: say in which language it is"
        if block.language == "python" and page not in ELSEWHERE:
            await reader.python(block)
        elif block.language == "sh":
            for command in commands(block):
                if not _is_not_run(command):
                    await asyncio.to_thread(reader.shell, command)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)
    await reader.leave()


def _is_not_run(command: str) -> bool:
    found = [pattern for pattern in NOT_RUN if re.fullmatch(pattern, command)]
    _used.update(found)
    return bool(found)


def test_the_map_names_what_is_there() -> None:
    """Each file, folder and name in code style in docs/architecture.md is in the source."""
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    source = ROOT / "src/sojourn"
    files = [each for each in source.rglob("*") if each.suffix in {".py", ".lua"}]
    code = "\n".join(each.read_text("utf-8") for each in files)
    for name in re.findall(r"`(?!make )([^`\n]+)`", text):
        if "/" in name or name.endswith((".py", ".lua")):
            places = [Path(name.replace("ROOM", room)) for room in ("sessions", "memory")]
            found = any(
                (base / each).exists()
                for each in places
                for base in (source, source / "sessions", source / "sessions/operations", ROOT)
            )
        else:
            found = all(re.search(rf"\b{word}\b", code) for word in re.findall(r"\w+", name))
        assert found, f"{name} is not in src/sojourn"


def test_nothing_is_left_out_that_does_not_stand_on_a_page() -> None:
    lines = [
        line
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh"
        for line in commands(block)
    ]
    assert [
        pattern for pattern in NOT_RUN if not any(re.fullmatch(pattern, each) for each in lines)
    ] == []


def test_the_figures_of_the_readme_are_those_of_the_recorded_runs() -> None:
    subprocess.run([sys.executable, ROOT / "scripts/readme_figures.py", "--check"], check=True)


def test_the_readme_clones_what_the_package_names() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert f"git clone {urls['Repository']} " in PAGES["README"].read_text("utf-8")


def test_links_lead_somewhere() -> None:
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text("utf-8")):
            file, _, heading = target.partition("#")
            found = path.parent / file if file else path
            assert found.exists(), f"{path.name}: {target}"
            assert not heading or heading in headings(found), f"{path.name}: {target}"


def headings(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


def test_no_command_hides_in_an_indented_block() -> None:
    found = [
        f"{page}: {line}"
        for page, path in PAGES.items()
        for line in BLOCK.sub("", path.read_text("utf-8")).splitlines()
        if re.match(r"    (sojourn|pip|python|await|store)\b", line)
    ]
    assert found == []
