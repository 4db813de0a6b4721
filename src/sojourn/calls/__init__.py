"""Calls to a server, as values: rooms make them and the engine sends them. Knows neither."""

from sojourn.calls.call import Argument, Call, Command, Script, only

__all__ = ["Argument", "Call", "Command", "Script", "only"]
