"""Two callers of one store, and what the access log says of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from secrets import token_hex

import sojourn
from sojourn.security import AccessLog, Decision, Guard, Principal, User


@dataclass
class Callers:
    """Ada and Bob of an app of their own, with handles of one guard."""

    store: sojourn.Sojourn
    decisions: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.guard: Guard = self.store.guard(log=AccessLog(self.decisions.append))
        self.app = f"shop-{token_hex(4)}"
        self.ada: User = self.guard.user(Principal.of(self.app, "ada"))
        self.bob: User = self.guard.user(Principal.of(self.app, "bob"))

    def reasons(self) -> list[str]:
        return [f"{each.action} {each.outcome}:{each.reason}" for each in self.decisions]


@contextmanager
def calls_of(store: sojourn.Sojourn) -> Iterator[list[str]]:
    """The names of the calls to the server, in any order of those that leave together."""
    names: list[str] = []
    stop = store.on_call(lambda fact: names.append(fact.name))
    try:
        yield names
    finally:
        stop()
        names.sort()
