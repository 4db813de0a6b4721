"""The process that owns one embedded Valkey: it starts it, and stops it after the last client.

Run by its path and importing the standard library only, so that it starts in some 30 ms:

    python -I -S supervisor.py DIRECTORY VALKEY_SERVER [GROUP]

GROUP is the number of a group of users who share the folder.

Three locks in the folder show which processes are alive; the kernel frees those of a killed one.

    clients.lock      shared by the clients; when the supervisor gets it alone, they have all gone
    supervisor.lock   taken by the client that starts a supervisor, and inherited by that supervisor
    server.lock       inherited by the server: while it is held the data has an owner
"""

# pathlib would add a third to the start-up time.
# ruff: noqa: PTH101, PTH102, PTH105, PTH106, PTH108, PTH109, PTH112, PTH115, PTH117, PTH120
from __future__ import annotations

import errno
import json
import os
import queue
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

if sys.platform != "win32":
    import fcntl

CLIENTS_LOCK = "clients.lock"
SUPERVISOR_LOCK = "supervisor.lock"
SERVER_LOCK = "server.lock"
ADDRESS = "server.json"
DATA = "appendonlydir"
FORMER_ADDRESS = "former.json"  # of a server whose supervisor was killed

_SOCKET_NAME = "valkey.sock"
_LONGEST_SOCKET_PATH = 100  # bytes; macOS takes 103, Linux 107
_FORMER_SERVER_SECONDS = 60.0
_SHUTDOWN_SECONDS = 60.0
_CHECK_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1  # <sys/un.h> of macOS
_XUCRED = struct.Struct("=IIhxx16I")  # version, user, number of groups, groups


class NotOurs(PermissionError):
    """A file, a folder or a server that other users of this machine own, or may change."""


def check_ours(path: str, status: os.stat_result, group: int | None = None) -> None:
    """Refuse what others could have put there, or may change.

    Only members of a group (and root) can have made what is that group's, in a folder that only
    they may write to.

    Args:
        path: what it is.
        status: what the system says of it.
        group: of users who share the folder; None for nobody else.

    Raises:
        NotOurs: it belongs neither to this user, to the group, nor to root, or others may write to
            it; or it is a symbolic link, which may lead anywhere.
    """
    if stat.S_ISLNK(status.st_mode):
        raise NotOurs(f"{path} is a symbolic link")
    shared = group is not None and status.st_gid == group
    if status.st_uid not in (os.geteuid(), 0) and not shared:
        raise NotOurs(f"{path} belongs to another user (uid {status.st_uid})")
    others = stat.S_IWOTH if shared else stat.S_IWGRP | stat.S_IWOTH
    if status.st_mode & others and not stat.S_ISSOCK(status.st_mode):
        raise NotOurs(f"Others may write to {path}: chmod go-w it")


def share(path: str, group: int | None) -> None:
    """Let a group read and write what is this user's own, if there is one."""
    if group is None:
        return
    with suppress(FileNotFoundError):
        status = os.lstat(path)
        wanted = 0o2770 if stat.S_ISDIR(status.st_mode) else 0o660
        is_done = status.st_gid == group and stat.S_IMODE(status.st_mode) == wanted
        if status.st_uid != os.geteuid() or stat.S_ISLNK(status.st_mode) or is_done:
            return
        os.chown(path, -1, group, follow_symlinks=False)
        os.chmod(path, wanted)


def share_data(group: int | None) -> None:
    """The same for the data in the working directory, whose files the server makes."""
    if group is None:
        return
    share(DATA, group)
    with suppress(FileNotFoundError), os.scandir(DATA) as entries:
        for entry in entries:
            share(entry.path, group)


