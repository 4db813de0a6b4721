"""`sojourn mcp` as a client starts it: over stdin and stdout."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cli_kit import SOJOURN, Cli
from mcp_kit import MODES, call, fails, stdio

from extent import FULL
from servers import Server


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["server", "embedded", "memory"] if FULL else ["server"])
async def test_it_serves_its_user_wherever_the_data_are(
    kind: str, mode: str, shared_server: Server, tmp_path: Path
) -> None:
    urls = {"memory": "memory://", "embedded": f"embedded:{tmp_path}", "server": shared_server.url}
    words = ("--url", urls[kind], "--namespace", f"mcp-{secrets.token_hex(4)}", "--user", "ada")
    async with stdio(*words, mode=mode) as client:
        await call(client, "history_append", session="s", role="user", content="hello")
        found = await call(client, "history_read", session="s")
        assert [each["content"] for each in found["messages"]] == ["hello"]
        assert "no such session" in await fails(client, "session_get", session="t")
    async with stdio(*words, mode=mode) as client:
        found = await call(client, "history_read", session="s")
        assert len(found["messages"]) == (0 if kind == "memory" else 1)


async def test_the_user_and_the_store_can_be_said_by_the_environment(shared_server: Server) -> None:
    namespace = f"mcp-{secrets.token_hex(4)}"
    said = {"SOJOURN_URL": shared_server.url, "SOJOURN_NAMESPACE": namespace, "SOJOURN_APP": "shop"}
    for user, number in (("ada", 1), ("eve", 0)):
        async with stdio(environment={**said, "SOJOURN_USER": user}) as client:
            if user == "ada":
                await call(client, "session_create", session="s")
            assert len((await call(client, "session_list"))["sessions"]) == number
    cli = Cli(shared_server.url, namespace)
    (line,) = cli.call("sessions", "ls", "--json").documents
    assert (line["app"], line["user"], line["session"]) == ("shop", "ada", "s")


START = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def asked(number: int) -> dict[str, object]:
    call = {"name": "session_list", "arguments": {}}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call}


def lines_of(*messages: dict[str, object]) -> str:
    return "".join(f"{json.dumps(each)}\n" for each in messages)


def test_what_was_piped_in_is_answered_before_the_end(cli: Cli) -> None:
    done = subprocess.run(
        [*SOJOURN, "mcp", "--user", "ada", "--url", cli.url],
        input=lines_of(START, *map(asked, range(1, 100))).rstrip(),  # the last line has no end
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["id"] for each in answers} == set(range(100))
    assert all("result" in each for each in answers)
    assert done.returncode == 0


@contextmanager
def served() -> Generator[subprocess.Popen[str]]:
    """One that has answered, and waits."""
    process = subprocess.Popen(
        [*SOJOURN, "mcp", "--user", "ada", "--url", "memory://"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(lines_of(START))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 0
        yield process
    finally:
        process.kill()
        process.wait()
        for end in (process.stdin, process.stdout, process.stderr):
            with suppress(BrokenPipeError, AttributeError):
                end.close()  # type: ignore[union-attr]


def test_one_interrupt_ends_it() -> None:
    with served() as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert "Traceback" not in process.stderr.read()  # type: ignore[union-attr]


def test_a_reader_that_has_left_is_no_traceback() -> None:
    with served() as process:
        process.stdout.close()  # type: ignore[union-attr]
        process.stdin.write(lines_of(*map(asked, range(1, 50))))  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()  # type: ignore[union-attr]


def test_only_the_protocol_is_on_stdout(cli: Cli) -> None:
    lines = [json.dumps(START), "no JSON", json.dumps({"jsonrpc": "2.0", "id": 1, "method": "x"})]
    done = subprocess.run(
        [*SOJOURN, "mcp", "--user", "ada", "--url", cli.url],
        input="\n".join(lines) + "\n",
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[0])["result"]["serverInfo"]["name"] == "sojourn"
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in done.stdout.splitlines())
    assert "using" in done.stderr


def test_the_extra_that_is_missing_is_named(cli: Cli) -> None:
    hidden = "import sys; sys.modules['mcp'] = None; sys.argv = ['sojourn', 'mcp', '--user', 'a']; "
    code = f"{hidden}from sojourn.__main__ import main; main()"
    done = subprocess.run(
        [SOJOURN[0], "-c", code], capture_output=True, encoding="utf-8", timeout=30, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install '.[cli,mcp]'" in done.stderr
