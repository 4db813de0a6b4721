"""The wheel of a commit, as the baseline is built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compat.build import NO_BASELINE, ROOT, baseline, build_commit

in_a_clone = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no clone")


def test_the_baseline_is_a_whole_commit_id_or_none_yet() -> None:
    assert baseline() == NO_BASELINE or re.fullmatch(r"[0-9a-f]{40}", baseline())


@in_a_clone
def test_a_wheel_of_a_commit_has_the_scripts(tmp_path: Path) -> None:
    tree = build_commit("HEAD", tmp_path)
    assert (tree / "sojourn" / "sessions" / "operations" / "append.lua").exists()
    assert (tree / "sojourn" / "py.typed").exists()


@in_a_clone
def test_a_clone_without_the_commit_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="git fetch --unshallow"):
        build_commit("0" * 40, tmp_path)
