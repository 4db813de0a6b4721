"""`sojourn sessions`, `quarantine` and `doctor`: look into a store, from a terminal or a script.

Data goes to stdout, notes and errors to stderr. `exits` holds the exit codes, `plain` makes text
that comes from a store harmless for a terminal.
"""

from sojourn.surfaces.cli.app import main

__all__ = ["main"]
