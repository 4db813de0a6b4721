"""`sojourn` and `python -m sojourn`."""

from __future__ import annotations

import sys
from importlib import import_module

from sojourn.extras import how_to_install


def main() -> None:
    """Hand `adk …` to ADK's command line, and everything else to our own."""
    arguments = sys.argv[1:]
    if arguments[:2] == ["adk", "token"]:
        arguments = arguments[1:]  # there is one such command, and it needs no ADK
    home, extra = "sojourn.surfaces.cli", "cli"
    if arguments[:1] == ["adk"]:
        home, extra, arguments = "sojourn.integrations.adk.command", "adk", arguments[1:]
    try:
        command = import_module(home)
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sojourn"):
            raise
        missing = "google-adk" if (error.name or "").startswith("google") else error.name
        sys.exit(f"sojourn: {missing} is not installed: {how_to_install(extra)}.")
    command.main(arguments)


if __name__ == "__main__":
    main()
