"""Load the scripts of this room."""

from __future__ import annotations

from importlib.resources import files

from sojourn.calls.call import Script

_LUA = files("sojourn.sessions") / "lua"


def load(name: str) -> Script:
    """The script in `lua/NAME.lua`, behind what it uses of `lua/shared.lua`."""
    return Script.load(_LUA, name)
