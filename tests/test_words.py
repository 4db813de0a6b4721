"""Docstrings are plain English: a module's starts with a noun or a verb."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "sojourn"
QUESTIONS = {
    "Between",
    "How",
    "What",
    "Whatever",
    "When",
    "Whenever",
    "Where",
    "Wherever",
    "Whether",
    "Which",
    "Who",
    "Whoever",
    "Whom",
    "Whose",
    "Why",
}


def first_word(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{path} has no docstring"
    return docstring.split()[0].rstrip(".,:;?!")


@pytest.mark.parametrize("start", ["What a store keeps.", "Who: a user.", "Between a and b."])
def test_a_question_word_is_found(tmp_path: Path, start: str) -> None:
    module = tmp_path / "module.py"
    module.write_text(f'"""{start}"""\n', encoding="utf-8")
    assert first_word(module) in QUESTIONS


def test_no_module_docstring_starts_with_a_question_word() -> None:
    modules = sorted(SOURCE.rglob("*.py"))
    assert modules
    wrong = [str(each.relative_to(SOURCE)) for each in modules if first_word(each) in QUESTIONS]
    assert not wrong, "start these module docstrings with a noun or a verb: " + ", ".join(wrong)


def test_a_class_has_a_name_of_its_own() -> None:
    """One name means one thing, in whatever module it stands."""
    places: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(SOURCE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
