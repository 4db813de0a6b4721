"""An accelerator is asked what it can do: with any hiredis, calls are the same bytes."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest

from sojourn.calls import call


def hiredis(**members: Any) -> ModuleType:
    module = ModuleType("hiredis")
    vars(module).update(members)
    return module


def fail(_command: call.Command) -> bytes:
    raise TypeError("this version takes no floats")


@pytest.mark.parametrize(
    "installed",
    [
        None,
        hiredis(__version__="2.0.0"),
        hiredis(pack_command=fail),
        hiredis(pack_command=lambda _: b"*0\r\n"),
        hiredis(pack_command=None),
    ],
    ids=["none", "only parses", "cannot pack a float", "packs otherwise", "nothing callable"],
)
def test_a_hiredis_that_cannot_pack_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, installed: ModuleType | None
) -> None:
    monkeypatch.setitem(sys.modules, "hiredis", installed)
    pack = call._packer()
    assert pack(("SET", b"\xff", 1, 0.5)) == (
        b"*4\r\n$3\r\nSET\r\n$1\r\n\xff\r\n$1\r\n1\r\n$3\r\n0.5\r\n"
    )


@pytest.mark.skipif(find_spec("hiredis") is None, reason="it is not installed")
def test_the_one_that_is_installed_packs() -> None:
    assert call.pack.__module__ != call.__name__