def open_ours(path: str, flags: int, group: int | None = None) -> int:
    """Open a file, private to this user or group if it is made now; no link is followed.

    The descriptor does not survive an exec.

    Raises:
        NotOurs: see `check_ours`.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise NotOurs(f"{path} is a symbolic link") from error
        raise
    try:
        status = os.fstat(descriptor)
        if group is not None and status.st_uid == os.geteuid() and flags & os.O_CREAT:
            os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, 0o660)
            status = os.fstat(descriptor)
        check_ours(path, status, group)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_lock(path: str, group: int | None = None) -> int:
    """Open a lock file, private to this user or group; it does not survive an exec."""
    return open_ours(path, os.O_RDWR | os.O_CREAT, group)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Lock without waiting, and say whether that worked."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_address(path: str, group: int | None = None) -> str | None:
    """Read the socket path from an address file; None when there is no such file.

    Raises:
        NotOurs: others may have written it.
    """
    try:
        with open(open_ours(path, os.O_RDONLY, group), "rb") as file:
            return str(json.load(file)["socket"])
    except NotOurs:
        raise
    except (OSError, ValueError, LookupError, TypeError):
        return None


def read_home(path: str, group: int | None = None) -> str:
    """Read from an address file in which mount namespace its socket is; empty if it is not said."""
    try:
        with open(open_ours(path, os.O_RDONLY, group), "rb") as file:
            return str(json.load(file)["namespace"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def mount_namespace() -> str:
    """Tells containers of one machine apart; empty where there are none."""
    try:
        return f"{os.readlink('/proc/self/ns/mnt')} {os.uname().nodename}"
    except OSError:
        return ""


def ask(address: str, command: bytes, group: int | None = None, *, timeout: float = 1.0) -> bytes:
    """Send one command to a server; return the start of its reply, or nothing.

    Raises:
        NotOurs: the socket, its folder or the process behind it is another user's.
    """
    try:
        for path in (os.path.dirname(address), address):
            check_ours(path, os.lstat(path), group)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            check_peer(address, connection, group)
            connection.sendall(command + b"\r\n")
            return connection.recv(64)
    except NotOurs:
        raise
    except OSError:
        return b""


def check_peer(address: str, connection: socket.socket, group: int | None = None) -> None:
    """Refuse a server that another user runs, where the system says who does.

    Raises:
        NotOurs: neither this user, root, nor a member of the group runs it.
    """
    peer = _peer_of(connection)
    if peer is None:
        return
    user, groups = peer
    if user not in (os.geteuid(), 0) and group not in groups and not _is_member(user, group):
        raise NotOurs(f"The server at {address} is run by another user (uid {user})")


def _peer_of(connection: socket.socket) -> tuple[int, tuple[int, ...]] | None:
    """The user at the other end of a socket, with some groups; None where nobody says."""
    if sys.platform == "linux":
        size = struct.calcsize("3i")
        said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        _, user, group = struct.unpack("3i", said)
        return user, (group,)
    if sys.platform == "darwin":
        said = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
        _, user, count, *groups = _XUCRED.unpack(said)
        return user, tuple(groups[:count])
    return None


def _is_member(user: int, group: int | None) -> bool:
    if group is None:
        return False
    import pwd  # noqa: PLC0415 - seldom needed

    try:
        known = pwd.getpwuid(user)
        return group in os.getgrouplist(known.pw_name, known.pw_gid)
    except (KeyError, OSError):
        return False


class Supervisor:
    """One server on the folder that is the working directory, from its start to its end."""

    def __init__(self, binary: str, group: int | None = None) -> None:
        self._binary = binary
        self._group = group
        self._reasons: queue.SimpleQueue[str] = queue.SimpleQueue()

    def run(self) -> None:
        """Run the server until it ends, the last client has gone, or SIGTERM."""
        share_data(self._group)
        data = _own_the_data(self._group)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        address = _new_socket_path(self._group)
        try:
            _write_address(address, self._group)
            server = self._start(address, data)
            os.close(data)  # from now on the server alone holds it
            self._watch(server)
            self._wait(address)
            _forget(
                ADDRESS, address, self._group
            )  # first, so that nobody joins a server that stops
            self._stop(server, address)
            share_data(self._group)
        finally:
            _forget(ADDRESS, address, self._group)
            _remove_socket(address)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._reasons.put(f"signal {number}")

    def _start(self, address: str, data: int) -> subprocess.Popen[bytes]:
        # The working directory is the folder, so no path of the user's is on this command line.
        options = (
            *("--port", "0", "--unixsocket", address),
            *("--unixsocketperm", "700" if self._group is None else "770"),
            *("--daemonize", "no", "--appendonly", "yes", "--appendfsync", "everysec"),
            *("--save", "", "--maxmemory-policy", "noeviction"),
        )
        return subprocess.Popen(  # noqa: S603
            [self._binary, *options],
            pass_fds=(data,),
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - there is no other thread yet
        )

    def _watch(self, server: subprocess.Popen[bytes]) -> None:
        """Report the server's end and the last client's leaving, whichever comes first."""

        def server_ends() -> None:
            self._reasons.put(f"exit {server.wait()}")

        def clients_leave() -> None:
            # Held until this process ends: a new client waits, and then starts afresh.
            fcntl.flock(open_lock(CLIENTS_LOCK, self._group), fcntl.LOCK_EX)
            self._reasons.put("idle")

        for wait in (server_ends, clients_leave):
            threading.Thread(target=wait, daemon=True).start()

    def _wait(self, address: str) -> None:
        """Wait for a reason to stop. A removed folder is one, ours or the socket's: none can join.

        (XDG_RUNTIME_DIR goes when its user logs out, and programs clean /tmp.)
        """
        home = os.path.dirname(address)
        while read_address(ADDRESS, self._group) == address and os.path.isdir(home):
            share_data(self._group)
            if self._reason(_CHECK_SECONDS):
                return

    def _reason(self, timeout: float) -> str | None:
        with suppress(queue.Empty):
            return self._reasons.get(timeout=max(timeout, 0))
        return None

    def _stop(self, server: subprocess.Popen[bytes], address: str) -> None:
        """Let the server flush its data and leave; kill it only when it never does."""
        deadline = time.monotonic() + _SHUTDOWN_SECONDS
        ask(address, b"SHUTDOWN", self._group)  # at once; it looks for signals ten times a second
        server.terminate()
        while server.poll() is None:
            if self._reason(deadline - time.monotonic()) is None:
                server.kill()
                server.wait()


def _own_the_data(group: int | None) -> int:
    """Lock the data; a server that outlived its supervisor is told to stop first."""
    lock = open_lock(SERVER_LOCK, group)
    deadline = time.monotonic() + _FORMER_SERVER_SECONDS
    former = read_address(FORMER_ADDRESS, group)
    while not try_lock(lock):
        if time.monotonic() > deadline:
            sys.exit(f"sojourn: a former server still runs in {os.getcwd()}: end it")
        if former:
            ask(former, b"SHUTDOWN", group)
        time.sleep(0.01)
    if former:
        _remove_socket(former)
        _forget(FORMER_ADDRESS, former, group)
    return lock


def _new_socket_path(group: int | None) -> str:
    """Make a private folder for the socket whose path is short enough for one.

    The folders of the environment are often this user's alone.
    """
    own = (os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("TMPDIR"))
    for base in (*(own if group is None else ()), "/tmp"):  # noqa: S108
        folder = f"{base}/sojourn-{os.urandom(6).hex()}"
        address = f"{folder}/{_SOCKET_NAME}"
        if base and os.path.isabs(base) and len(os.fsencode(address)) <= _LONGEST_SOCKET_PATH:
            with suppress(OSError):
                os.mkdir(folder, 0o700)
                share(folder, group)
                return address
    sys.exit("sojourn: no short folder for a socket is writable: set TMPDIR to one")


def _remove_socket(address: str) -> None:
    with suppress(OSError):
        os.unlink(address)
    with suppress(OSError):
        os.rmdir(os.path.dirname(address))


def _write_address(address: str, group: int | None) -> None:
    draft = f"{ADDRESS}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with open(open_ours(draft, flags, group), "w", encoding="utf-8") as file:
        said = {"socket": address, "supervisor": os.getpid(), "namespace": mount_namespace()}
        json.dump(said, file)
    os.replace(draft, ADDRESS)


def _forget(file: str, address: str, group: int | None) -> None:
    """Remove an address file that names this address, and no other."""
    if read_address(file, group) == address:
        with suppress(OSError):
            os.unlink(file)


def _die_with_parent() -> Callable[[], None] | None:
    """Make what a server runs before its start, so that a killed supervisor leaves no orphan.

    Linux only; elsewhere the next supervisor ends the orphan (`_own_the_data`).
    """
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415 - clients import this module too, and do without

    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return before_exec


def main() -> None:
    """Supervise the server of one folder; the arguments are those of the command line."""
    directory, binary, *shared_with = sys.argv[1:]
    group = int(shared_with[0]) if shared_with else None
    os.umask(0o077 if group is None else 0o007)
    os.chdir(directory)
    # A client may block signals in the thread that started us; we and the server need them.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    Supervisor(binary, group).run()


if __name__ == "__main__":
    main()
