"""The life of an embedded server: real processes, killed at every end."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from embedded_kit import (
    LONG,
    connection,
    identity,
    is_held,
    log,
    push,
    supervisor_of,
    wait_for_exit,
)

from sojourn.engine import embedded as embedded_module
from sojourn.engine.supervisor import ask
from sojourn.errors import Unavailable


def test_a_cold_start_and_an_attach(folder, join):
    first, second = join(), join()
    address = first.ensure()
    push(address, "a")
    assert first.ensure() == second.ensure() == address
    assert log(address) == ["a"]


def test_nothing_is_opened_before_ensure(folder, join):
    join()
    assert not folder.exists()


def test_threads_share_one_server(join):
    embedded = join()
    with ThreadPoolExecutor(8) as threads:
        addresses = set(threads.map(lambda _: embedded.ensure(), range(8)))
    assert len(addresses) == 1


def test_eight_racing_processes_start_one_server_and_lose_nothing(folder, join, client):
    racers = [client() for _ in range(8)]
    assert len({tuple(racer.started()) for racer in racers}) == 1
    for racer in racers:
        racer.tell("push log 50")
    for racer in racers:
        assert racer.process.stdout.readline() == "done\n"
    assert len(log(join().ensure())) == 400
    assert (folder / "valkey.log").read_text().count("Server initialized") == 1


def test_a_killed_server_is_restarted_with_its_data(join):
    embedded = join()
    address = embedded.ensure()
    push(address, "a")
    run, pid = identity(address)
    os.kill(pid, signal.SIGKILL)
    wait_for_exit(pid)
    again = embedded.ensure()
    assert identity(again)[0] != run
    assert log(again) == ["a"]


def test_a_server_that_loads_its_data_does_not_answer_yet(join):
    embedded = join()
    address = embedded.ensure()
    with connection(address) as server:
        server.eval("for i = 1, 300000 do redis.call('SET', i, i) end", 0)
    _, pid = identity(address)
    os.kill(pid, signal.SIGKILL)
    wait_for_exit(pid)
    assert ask(embedded.ensure(), b"GET 300000") == b"$6\r\n300000\r\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_a_killed_supervisor_takes_its_server_along(folder, join):
    embedded = join()
    address = embedded.ensure()
    push(address, "a")
    _, pid = identity(address)
    os.kill(supervisor_of(folder), signal.SIGKILL)
    wait_for_exit(pid)
    assert log(embedded.ensure()) == ["a"]


def test_an_orphan_is_ended_before_another_server_starts(folder, join, tmp_path, monkeypatch):
    """What happens where the kernel does not end the server of a killed supervisor."""
    python = tmp_path / "python"
    code = (
        "import runpy, sys; sys.platform = 'other'; del sys.argv[0];"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} -I -S -c "{code}" "$@"\n')
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    embedded = join()
    address = embedded.ensure()
    push(address, "a")
    _, pid = identity(address)
    supervisor = supervisor_of(folder)
    os.kill(supervisor, signal.SIGKILL)
    wait_for_exit(supervisor)
    assert log(address) == ["a"]  # it is an orphan indeed
    again = embedded.ensure()
    assert again != address
    assert log(again) == ["a"]
    wait_for_exit(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_no_second_server_while_the_first_still_holds_the_data(folder, join):
    address = join().ensure()
    push(address, "a")
    _, pid = identity(address)
    os.kill(pid, signal.SIGSTOP)
    os.kill(supervisor_of(folder), signal.SIGKILL)
    try:
        with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
            join(start_timeout=0.3).ensure()
        assert is_held(folder / "server.lock")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert log(join().ensure()) == ["a"]


def test_when_the_only_client_is_killed_the_server_stops(folder, join, client):
    only = client()
    address, _ = only.started()
    only.do("push log 3")
    _, pid = identity(address)
    supervisor = supervisor_of(folder)
    only.process.kill()
    wait_for_exit(pid)
    wait_for_exit(supervisor)
    assert log(join().ensure()) == ["0", "1", "2"]


def test_the_last_release_returns_when_the_server_has_stopped(folder, runtime, join):
    embedded = join()
    _, pid = identity(embedded.ensure())
    embedded.release()
    wait_for_exit(pid)
    assert not is_held(folder / "server.lock")
    assert not (folder / "server.json").exists()
    assert list(runtime.iterdir()) == []
    embedded.release()
    assert embedded.ensure()


def test_the_folder_can_be_removed_after_the_last_release(folder, join):
    for _ in range(5):
        embedded = join()
        push(embedded.ensure(), "a")
        embedded.release()
        shutil.rmtree(folder)


def test_one_of_two_clients_leaving_stops_nothing(join, client):
    mine, other = join(), client()
    address, run = other.started()
    assert mine.ensure() == address
    other.do("release")
    assert identity(mine.ensure())[0] == run


def test_only_the_last_one_out_waits_for_the_end(join, monkeypatch):
    first, last = join(), join()
    first.ensure()
    address = last.ensure()
    monkeypatch.setattr(embedded_module, "_SHUTDOWN_SECONDS", 1e6)
    first.release()  # would wait forever
    assert last.ensure() == address


def test_a_release_waits_for_an_ensure_and_undoes_it(folder, join, monkeypatch):
    embedded = join()
    entered, go_on = threading.Event(), threading.Event()
    find_server = embedded_module.find_server

    def slowly():
        entered.set()
        assert go_on.wait(LONG)
        return find_server()

    monkeypatch.setattr(embedded_module, "find_server", slowly)
    with ThreadPoolExecutor(2) as threads:
        ensured = threads.submit(embedded.ensure)
        assert entered.wait(LONG)
        released = threads.submit(embedded.release)
        assert not wait([released], timeout=0.1).done
        go_on.set()
        assert ensured.result(LONG)
        released.result(LONG)
    assert not is_held(folder / "server.lock")


def test_a_fork_does_not_hold_the_lock_of_its_parent(folder, client):
    parent = client()
    address, _ = parent.started()
    _, pid = identity(address)
    parent.do("fork")
    parent.process.kill()
    wait_for_exit(pid)  # though the child still runs: the fixture ends it


def test_ctrl_c_in_the_terminal_of_a_client_does_not_reach_the_server(join, client):
    starter = client()
    address, run = starter.started()
    mine = join()
    assert mine.ensure() == address
    os.killpg(starter.process.pid, signal.SIGINT)
    assert starter.process.wait(LONG) != 0
    assert identity(address)[0] == run


def test_sigterm_to_the_supervisor_stops_the_server_cleanly(folder, join):
    embedded = join()
    # As inherited from a thread that blocks signals, which must not make anything deaf.
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        address = embedded.ensure()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
    push(address, "a")
    supervisor = supervisor_of(folder)
    os.kill(supervisor, signal.SIGTERM)
    wait_for_exit(supervisor)
    assert "bye bye" in (folder / "valkey.log").read_text()
    assert log(embedded.ensure()) == ["a"]
