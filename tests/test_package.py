"""The package as a user meets it: names, imports, the wheel, and what is said without an extra."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

import sojourn
from sojourn import errors
from sojourn.security import Guard, User

ROOT = Path(__file__).parents[1]
EXTRAS = {
    *("click", "fastapi", "google", "hiredis", "langchain_core", "langgraph", "opentelemetry"),
    *("prometheus_client", "rich", "typer", "uvloop", "zstandard"),
}
REDIS_PY = {"hiredis", "opentelemetry"}
"""What redis-py imports by itself where it is installed."""
SETTINGS = {"dotenv", "pydantic", "pydantic_core", "pydantic_settings"}
HEAVY = EXTRAS | SETTINGS | {"redis", "msgspec", "asyncio"}


def python(code: str, *options: str) -> str:
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def imported_by(code: str) -> set[str]:
    names = python(f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))")
    return {name.split(".")[0] for name in json.loads(names)}


OPENING = {"Settings", "Sojourn", "close_default", "default", "force_memory", "open"}
FACTS = {"CallFact", "CorruptFact", "OutageFact", "ReplayReport"}
"""What hooks are told."""


def classes_in(hint: Any) -> set[type]:
    """Our classes that a type hint names."""
    found = set[type]().union(*map(classes_in, get_args(hint)))
    kind = get_origin(hint) or hint
    ours = inspect.isclass(kind) and kind.__module__.startswith("sojourn")
    return found | ({kind} if ours else set())


def results() -> set[type]:
    """The classes that the public methods of a store, and of what they give, return.

    A guard and what it makes are imported from `sojourn.security`.
    """
    found: set[type] = set()
    waiting: set[type] = {sojourn.Sojourn}
    rooms = "sessions", "batch", "adapters", "memory", "cache", "artifacts", "threads", "admin"
    with sojourn.force_memory() as store:
        waiting |= {type(getattr(store, name)) for name in (*rooms, "notices")}
        admin = store.admin
        of_rooms = admin.doctor, admin.cache, admin.memory, admin.artifacts, admin.threads
        waiting |= set(map(type, (store.sessions.safe, store.batch.safe, *of_rooms)))
    while waiting:
        kind = waiting.pop()
        found.add(kind)
        for name, member in inspect.getmembers(kind):
            method = member.fget if isinstance(member, property) else member
            if not name.startswith("_") and inspect.isfunction(method):
                given = classes_in(get_type_hints(method).get("return"))
                waiting |= given - found - {Guard, User}
    return found


def test_every_public_name_is_there_and_no_other() -> None:
    given = {kind.__name__ for kind in results() if hasattr(sojourn, kind.__name__)}
    ours = given | OPENING | FACTS | {"Event", "NearCacheStats", "NodeHealth", "Result"}
    ours |= set(errors.__all__)
    assert sorted(sojourn.__all__) == sorted(ours)
    for name in sojourn.__all__:
        assert getattr(sojourn, name).__doc__, name
    with pytest.raises(AttributeError, match="nonsense"):
        _ = sojourn.nonsense


def test_agents_have_seventeen_calls_for_sessions_at_most() -> None:
    assert len([name for name in dir(sojourn.Sessions) if not name.startswith("_")]) <= 17


def test_what_a_store_returns_can_be_imported() -> None:
    missing = {
        kind.__qualname__ for kind in results() if getattr(sojourn, kind.__name__, None) is not kind
    }
    assert missing == set()


def test_dir_shows_what_is_public() -> None:
    code = "import sojourn; sojourn.open('memory://'); print(*dir(sojourn))"
    shown = {name for name in python(code).split() if not name.startswith("__")}
    assert shown == {*sojourn.__all__, "sync"}


@pytest.mark.anyio
async def test_a_store_says_what_it_is_in_one_line() -> None:
    store = sojourn.open("redis://:hidden@127.0.0.1:1?namespace=shop")
    assert repr(store) == "<Sojourn redis://127.0.0.1:1 open>"
    await store.close()
    assert repr(store) == "<Sojourn redis://127.0.0.1:1 closed>"
    assert repr(sojourn.open("memory://")) == "<Sojourn memory:// open>"


def test_with_says_how_to_open_a_store() -> None:
    with pytest.raises(TypeError, match=r"async with .* sojourn\.sync\.open"):
        exec("with sojourn.open('memory://'): pass")


def test_a_server_that_is_down_is_told_in_a_few_lines() -> None:
    body = "await store.sessions.create('a', 'b')"
    opened = "sojourn.open('redis://127.0.0.1:1', operation_timeout=0.5)"
    asynchronous = (
        f"import asyncio, sojourn\nasync def main():\n async with {opened} as store:\n  {body}\n"
        "asyncio.run(main())"
    )
    plain = (
        f"import sojourn\nwith {opened.replace('open', 'sync.open')} as store:\n"
        f" {body.removeprefix('await ')}"
    )
    for code in (asynchronous, plain):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        *lines, last = done.stderr.splitlines()
        assert last.startswith("sojourn.errors.Unavailable: No answer from redis://127.0.0.1:1")
        assert len(lines) < 30, done.stderr
        assert "redis.exceptions.ConnectionError" in done.stderr  # the cause, in a line of its own
        assert done.stderr.count("Traceback") == 1


def test_the_calls_without_a_loop_need_no_import_of_their_own() -> None:
    code = "import sojourn; print(sojourn.sync.open('memory://').where)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "memory://\n"


def test_importing_costs_next_to_nothing() -> None:
    assert not imported_by("import sojourn") & HEAVY


def test_opening_needs_no_extra() -> None:
    for opened in ("sojourn.open('redis://localhost')", "sojourn.sync.open('redis://localhost')"):
        found = imported_by(f"import sojourn; {opened}")
        assert not found & (EXTRAS - REDIS_PY | SETTINGS)


def test_the_environment_is_read_without_an_extra() -> None:
    code = (
        "import os, sojourn; os.environ['SOJOURN_URL'] = 'memory://'; sojourn.sync.default().ping()"
    )
    found = imported_by(code)
    assert found >= {"pydantic_settings"}
    assert not found & (EXTRAS - REDIS_PY)


@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [(["sessions", "ls"], "typer", "cli"), (["adk", "web"], "google.adk", "adk")],
)
def test_a_missing_extra_is_named(words: list[str], missing: str, extra: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['sojourn', *{words!r}]; "
    code += "from sojourn.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"in Sojourn's clone, run pip install '.[{extra}]'" in done.stderr


def test_the_wheel_holds_what_it_needs(tmp_path: Path) -> None:
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, *build], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("sojourn-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    lua = {str(path.relative_to(ROOT / "src")) for path in ROOT.glob("src/sojourn/**/*.lua")}
    assert len(lua) > 50
    assert lua <= names
    pages = set(ROOT.glob("src/sojourn/surfaces/dashboard/static/**/*.*"))
    assert len(pages) > 30
    assert {str(path.relative_to(ROOT / "src")) for path in pages} <= names
    assert "sojourn/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests", "bench", "examples")) for name in names)


def test_nothing_that_is_read_is_executed() -> None:
    words = ("pickle", "marshal", "shelve", "eval(", "exec(", "yaml")
    for path in ROOT.glob("src/**/*.py"):
        source = path.read_text("utf-8")
        assert not [word for word in words if f"import {word}" in source or f" {word}" in source], (
            path
        )


def test_the_readme_names_commands_that_exist() -> None:
    readme, makefile = ((ROOT / name).read_text("utf-8") for name in ("README.md", "Makefile"))
    assert readme.index("make demo") < readme.index("make test") < readme.index("## ")
    for target in ("setup", "demo", "dev", "test", "lint", "bench"):
        assert f"make {target}" in readme, target
        assert f"\n{target}:" in makefile, target
