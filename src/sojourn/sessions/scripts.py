"""Load the scripts of this room."""

from __future__ import annotations

from importlib.resources import files

from sojourn.calls.call import Script

_LUA = files("sojourn.sessions") / "operations"


def load(name: str) -> Script:
    """The script in `operations/NAME.lua`, behind what it uses of `shared.lua`."""
    return Script.load(_LUA, name)
