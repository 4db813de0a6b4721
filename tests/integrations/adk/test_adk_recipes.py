"""The ways in which people start ADK, each with Sojourn's sessions: those of the guide."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from adk_kit import ADK
from warm_python import environment, run

from proxy import Proxy
from servers import free_port
from sojourn.errors import InvalidInput
from sojourn.integrations.adk import ArtifactService, MemoryService, SessionService

EXAMPLES = Path(__file__).parents[3] / "examples"
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "adk.md"

ADK_MAIN = "import sys\nfrom google.adk.cli.cli_tools_click import main\nmain(sys.argv[1:])\n"

SERVE = """\
import sys
from fastapi.testclient import TestClient
from google.adk.cli.fast_api import get_fast_api_app
if sys.argv[3:] == ["register"]:
    from sojourn.integrations.adk import register
    register()
app = get_fast_api_app(agents_dir=sys.argv[1], session_service_uri=sys.argv[2], web=False)
with TestClient(app) as client:
    path = "/apps/demo_agent/users/ada/sessions"
    print(client.post(f"{path}/s").status_code, client.get(f"{path}/s").json()["id"])
"""


def keys(redis) -> list[str]:
    """The sessions of the demo agent."""
    return [key for key in redis.scan_iter("session:{demo_agent:*", 1000) if key.count(":") == 3]


@pytest.fixture
def agents(tmp_path, redis) -> Path:
    """A folder with one agent in it, as `sojourn adk init` finds it."""
    for key in redis.scan_iter("*{demo_agent*", 1000):
        redis.delete(key)
    shutil.copytree(EXAMPLES / "demo_agent", tmp_path / "agents" / "demo_agent")
    return tmp_path / "agents"


@pytest.fixture
def uri(shared_server) -> str:
    return shared_server.url


def init(agents: Path) -> str:
    done = run("adk", "init", str(agents))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_adk_run(agents, uri, redis, tmp_path):
    init(agents)
    replay = tmp_path / "replay.json"
    replay.write_text(json.dumps({"state": {}, "queries": ["hello"]}))
    words = ["run", f"--session_service_uri={uri}", f"--replay={replay}"]
    done = run("-c", ADK_MAIN, *words, str(agents / "demo_agent"))
    assert done.returncode == 0, done.stderr
    assert len(keys(redis)) == 1


@pytest.mark.parametrize("folder", [".", "demo_agent"])
def test_plain_adk_web_of_all_agents_and_of_one(agents, uri, redis, folder):
    init(agents)
    done = run("-c", SERVE, str(agents / folder), uri)
    assert done.stdout.splitlines()[-1:] == ["200 s"], done.stderr
    assert len(keys(redis)) == 1


def test_an_app_of_ones_own(agents, uri, redis):
    done = run("-c", SERVE, str(agents), uri, "register")
    assert done.stdout.splitlines()[-1:] == ["200 s"], done.stderr
    assert len(keys(redis)) == 1


def test_adks_services_yaml_with_our_classes(agents, uri, redis):
    (agents / "services.yaml").write_text(
        "services:\n"
        "  - scheme: redis\n"
        "    type: session\n"
        "    class: sojourn.integrations.adk.SessionService\n"
    )
    done = run("-c", SERVE, str(agents), uri)
    assert done.stdout.splitlines()[-1:] == ["200 s"], done.stderr
    assert len(keys(redis)) == 1


@pytest.mark.skipif(ADK < (2, 13), reason="this google-adk has no --extra_packages")
def test_adk_deploy_cloud_run(agents, uri, redis, tmp_path, monkeypatch):
    """A `gcloud` of ours keeps what would be built; then the image is put together from it."""
    (agents / "demo_agent" / "requirements.txt").write_text("sojourn[adk]\n")
    told = init(agents)
    (line,) = [each for each in told.splitlines() if each.startswith("adk deploy")]
    words = shlex.split(line.replace("redis://localhost:6379", uri), comments=True)[1:]
    built, tools = tmp_path / "built", tmp_path / "tools"
    tools.mkdir()
    (tools / "gcloud").write_text(
        "#!/bin/sh\n"
        'while [ "$1" != --source ]; do shift; done\n'
        f'cp -r "$2" {built}\n'
    )  # fmt: skip
    (tools / "gcloud").chmod(0o755)
    path = f"import os\nos.environ['PATH'] = {str(tools)!r} + ':' + os.environ['PATH']\n"
    words += ["--project=p", "--region=r"]
    done = run("-c", path + ADK_MAIN, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    image = tmp_path / "image"
    instructions = (built / "Dockerfile").read_text().splitlines()
    for source, target in (
        shlex.split(each)[2:] for each in instructions if each.startswith("COPY --chown")
    ):
        (image / target.strip("/")).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (built / source).is_dir() else shutil.copy
        copy(built / source, image / target.strip("/"))
    (command,) = [each for each in instructions if each.startswith("CMD")]
    assert f"--session_service_uri={uri}" in command
    assert any(each.startswith("RUN") and "requirements.txt" in each for each in instructions)
    python = f"import sys\nsys.path.insert(0, {str(image / 'app')!r})\n"
    done = run("-c", python + SERVE, str(image / "app" / "agents"), uri)
    assert done.stdout.splitlines()[-1:] == ["200 s"], done.stderr
    assert len(keys(redis)) == 1


@pytest.fixture
def image(agents, tmp_path) -> tuple[Path, str]:
    """What the guide's Dockerfile puts together, and its command there."""
    (agents / "demo_agent" / "requirements.txt").write_text("sojourn[adk]\n")
    text = GUIDE.read_text("utf-8").partition("```dockerfile\n")[2].partition("```")[0]
    text = text.replace("/shop/", "/demo_agent/")
    steps = dict(each.split(" ", 1) for each in text.splitlines())
    root, (source, target) = tmp_path / "image", steps["COPY"].split()
    shutil.copytree(agents.parent / source, root / target.strip("/"))
    installed = steps["RUN"].rpartition(" ")[2]
    assert (root / installed.strip("/")).read_text() == "sojourn[adk]\n"
    assert steps["WORKDIR"] == "/app"
    (root / "bin").mkdir()
    (root / "bin" / "sojourn").write_text(f'#!/bin/sh\nexec {sys.executable} -m sojourn "$@"\n')
    (root / "bin" / "sojourn").chmod(0o755)
    return root, steps["CMD"].replace("/app/", f"{root}/app/")


