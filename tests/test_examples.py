"""The examples, each as a process of its own, on an embedded server and on one that was started."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from extent import FULL
from servers import Server

EXAMPLES = Path(__file__).parent.parent / "examples"

OTHERS = ("SOJOURN_", "REDIS_", "GOOGLE_", "GEMINI_", "MEMORY_TTL", "KNOWLEDGE_TTL", "HISTORY_TTL")
"""Variables that would change what an example does."""


class Examples:
    """Runs examples on one store."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def run(self, name: str, *arguments: str, url: str | None = None) -> list[str]:
        """What an example prints."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(OTHERS)
        }
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / name), *arguments],
            env={**environment, "SOJOURN_URL": url or self.url},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(params=["embedded", "server"] if FULL else ["embedded"])
def examples(request: pytest.FixtureRequest, tmp_path: Path) -> Examples:
    """The examples, on a namespace or in a folder of the test's own."""
    if request.param == "embedded":
        return Examples(f"embedded:{tmp_path / 'data'}", tmp_path)
    server: Server = request.getfixturevalue("shared_server")
    name = re.sub(r"\W", "-", request.node.originalname)
    return Examples(f"{server.url}?namespace={name}", tmp_path)


def kind(examples: Examples) -> str:
    return examples.url.partition(":")[0]


def test_memory_outlives_a_session(examples: Examples) -> None:
    first = examples.run("cross_session_memory.py")
    assert "Preferences from before: None" in first
    assert "Sessions of ada: 1" in first
    assert "Remembered sessions: 1" in first

    second = examples.run("cross_session_memory.py")
    preferences = "{'depth': 'comprehensive', 'sources': ['academic'], 'format': 'detailed'}"
    assert f"Preferences now: {preferences}" in first
    assert f"Preferences from before: {preferences}" in second
    assert (
        "The agent knows: {'preferred_depth': 'comprehensive', 'topics': ['AI safety']}" in second
    )
    assert "Knowledge: audits: Auditors read the logs of an agent, not its promises." in second
    assert "Sessions of ada: 2" in second
    assert "Remembered sessions: 2" in second
    assert "Found: AI safety research (ended)" in second
    assert f"Store: {kind(examples)}, available: True" in second


def test_the_store_without_a_loop_leaves_nothing_behind(examples: Examples) -> None:
    said = examples.run("sync_store.py")
    assert said == [
        "Ensured: Research session, the same: True",
        "Message 1: user: Hello, world! {'source': 'web'}",
        "Message 2: assistant: Good morning. {}",
        "User 42 gets: Research session. User 43 gets: None",
        "Waiting: session_123, {'phase': 'review'}, state {'step': 2, 'user:theme': 'dark'}",
        "A change of what is not there: not_found",
        f"Store: {kind(examples)}, available: True, retries: 0",
        "Health: True, servers: 1",
        "Deleted: True. Sessions left: 0",
    ]
    assert examples.run("sync_store.py") == said


def test_a_graph_remembers_after_a_restart(examples: Examples) -> None:
    assert examples.run("langgraph_chat.py", "Hello, I am Ada.") == [
        "You said 1 things, first: Hello, I am Ada.",
        "first: Hello, I am Ada. (3 checkpoints)",
    ]
    assert examples.run("langgraph_chat.py", "Who am I?") == [
        "You said 2 things, first: Hello, I am Ada.",
        "first: Hello, I am Ada. (6 checkpoints)",
    ]


def test_a_session_is_loaded_after_a_restart(examples: Examples) -> None:
    first = examples.run("session_manager.py")
    assert first[0] == "spiral-1: not found, creating new"
    assert "Loaded: turn 1, events 1, {'runs': 1}" in first

    assert examples.run("session_manager.py") == [
        "spiral-1: resumed in flow csv2507, turn 1",
        "An older copy is not saved over it",
        "Loaded: turn 2, events 2, {'runs': 2}",
        "{'pattern': 's*-1'}: ['scratch-1', 'spiral-1']",
        "{'status': 'done'}: ['scratch-1']",
        "{'labels': {'flow': 'csv2507'}}: ['spiral-1']",
        "Deleted: True",
        "Deleted again: False",
    ]


def test_the_manager_takes_a_url_instead_of_the_environment(examples: Examples) -> None:
    assert examples.run("session_manager.py", examples.url, url="memory://")[0].endswith("new")
    again = examples.run("session_manager.py", examples.url, url="memory://")
    assert again[0] == "spiral-1: resumed in flow csv2507, turn 1"


def test_what_one_process_computed_the_next_one_has(examples: Examples) -> None:
    first = examples.run("execution_cache.py")
    assert first[0] == "exec_abc from before: None"
    assert first.count("Running csv2507 ...") == 1
    assert first[-2:] == ["10 answers, all the same: True", "Computed: 1, hit rate: 77%"]

    second = examples.run("execution_cache.py")
    assert second[0].startswith("exec_abc from before: {'result': 'Structural tension is...'")
    assert "exec_abc of another tenant: None" in second
    assert "Running csv2507 ..." not in second
    assert second[-1] == "Computed: 0, hit rate: 92%"

    assert "Running csv2507 ..." in examples.run("execution_cache.py", "--forget")


def test_the_second_process_knows_the_conversation(examples: Examples) -> None:
    assert examples.run("message_history.py", "My name is Ada.")[-1].endswith("meet you, Ada.")
    second = examples.run("message_history.py", "What is my name?")
    assert second == [
        "Messages from before: 2",
        "user: What is my name?",
        "assistant: You are Ada.",
    ]
    other = examples.run("message_history.py", "--session", "other", "What is my name?")
    assert other[-1] == "assistant: You have not told me your name."
    assert examples.run("message_history.py", "--clear") == ["Cleared. Messages: 0"]
    assert examples.run("message_history.py")[0] == "Messages from before: 0"


def test_a_runner_of_adk_goes_on_where_it_was(examples: Examples) -> None:
    first = examples.run("adk_services.py")
    assert first[:2] == ["Events from before: 0", "What is test_key? -> I do not know test_key."]

    second = examples.run("adk_services.py")
    assert second == [
        "Events from before: 12",
        "What is test_key? -> test_key is test_123 (in this session).",
        "Store test_key with value test_123 -> Stored test_key = test_123 in this session.",
        "What is test_key? -> test_key is test_123 (in this session).",
        "Saved answers.txt, version 1; version 0 has 107 B",
        "Created and got: {'step': 1, 'user:color': 'blue'}",
        "Listed: 1",
        "Got after its deletion: None",
    ]


def test_the_readme_lists_every_example_and_each_is_short() -> None:
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    listed = re.findall(r"^\| \[.+?\]\((.+?)\)", readme, re.MULTILINE)
    scripts = [path for path in EXAMPLES.glob("*.py") if path.name != "services.py"]
    agents = [path.parent for path in EXAMPLES.glob("*/*.py") if path.stem[:2] == "__"]
    assert sorted(listed) == sorted(path.name for path in {*scripts, *agents})
    for script in scripts:
        source = script.read_text("utf-8")
        assert f"python examples/{script.name}" in source.split('"""')[1]
        assert source.count("\n") <= 90
