"""Settings from the environment, as arguments of `sojourn.open`.

This package imports pydantic, so it is imported only when settings are read.
"""

from sojourn.settings.settings import DEFAULT_URL, Settings

__all__ = ["DEFAULT_URL", "Settings"]
