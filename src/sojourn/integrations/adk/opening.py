"""The store of a service: from a URL, by ADK's `services.yaml`, or lent."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from sojourn.errors import InvalidInput
from sojourn.options import Options
from sojourn.process import Opened

if TYPE_CHECKING:
    from sojourn.integrations.opened import Where

OWN = ("copies", "on_stale")
"""Options of a `SessionService` that may stand in its URL beside those of `sojourn.open`."""

_OF_ADK = "agents_dir"
"""ADK gives it to whatever it makes of a URI."""


def open_store(
    kind: str, where: Where | None, uri: str | None, options: MutableMapping[str, Any]
) -> Opened:
    """The store of a service.

    Args:
        kind: the service's class, for messages.
        where: a URL, a client or an open store.
        uri: the URL by ADK's name; one of the two is given.
        options: of `sojourn.open`; ADK's `agents_dir` is passed over.

    Raises:
        ConfigurationError: the URL.
        InvalidInput: an argument that nobody takes, or a wrong one.
    """
    options.pop(_OF_ADK, None)
    if (where is None) == (uri is None):
        raise InvalidInput(
            f"{kind} takes one place: a URL, a redis-py client or an open store first, or uri=…."
        )
    where = uri if where is None else where
    if unknown := sorted(options.keys() - set(Options._fields)):
        raise InvalidInput(
            f"{kind} does not take {', '.join(unknown)}. Beside its own arguments it takes those "
            "of sojourn.open()."
        )
    return Opened(where, options)


def split_uri(uri: str, names: Sequence[str] = OWN) -> tuple[str, Mapping[str, str]]:
    """Take a service's own options out of a URL's query: the URL without them, and they."""
    address, mark, query = uri.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    own = {name: value for name, value in pairs if name in names}
    if not mark or not own:
        return uri, {}
    rest = urlencode([pair for pair in pairs if pair[0] not in names])
    return f"{address}?{rest}" if rest else address, own