async def test_the_dockerfile_of_the_guide_is_served_behind_a_freeze(image, shared_server, redis):
    """Cloud Run stops the process between requests; meanwhile its connections die in silence."""
    root, command = image
    async with Proxy(shared_server.port) as proxy:
        port = free_port()
        env = {
            **environment(),
            "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
            "PORT": str(port),
            "SESSIONS": f"{proxy.url}?health_check_interval=1",
        }
        process = await asyncio.create_subprocess_shell(
            command, env=env, cwd=root / "app", stdout=DEVNULL, stderr=DEVNULL
        )
        path = "/apps/demo_agent/users/ada/sessions"
        said = {"role": "user", "parts": [{"text": "hello"}]}
        turn = {"appName": "demo_agent", "userId": "ada", "sessionId": "s", "newMessage": said}
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                await answering(client, process)
                assert (await client.post(f"{path}/s")).status_code == 200
                assert (await client.post("/run", json=turn)).status_code == 200
                process.send_signal(signal.SIGSTOP)
                dead = proxy.connections
                proxy.on_request = lambda _: "pass" if proxy.connections > dead else "stall"
                await asyncio.sleep(1.2)  # longer than health_check_interval
                process.send_signal(signal.SIGCONT)
                assert (await client.post("/run", json=turn)).status_code == 200
                assert proxy.connections > dead
                found = (await client.get(f"{path}/s")).json()
                assert [each["author"] for each in found["events"]].count("user") == 2
        finally:
            process.kill()
            await process.wait()
    assert len(keys(redis)) == 1


async def answering(client, process) -> None:
    """Wait until the server does."""
    async with asyncio.timeout(60):
        while process.returncode is None:
            with suppress(httpx.TransportError):
                await client.get("/list-apps")
                return
            await asyncio.sleep(0.05)  # another process: no event to wait for
    raise AssertionError(f"it ended with {process.returncode}")


def test_init_tells_of_a_folder_that_hides_its_file(agents):
    (agents / "demo_agent" / "services").mkdir()
    done = run("adk", "init", str(agents))
    assert done.returncode == 1
    assert "register()" in done.stderr
    assert list((agents / "demo_agent" / "services").iterdir()) == []


SERVICES = [SessionService, MemoryService, ArtifactService]


@pytest.mark.parametrize("kind", SERVICES)
async def test_a_service_takes_what_adk_gives_it(kind, uri):
    service = kind(uri=uri, agents_dir="agents", namespace="n")
    await service.store.ping()
    await service.close()


@pytest.mark.parametrize("kind", SERVICES)
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"uri": "memory://", "pool_size": 5, "echo": True}, "echo, pool_size"),
        ({}, "uri"),
        ({"url_or_store": "memory://", "uri": "memory://"}, "uri"),
    ],
)
def test_an_argument_that_nobody_takes_is_named(kind, arguments, named):
    with pytest.raises(InvalidInput, match=named):
        kind(**arguments)


async def test_options_of_a_session_service_may_stand_in_its_url(uri):
    service = SessionService(f"{uri}?copies=light&session_ttl=100&on_stale=raise", copies="deep")
    where = {"app_name": "light", "user_id": "ada", "session_id": "s"}
    await service.store.ping()
    await service.create_session(**where)
    await service.delete_session(**where)
    await service.close()
    for wrong in ("copies=shallow", "on_stale=ignore", "colour=red"):
        with pytest.raises(Exception, match=wrong.partition("=")[0]):
            SessionService(f"{uri}?{wrong}")
