"""Sessions, history, memory and cache for models: a server of the Model Context Protocol.

It serves one user at a time, who is known by a credential or by the process's own setting and never
by an argument.
"""

from sojourn.surfaces.mcp.caller import Desk, Identity
from sojourn.surfaces.mcp.http import application
from sojourn.surfaces.mcp.server import server_of

__all__ = ["Desk", "Identity", "application", "server_of"]
