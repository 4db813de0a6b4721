"""docs/security.md names tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = [*ROOT.glob("tests/**/test_*.py"), *ROOT.glob("src/sojourn/testing/*.py")]
LIST = (ROOT / "docs/security.md").read_text("utf-8")


def named() -> list[tuple[str, str]]:
    """File and test of every name in the tables; `::test` is of the file before it in the row."""
    found = []
    for line in LIST.splitlines():
        file = ""
        for name in re.findall(r"`((?:\w+\.py)?::\w+)`", line):
            before, _, test = name.partition("::")
            file = before or file
            found.append((file, test))
    return found


def test_the_list_is_long():
    assert len(named()) > 70


@pytest.mark.parametrize(("file", "test"), sorted(set(named())))
def test_each_test_of_the_list_is_there(file, test):
    texts = [path.read_text("utf-8") for path in PLACES if path.name == file]
    assert any(re.search(rf"^ *(async )?def {test}\(", text, re.MULTILINE) for text in texts)


def test_each_row_has_a_test_or_says_that_it_is_not_ours():
    rows = [line for line in LIST.splitlines() if line.startswith("| ") and "---" not in line]
    rows = [row for row in rows if not row.startswith(("| it asks", "| requirement", "| question"))]
    bare = [row for row in rows if "::" not in row]
    assert len(rows) > 35
    assert len(bare) == 2, bare
    assert all("the application's" in row for row in bare)
