"""Files of `deploy/`: what they say is what runs, as far as that shows without Docker."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import sojourn
from extent import FULL
from servers import Server, redis_binary, until

ROOT = Path(__file__).parents[1]
CONF = ROOT / "deploy/redis/redis.conf"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STEPS = [
    tuple(line.split(" ", 1))
    for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]

EMBEDDED_SOJOURN = """
import sys
from pathlib import Path
written = []
def hook(event, args):
    mode = str(args[1] or "") if event == "open" else ""
    if isinstance(args[0] if args else 0, str) and any(letter in mode for letter in "wax+"):
        written.append(args[0])
    elif event in {"os.mkdir", "os.rename", "os.remove"}:
        written.append(str(args[0]))
sys.addaudithook(hook)
from sojourn.__main__ import main
sys.argv = ["sojourn", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    print("ended", ended.code, [each for each in written if not each.startswith(("/tmp", "/dev"))])
"""


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_closed(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:"), port
    if "image" in service:
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"]), "name a version"
    for volume in service.get("volumes", ()):
        source, target, *mode = volume.split(":")
        if source.startswith("."):
            assert mode == ["ro"], volume
            assert (ROOT / source).exists(), volume
        else:
            assert source in COMPOSE["volumes"], volume
            assert target.startswith("/")


def test_the_sources_of_grafana_are_where_it_looks() -> None:
    provisioning = ROOT / "deploy/grafana/provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards/sojourn.yml").read_text())["providers"]
    targets = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert any(target.startswith(provider["options"]["path"]) for target in targets)
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    host, port = source["url"].removeprefix("http://").split(":")
    assert f":{port}" in SERVICES[host]["ports"][0]


def test_what_is_scraped_is_there() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    targets = [
        target
        for job in config["scrape_configs"]
        for each in job["static_configs"]
        for target in each["targets"]
    ]
    known = {*SERVICES, *(each.split(":")[0] for each in SERVICES["prometheus"]["extra_hosts"])}
    assert {target.split(":")[0] for target in targets} <= known
    (listening,) = [target for target in targets if target.startswith("metrics:")]
    assert SERVICES["metrics"]["command"][-1].endswith(listening.removeprefix("metrics"))


def test_the_page_says_what_to_do_at_each_alert() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    assert re.findall(r"^\| `(Sojourn\w+)` \|", page, re.MULTILINE) == names


async def test_the_server_keeps_what_it_has_when_it_is_killed(tmp_path: Path) -> None:
    server = Server(tmp_path, redis_binary(), config=CONF.read_text())
    # as the file says it: `Server` turns snapshots off otherwise
    server.options = ["--save", "3600 1 300 100 60 10000"]
    server.start()
    try:
        async with sojourn.open(server.url) as store:
            key = (await store.sessions.create("shop", "ada", state={"plan": 1})).key
            findings = (await store.admin.doctor.examine()).findings
            bad = {each.check for each in findings if each.level in ("warning", "problem")}
            assert bad == set()
        assert server.ask("CONFIG", "GET", "save")[1] == "3600 1 300 100 60 10000"
        server.stop(9)
        server.start()
        async with sojourn.open(server.url) as store:
            session = await store.sessions.get(key)
            assert session is not None
            assert session.state == {"plan": 1}
    finally:
        server.close()


def test_the_image_is_of_a_user_without_rights_and_of_named_versions() -> None:
    words = [word for word, _ in STEPS]
    last = STEPS[len(words) - 1 - words[::-1].index("FROM") :]
    for word, rest in STEPS:
        if word == "FROM":
            assert re.match(r"python:3\.\d+\.\d+-slim-\w+", rest)
    users = [rest for word, rest in last if word == "USER"]
    assert users
    assert all(int(part) >= 10000 for part in users[-1].split(":"))
    assert not any(
        "apt" in rest or "install " in rest.replace("uninstall ", "") for _, rest in last
    )
    assert any("pip uninstall --yes pip" in rest for word, rest in last if word == "RUN")
    extras = set(re.findall(r"\[([a-z,]+)\]", (ROOT / "Dockerfile").read_text())[0].split(","))
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extras <= known["optional-dependencies"].keys()


def test_what_is_copied_is_there_and_nothing_else_is_sent() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    copied = {
        each.rstrip("/").removeprefix("./")
        for word, rest in STEPS
        if word == "COPY" and "--from" not in rest
        for each in rest.split()[:-1]
    }
    assert copied == sent
    assert all((ROOT / each).exists() for each in sent)


def test_the_commands_write_no_file(shared_server: Server, tmp_path: Path) -> None:
    """So the image needs no root that can be written to."""
    done = subprocess.run(
        [sys.executable, "-c", EMBEDDED_SOJOURN, "stats", shared_server.url],
        env={**os.environ, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "ended 0 []", done.stdout + done.stderr


@pytest.mark.skipif(not FULL, reason="installs everything from the index: half a minute")
def test_the_commands_of_the_image_work_in_a_clean_environment(
    shared_server: Server, tmp_path: Path
) -> None:
    opt, src = tmp_path / "sojourn", tmp_path / "src"
    src.mkdir()
    first = [word for word, _ in STEPS].index("FROM")
    second = first + 1 + [word for word, _ in STEPS[first + 1 :]].index("FROM")
    for word, rest in STEPS[first:second]:
        if word == "COPY":
            *sources, target = rest.split()
            for each in sources:
                copy = shutil.copytree if (ROOT / each).is_dir() else shutil.copy
                copy(ROOT / each, src / (target if each == "src" else each))
        elif word == "RUN":
            command = rest.replace("/opt/sojourn", str(opt))
            words = shlex.split(command)
            words[0] = sys.executable if words[0] == "python" else words[0]
            subprocess.run(words, cwd=src, check=True, capture_output=True)
    shutil.rmtree(src)
    assert not (opt / "bin" / "pip").exists()
    done = subprocess.run(
        [str(opt / "bin" / "sojourn"), "doctor", shared_server.url],
        env={"HOME": str(tmp_path), "PATH": f"{opt / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "Server" in done.stdout


async def test_a_backup_is_restored_as_the_page_says(tmp_path: Path) -> None:
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    for step in ("--appendonly no", "CONFIG SET appendonly yes", "aof_rewrite_in_progress"):
        assert step in page
    first = Server(tmp_path / "first", redis_binary(), config=CONF.read_text()).start()
    second = Server(tmp_path / "second", redis_binary(), config=CONF.read_text())
    try:
        async with sojourn.open(first.url) as store:
            key = (await store.sessions.create("shop", "ada", state={"plan": 1})).key
        first.ask("SAVE")
        second.folder.mkdir()
        shutil.copy(first.folder / "dump.rdb", second.folder)
        second.options = ["--appendonly", "no"]
        second.start()
        second.ask("CONFIG", "SET", "appendonly", "yes")
        until("rewritten", lambda: "aof_rewrite_in_progress:0" in _persistence(second))
        second.options = []
        second.stop()
        second.start()
        async with sojourn.open(second.url) as store:
            session = await store.sessions.get(key)
            assert session is not None
            assert session.state == {"plan": 1}
        assert "aof_enabled:1" in _persistence(second)
    finally:
        first.close()
        second.close()


def _persistence(server: Server) -> str:
    with server.client() as client:
        return "\n".join(f"{name}:{value}" for name, value in client.info("persistence").items())
