"""Sessions, history, memory and cache for models: a server of the Model Context Protocol.

Each call serves one user. A credential or the process's own setting identifies the user, never an
argument.
"""

from sojourn.surfaces.mcp.caller import Identity, RequestContext
from sojourn.surfaces.mcp.http import application
from sojourn.surfaces.mcp.server import server_of

__all__ = ["Identity", "RequestContext", "application", "server_of"]
