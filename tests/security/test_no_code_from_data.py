"""No path unpickles, evaluates, or imports by a name that it read."""

import ast
import re
from pathlib import Path

import pytest

import sojourn

SOURCE = Path(sojourn.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
FORBIDDEN_MODULES = {
    *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "jsonpickle", "marshal", "shelve"),
    *("code", "codeop", "runpy", "xmlrpc", "yaml", "joblib"),
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
BY_NAME = {
    # Of a table in the code, or a name of the project's own.
    "__init__.py": {"home"},
    "__main__.py": {"home"},
    "surfaces/cli/app.py": {"_home"},
    "integrations/langgraph/sources.py": {"module"},
    # One that the application has allowed by name.
    "integrations/langgraph/strict.py": {"name[0]"},
}


def calls(tree: ast.AST, *names: str) -> list[ast.Call]:
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
        of_a_module = isinstance(called, ast.Name) or name not in FORBIDDEN_CALLS
        if name in names and of_a_module:
            found.append(node)
    return found


def imported(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name.partition(".")[0] for name in found}


def faults(text: str, file: str = "") -> list[str]:
    tree = ast.parse(text)
    named = [call.args[0] for call in calls(tree, "import_module", "find_spec", "locate")]
    shells = [
        each for each in ast.walk(tree) if isinstance(each, ast.keyword) and each.arg == "shell"
    ]
    return [
        *(f"imports {name}" for name in imported(tree) & FORBIDDEN_MODULES),
        *(f"calls {ast.unparse(call)}" for call in calls(tree, *FORBIDDEN_CALLS)),
        *(f"imports by a name: {ast.unparse(name)}" for name in named if not is_known(name, file)),
        *("runs a shell" for _ in shells),
    ]


def is_known(name: ast.expr, file: str) -> bool:
    return isinstance(name, ast.Constant) or ast.unparse(name) in BY_NAME.get(file, set())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_that_was_read_is_run(path):
    assert faults(path.read_text("utf-8"), str(path.relative_to(SOURCE))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import shelve as s",
        "def f(x): return eval(x)",
        "def f(x): exec(x)",
        "def f(x): return __import__(x)",
        "from importlib import import_module\ndef f(x): return import_module(x)",
        "import importlib\ndef f(x): return importlib.import_module(f'a.{x}')",
        "import subprocess\ndef f(x): subprocess.run(x, shell=True)",
    ],
)
def test_the_check_finds_what_it_looks_for(text):
    assert faults(text)


def test_lua_scripts_run_nothing_that_they_read():
    scripts = sorted(SOURCE.rglob("*.lua"))
    assert len(scripts) > 20
    for path in scripts:
        words = set(path.read_text("utf-8").replace("(", " ").split())
        assert not words & {"loadstring", "load", "dofile", "loadfile", "require"}


def test_lua_scripts_encode_no_values_again():
    """Numbers and empty lists would come out as something else; text is the same."""
    for path in SOURCE.rglob("*.lua"):
        encoded = re.findall(r"cjson\.encode\([^)]*\)", path.read_text("utf-8"))
        if path.name == "update.lua":  # names and words of labels
            assert set(encoded) == {"cjson.encode(name)", "cjson.encode(labels[name])"}
        else:
            assert encoded == []
