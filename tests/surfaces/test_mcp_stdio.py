"""`sojourn mcp` as a client starts it: over stdin and stdout."""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path

import pytest
from cli_kit import SOJOURN, Cli
from mcp_kit import MODES, call, fails, stdio

from servers import Server


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["memory", "embedded", "server"])
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


def test_only_the_protocol_is_on_stdout(cli: Cli) -> None:
    start = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    lines = [json.dumps(start), "no JSON", json.dumps({"jsonrpc": "2.0", "id": 1, "method": "x"})]
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
    assert "sojourn[cli,mcp]" in done.stderr
