"""What the environment says, as arguments of `sojourn.open`.

Importing this imports pydantic, so nothing does before the environment is asked for.
"""

from sojourn.settings.settings import DEFAULT_URL, Settings

__all__ = ["DEFAULT_URL", "Settings"]
