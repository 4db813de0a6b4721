"""Settings resolved from all variables: the name that wins, and the arguments of `sojourn.open`."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr, ValidationError

from sojourn.engine.address import SCHEMES, parse
from sojourn.errors import ConfigurationError, InvalidInput
from sojourn.options import Options, from_query
from sojourn.rooms import StoreKeys
from sojourn.settings.forms import Form
from sojourn.settings.variables import Variables

log = logging.getLogger("sojourn.settings")

DEFAULT_URL = "embedded:.sojourn"
"""Where nothing names a server."""

ENV_FILE = "SOJOURN_ENV_FILE"
"""Names a file of variables; no other file is ever read."""

_MEMORY = ("memory:", "memory://")
_SERVER = ("redis_url", "redis_host", "redis_port", "redis_db", "redis_password")
"""What names a server, the more specific first."""


def _hours(value: float) -> float:
    return value * 3600


def _outage(fall_back: bool) -> str:
    return "buffer" if fall_back else "raise"


def _same(value: Any) -> Any:
    return value


_ALIASES: dict[str, dict[str, Callable[[Any], Any]]] = {
    "session_ttl": {"redis_ttl_seconds": _same, "redis_ttl": _same},
    "memory_ttl": {"memory_ttl_hours": _hours},
    "knowledge_ttl": {"knowledge_ttl_hours": _hours},
    "history_ttl": {"history_ttl_hours": _hours},
    "on_outage": {"redis_fallback_to_memory": _outage},
}
"""Other names of an argument, the first that is set wins, and how their values are read."""

_NEED = {"replicas": ("durability", "replicas"), "journal": ("on_outage", "buffer")}
"""What an argument belongs to."""

_NO_MEANING = {
    "redis_max_connections": "there is no pool, each event loop has two connections",
    "redis_retry_attempts": "a call is tried again until SOJOURN_OPERATION_TIMEOUT has passed",
}

_OPEN = Options()

_told: set[str] = set()


class Settings(Variables):
    """The environment: `sojourn.open(settings.url, **settings.arguments)`.

    Where several variables say the same, the first wins: `SOJOURN_*`, then `REDIS_TTL_SECONDS`,
    then `REDIS_TTL`; `SOJOURN_URL`, then `REDIS_ENABLED=false`, then `REDIS_URL`, then `REDIS_HOST`
    and its neighbours. `SOJOURN_ENV_FILE` may name a file with more of them; the environment wins.

    Frozen. Neither `repr()` nor `model_dump()` shows the URL or the password.

    Raises:
        ConfigurationError: a value is wrong; the message has the variable's name and not the value.
    """

    def __init__(self, **given: Any) -> None:
        wrong = ""
        given.setdefault("_env_file", _env_file())
        try:
            super().__init__(**given)
        except ValidationError as error:
            wrong = _explained(error)
        except UnicodeDecodeError:
            wrong = f"{ENV_FILE} names a file that is not text in UTF-8."
        wrong = wrong or self._contradiction()
        if wrong:  # raised here: an error that pydantic raised has the value in it
            raise ConfigurationError(wrong)
        self._tell()

    @property
    def said_by(self) -> str:
        """The variable that names the server, or says that there is none; empty if none does."""
        if self.sojourn_url is not None:
            return "SOJOURN_URL"
        if self.redis_enabled is False:
            return "REDIS_ENABLED"
        named = (name for name in (*_SERVER, "redis_enabled") if getattr(self, name) is not None)
        return next(named, "").upper()

    @property
    def url(self) -> str:
        """The server's URL, with its password: not for messages, `store.where` is."""
        if self.sojourn_url is not None:
            return _shown(self.sojourn_url)
        if self._in_memory:
            return "memory://"
        if not self.said_by:
            return DEFAULT_URL
        password = _shown(self.redis_password)
        if self.redis_url is not None:
            return _completed(_shown(self.redis_url), password, self.redis_db or 0)
        host = (self.redis_host or "localhost").strip("[]")
        host = f"[{quote(host, safe=':')}]" if ":" in host else quote(host)
        at = f":{quote(password, safe='')}@" if password else ""
        return f"redis://{at}{host}:{self.redis_port or 6379}/{self.redis_db or 0}"

    @property
    def arguments(self) -> dict[str, Any]:
        """The other arguments of `sojourn.open`: those that the environment names, no more."""
        found = {name: self._read(name) for name in Options._fields if self._names_of(name)}
        if self._in_memory:
            for name in ("durability", "replicas"):
                found.pop(name, None)
        return found

    @property
    def without_effect(self) -> dict[str, str]:
        """Variables that are set and change nothing, each with the reason."""
        found = {name: why for name, why in _NO_MEANING.items() if getattr(self, name) is not None}
        for argument in _ALIASES:
            first, *others = self._names_of(argument) or [""]
            found |= dict.fromkeys(others, f"{first.upper()} wins")
        overruled = {"SOJOURN_URL": _SERVER, "REDIS_URL": _SERVER[1:]}.get(self.said_by, ())
        used = _lacking(_shown(self.redis_url)) if self.said_by == "REDIS_URL" else set[str]()
        for name in overruled:
            if getattr(self, name) is not None and name not in used:
                found[name] = f"{self.said_by} wins"
        if self.sojourn_url is not None and self.redis_enabled is False:
            found["redis_enabled"] = "SOJOURN_URL wins"
        return {name.upper(): why for name, why in found.items()}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Only what was said: an alias may stand for what else is shown as a default."""
        return (pair for pair in super().__repr_args__() if pair[0] in self.model_fields_set)

    @property
    def _in_memory(self) -> bool:
        return self.sojourn_url is None and self.redis_enabled is False

    def _names_of(self, argument: str) -> list[str]:
        """The variables that are set for an argument; the first wins."""
        names = (f"sojourn_{argument}", *_ALIASES.get(argument, ()))
        return [name for name in names if name in self.model_fields_set]

    def _read(self, argument: str) -> Any:
        name = self._names_of(argument)[0]
        value = getattr(self, name)
        read = _ALIASES.get(argument, {}).get(name, _same)
        return None if value is None else read(value)

    def _contradiction(self) -> str:
        """What is wrong although each value has its form; empty when nothing is."""
        try:
            StoreKeys(self.sojourn_namespace)
        except InvalidInput as error:
            return f"SOJOURN_NAMESPACE is wrong. {error}"
        variable, options = self.said_by, Options(**self.arguments)
        try:
            if self.said_by == "REDIS_URL" and _is_too_many(_shown(self.redis_url), self.redis_db):
                return "REDIS_DB is wrong. A Redis Cluster has no databases but 0: unset it."
            url, options = from_query(self.url, options)
            _check(url)
            StoreKeys(options.namespace)
        except (ConfigurationError, InvalidInput) as error:
            raw = _shown(self.sojourn_url or self.redis_url)
            if "@" in raw.partition("?")[2]:  # a password may have been cut in two
                return f"{variable} is wrong. A password's / ? # are written %2F %3F %23."
            return f"{variable} is wrong. {error}"
        return self._contradiction_of(options)

    def _contradiction_of(self, options: Options) -> str:
        """What of the options is wrong together, or has its form and no meaning."""
        for name, (other, word) in _NEED.items():
            if getattr(options, name) != getattr(_OPEN, name) and getattr(options, other) != word:
                return self._lonely(name, other, word, options)
        try:
            options.check()
        except InvalidInput as error:
            return f"{self._at_fault(options)} is wrong. {error}"
        return ""

    def _lonely(self, name: str, other: str, word: str, options: Options) -> str:
        """An argument stands without the one that it belongs to."""
        if (source := self._source(name, options)) == self.said_by:
            return f"{source} is wrong. {name} belongs to {other}={word}."
        if self._source(other, options) == self.said_by and self._names_of(other):
            return f"{source} belongs to {other}={word}, and {self.said_by} says otherwise."
        return f"{source} belongs to SOJOURN_{other.upper()}={word}."

    def _at_fault(self, options: Options) -> str:
        """The variable without which the options would be right; else the one with the URL."""
        for name in self.arguments:
            try:
                options._replace(**{name: getattr(_OPEN, name)}).check()
            except InvalidInput:
                continue
            return self._source(name, options)
        return self.said_by

    def _source(self, argument: str, options: Options) -> str:
        """The variable that an argument is from: its own, or that of the URL, which wins."""
        names = self._names_of(argument)
        ours = bool(names) and self._read(argument) == getattr(options, argument)
        return names[0].upper() if ours else self.said_by

    def _tell(self) -> None:
        """Say once in a process what may surprise."""
        if self._in_memory and "REDIS_ENABLED" not in _told:
            _told.add("REDIS_ENABLED")
            log.warning("REDIS_ENABLED=false: everything is kept in the memory of this process.")
        for name, why in self.without_effect.items():
            if name not in _told:
                _told.add(name)
                log.info("%s has no effect: %s.", name, why)


def _shown(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _env_file() -> Path | None:
    name = os.environ.get(ENV_FILE)
    if not name:
        return None
    if not Path(name).is_file():
        raise ConfigurationError(f"{ENV_FILE} names {name!r}, and there is no such file.")
    return Path(name)


def _explained(error: ValidationError) -> str:
    """The variables by name and what was expected. Never what they said: it may be a secret."""
    wrong = dict.fromkeys(str(each["loc"][0]) for each in error.errors(include_input=False))
    return " ".join(f"{name.upper()} must be {_words(name)}." for name in wrong)


def _words(name: str) -> str:
    metadata = Variables.model_fields[name].metadata
    return next(each.words for each in metadata if isinstance(each, Form))


def _check(url: str) -> None:
    """Refuse a URL that `sojourn.open` would refuse; what is no URL at all is not quoted."""
    scheme = url.partition(":")[0]
    if scheme not in (*SCHEMES, "memory"):
        raise ConfigurationError(f"The URL begins with none of {', '.join(SCHEMES)}, memory.")
    if url not in _MEMORY and scheme != "embedded":
        parse(url)


def _lacking(url: str) -> set[str]:
    """Which of the database and the password a URL leaves open."""
    address, _ = from_query(url, _OPEN)
    if url.partition(":")[0] not in SCHEMES or url.startswith("embedded:"):
        return set()
    said = parse(address).options
    return {f"redis_{name}" for name in ("db", "password") if name not in said}


def _is_too_many(url: str, db: int | None) -> bool:
    """Whether a database is asked for where there is but one."""
    return bool(db) and url.partition(":")[0].endswith("+cluster") and "redis_db" in _lacking(url)


def _completed(url: str, password: str, db: int) -> str:
    """A URL with the password and the database of variables of their own, where it has none."""
    lacking = _lacking(url)
    if not lacking:
        return url
    scheme, _, rest = url.partition("://")
    if password and "redis_password" in lacking:
        netloc = re.split("[/?#]", rest, maxsplit=1)[0]
        user, _, hosts = netloc.rpartition("@")
        secret = quote(password, safe="")
        rest = f"{user.rstrip(':')}:{secret}@{hosts}{rest.removeprefix(netloc)}"
    if db and "redis_db" in lacking:
        rest += f"{'&' if '?' in rest else '?'}db={db}"
    return f"{scheme}://{rest}"
