"""`sojourn` and `python -m sojourn`."""

from __future__ import annotations

import sys


def main() -> None:
    """Hand over to ADK's command line for `adk …`, to our own otherwise."""
    arguments = sys.argv[1:]
    extra = "adk" if arguments[:1] == ["adk"] else "cli"
    try:
        if extra == "adk":
            from sojourn.integrations.adk.command import main as run  # noqa: PLC0415
        else:
            from sojourn.surfaces.cli import main as run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sojourn"):
            raise
        sys.exit(f"sojourn: {error.name} is not installed. pip install 'sojourn[{extra}]'")
    run(arguments[1:] if extra == "adk" else arguments)


if __name__ == "__main__":
    main()
