"""Options of `sojourn.open`, given as arguments or in the query of a URL."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode

from sojourn.caps import CEILING, shown
from sojourn.errors import ConfigurationError, InvalidInput

MiB = 1024 * 1024
DAY = 86_400.0

Durability = Literal["primary", "replicas"]
OnOutage = Literal["raise", "buffer"]
Compression = Literal["zstd"]


class Options(NamedTuple):
    """The arguments of `sojourn.open`, which documents them."""

    namespace: str = ""
    session_ttl: float | None = DAY
    state_ttl: float | None = 30 * DAY
    max_event_bytes: int = 8 * MiB
    max_state_bytes: int = 8 * MiB
    max_events: int | None = None
    max_sessions: int | None = None
    strict_ids: bool = False
    near_cache_bytes: int = 64 * MiB
    connect_timeout: float = 2.0
    operation_timeout: float = 2.0
    transfer_timeout: float = 60.0
    health_check_interval: float = 15.0
    durability: Durability = "primary"
    replicas: int = 1
    on_outage: OnOutage = "raise"
    journal: str | None = None
    buffer_calls: int = 10_000
    buffer_bytes: int = 64 * MiB
    buffer_seconds: float = 3600.0
    memory_ttl: float | None = 3 * DAY
    knowledge_ttl: float | None = 7 * DAY
    history_ttl: float | None = 30 * DAY
    artifact_ttl: float | None = 30 * DAY
    thread_ttl: float | None = 30 * DAY
    max_artifact_bytes: int = 64 * MiB
    notices: bool = False
    keys: Any = None
    key_store: str | None = None
    key_cache_seconds: float = 60.0
    compression: Compression | None = None
    serializer: Any = "json"

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InvalidInput: a lifetime, cap or time-out that is no number above zero, or an
                unknown word.
        """
        if self.durability not in ("primary", "replicas"):
            raise InvalidInput(
                f"durability is 'primary' or 'replicas', not {shown(self.durability)}."
            )
        if self.on_outage not in ("raise", "buffer"):
            raise InvalidInput(f"on_outage is 'raise' or 'buffer', not {shown(self.on_outage)}.")
        if self.replicas != 1 and self.durability != "replicas":
            raise InvalidInput("replicas= belongs to durability='replicas'.")
        if self.journal is not None and self.on_outage != "buffer":
            raise InvalidInput("journal= belongs to on_outage='buffer'.")
        if self.compression not in (None, "zstd"):
            raise InvalidInput(f"compression is 'zstd' or None, not {shown(self.compression)}.")
        if self.key_store is not None and self.keys is None:
            raise InvalidInput("key_store= belongs to keys=.")
        for name, value in self._asdict().items():
            _check(name, value)


_AGES = 10**10
"""Seconds that no lifetime exceeds: scripts count its milliseconds without rounding."""
_MOST = {
    "max_event_bytes": CEILING.event,
    "max_state_bytes": CEILING.state,
    "max_artifact_bytes": CEILING.artifact,
}
"""So that every store takes the archives of every other."""
_FOREVER = (
    *("session_ttl", "state_ttl", "max_events", "max_sessions"),
    *("memory_ttl", "knowledge_ttl", "history_ttl", "artifact_ttl", "thread_ttl"),
)
"""Options that may be `none`."""
_WHOLE = (
    *("max_event_bytes", "max_state_bytes", "max_events", "max_sessions", "near_cache_bytes"),
    *("replicas", "buffer_calls", "buffer_bytes", "max_artifact_bytes"),
)
_FLAGS = ("notices", "strict_ids")
_TRUTH = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_WORDS = (
    *("namespace", "durability", "on_outage", "journal"),
    *("keys", "key_store", "compression", "serializer"),
)


def _check(name: str, value: object) -> None:
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise InvalidInput(f"{name} is True or False, not {shown(value)}.")
        return
    if name in _WORDS or (value is None and name in _FOREVER):
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{name} must be a number, not {shown(value)}.")
    least = 0 if name == "near_cache_bytes" else 0.001
    most = _AGES if name.endswith("_ttl") else _MOST.get(name, 10**12)
    if not least <= value <= most:
        raise InvalidInput(f"{name} must be above zero and at most {most:,}, not {shown(value)}.")


def from_query(url: str, options: Options) -> tuple[str, Options]:
    """Take the options of ours out of a URL's query.

    Returns:
        the URL without them, and without what people's files and secrets add: space around it,
        the line's end, a scheme in capitals; and the options with them.

    Raises:
        ConfigurationError: a value of the wrong kind.
    """
    scheme, colon, rest_of_it = url.strip().partition(":")
    url = f"{scheme.lower()}{colon}{rest_of_it}"
    address, mark, query = url.partition("?")
    if not mark:
        return url, options
    rest: list[tuple[str, str]] = []
    ours: dict[str, Any] = options._asdict()
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name in Options._fields:
            ours[name] = _value(name, text)
        else:
            rest.append((name, text))
    left = f"{address}?{urlencode(rest)}" if rest else address
    return left, Options(**ours)


def _value(name: str, text: str) -> str | float | None:
    if name in _WORDS:
        return None if name == "compression" and text == "none" else text
    if name in _FLAGS:
        if text.lower() not in _TRUTH:
            raise ConfigurationError(f"{name} in the URL must be true or false, not {shown(text)}.")
        return _TRUTH[text.lower()]
    if text.lower() == "none" and name in _FOREVER:
        return None
    try:
        return int(text) if name in _WHOLE else float(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{name} in the URL must be a number, not {shown(text)}."
        ) from error
