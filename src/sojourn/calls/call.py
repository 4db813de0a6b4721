"""A call to a server, as a value."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Generic, TypeVar, cast

import msgspec

T = TypeVar("T")

Argument = bytes | str | int | float
"""What a command may carry; `pack` encodes it."""

Command = tuple[Argument, ...]

_LUA = files("sojourn.calls") / "lua"


class Script:
    """A Lua script, known to the server by its digest.

    Args:
        name: what it does, for logs.
        body: its source.
    """

    __slots__ = ("body", "digest", "name")

    def __init__(self, name: str, body: str) -> None:
        self.name = name
        self.body = body.encode()
        self.digest = hashlib.sha1(self.body, usedforsecurity=False).hexdigest().encode()

    @classmethod
    def load(cls, folder: Traversable, name: str) -> Script:
        """Read `name`.lua from a room's folder, after what it uses of the `shared.lua` beside it.

        Before both comes what it uses of what all rooms share: how a script tells a newer record,
        and what a repeated write leaves for WAIT.
        """
        places = (_LUA / "growth.lua", _LUA / "again.lua", folder / "shared.lua")
        shared = "\n".join(place.read_text("utf-8") for place in places)
        return cls(name, _used(shared, (folder / f"{name}.lua").read_text("utf-8")))

    @classmethod
    def beside(cls, module: str, name: str = "") -> Script:
        """Read the script in a module's folder that is called as the module, or `name`."""
        package, _, own = module.rpartition(".")
        return cls.load(files(package), name or own)


_DEFINITION = re.compile(
    r"^local (?:function )?(\w+)[^\n]*\n(?:(?!local |--)[^\n]*\n)*", re.MULTILINE
)
_COMMENT = re.compile("--.*")
_SELDOM = re.compile(r"^( +)-- shared\n((?:\1[^\n]*\n|\n)*)", re.MULTILINE)
"""The rest of a block that brings its shared definitions along."""


def _used(shared: str, script: str) -> str:
    """A script after those shared definitions that it uses: each costs time at every call.

    Behind a line `-- shared` a block has those that only it uses: they cost nothing elsewhere.
    """
    definitions = {found[1]: found[0] for found in _DEFINITION.finditer(f"{shared}\n")}
    always = _names(definitions, _SELDOM.sub("", script))

    def whole(found: re.Match[str]) -> str:
        only_here = _names(definitions, found[2]) - always
        return _defined(definitions, only_here) + found[2]

    return _defined(definitions, always) + _SELDOM.sub(whole, script)


def _names(definitions: dict[str, str], text: str) -> set[str]:
    """What a text uses of some definitions, and what those use."""
    text, names = _COMMENT.sub("", text), set[str]()
    for name in reversed(definitions):
        if re.search(rf"\b{name}\b", text):
            names.add(name)
            text += _COMMENT.sub("", definitions[name])
    return names


def _defined(definitions: dict[str, str], names: set[str]) -> str:
    return "".join(text for name, text in definitions.items() if name in names)


def only(replies: list[Any]) -> Any:
    """The reply to a call of one command."""
    return replies[0]


class Call(msgspec.Struct, Generic[T], frozen=True):
    """One request: commands that travel together, and how to read what comes back.

    Attributes:
        name: `room.operation`, for logs and facts.
        keys: every key that the call touches; all of one slot.
        read: makes the result from the replies, one per command.
        commands: the commands, in order; empty for a script.
        script: the script to run over `keys` instead of `commands`.
        args: the script's arguments.
        operation_id: set on writes; names the write in `OutcomeUnknown`.
        repeatable: sending it twice has the effect of sending it once.
        separate_connection: its reply may be megabytes, so it is sent apart from small calls.
        retry_when_busy: send it again until the deadline while the server is loading or busy.
        allow_wrong_type: when a key is of another type, `read` gets an exception in place of that
            reply; otherwise the call ends with `CorruptRecord`.
    """

    name: str
    keys: Sequence[str]
    read: Callable[[list[Any]], T]
    commands: Sequence[Command] = ()
    script: Script | None = None
    args: Sequence[Argument] = ()
    operation_id: str | None = None
    repeatable: bool = True
    separate_connection: bool = False
    retry_when_busy: bool = True
    allow_wrong_type: bool = False


def _pack(command: Command) -> bytes:
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        if isinstance(argument, str):
            data = argument.encode()
        elif isinstance(argument, bytes):
            data = argument
        else:
            data = repr(argument).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


_SAMPLE: Command = (b"\xff\x00", "\u00fc", 2**31, -1, 0.1, 1e300)
"""An argument of each kind, such as an accelerator must encode as `_pack` does."""


def _packer() -> Callable[[Command], bytes]:
    """The same in C, when there is a hiredis that can do it: those before 2.1 only parse."""
    try:
        packer = cast("Callable[[Command], bytes]", import_module("hiredis").pack_command)
        return packer if packer(_SAMPLE) == _pack(_SAMPLE) else _pack
    except Exception:  # noqa: BLE001 - whatever is wrong with it, nothing depends on it
        return _pack


pack = _packer()
"""A command in RESP, the Redis serialization protocol."""


def pack_call(call: Call[Any], *, by_digest: bool = True) -> bytes:
    """The whole of a call in RESP."""
    if call.script is None:
        return b"".join([pack(command) for command in call.commands])
    command, source = (b"EVALSHA", call.script.digest) if by_digest else (b"EVAL", call.script.body)
    return pack((command, source, len(call.keys), *call.keys, *call.args))
