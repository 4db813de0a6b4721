"""LangChain's cache of model calls over the cache room."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.caches import BaseCache
from langchain_core.outputs import Generation

from sojourn.errors import (
    AccessDenied,
    Closed,
    CorruptRecord,
    Erased,
    InvalidInput,
    InvalidValue,
    ServerFault,
    TooLarge,
    Unavailable,
    Undecodable,
)
from sojourn.integrations.langchain import generations
from sojourn.integrations.opened import BlockingStoreUser
from sojourn.options import DAY
from sojourn.process import Opened
from sojourn.process_bound import stays_here

if TYPE_CHECKING:
    from sojourn.integrations.opened import Where

log = logging.getLogger("sojourn.langchain")

_TAG = "langchain"
_AWAY = (Unavailable, AccessDenied, ServerFault, Closed)
"""For these no model call shall fail."""


class LLMCacheStats(NamedTuple):
    """Figures of a cache in this process.

    Attributes:
        hits: answers that were there.
        misses: times that there was none; those below are among them.
        unreadable: entries that could not be read.
        unavailable: look-ups and updates for which no server answered, or refused.
        refused: answers that could not be stored, and prompts that are no text.
    """

    hits: int
    misses: int
    unreadable: int
    unavailable: int
    refused: int


@stays_here("its URL, and make one there")
class LLMCache(BlockingStoreUser, BaseCache):
    """Answers of models, kept for the same prompt to the same model, in Redis or Valkey.

    A cache never makes a model call fail: without a server a look-up finds nothing and an update
    stores nothing; an entry that cannot be read counts as missing, and an answer that cannot be
    stored without loss is not. The log warns of each, and `stats()` counts them. `clear` raises.

    Every method has one for event loops, with an `a` before its name.

    Args:
        url_or_store: a URL or redis-py client as `sojourn.open` takes them, or an open store, which
            `close()` then leaves open. Objects of this process with the same URL and options share
            one store.
        ttl: seconds that an answer is kept; 30 days at most.
        tenant: whose answers: each tenant has its own.
        options: further arguments of `sojourn.open`.

    Raises:
        sojourn.ConfigurationError: the URL; nothing is sent yet.
        sojourn.InvalidInput: one of the other arguments.
    """

    def __init__(
        self, url_or_store: Where, *, ttl: float = DAY, tenant: str = "", **options: Any
    ) -> None:
        self._opened = Opened(url_or_store, options)
        self._ttl = ttl
        self._tenant = tenant
        self._counts = Counter[str]()

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """The answer to a prompt, or None. One round trip."""
        return self._run(partial(self._lookup, prompt, llm_string))

    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """The answer to a prompt, or None. One round trip."""
        return await self._wait(partial(self._lookup, prompt, llm_string))

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep the answer to a prompt. One round trip.

        Raises:
            sojourn.InvalidInput: the TTL or the tenant.
        """
        self._run(partial(self._update, prompt, llm_string, return_val))

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep the answer to a prompt. One round trip.

        Raises:
            sojourn.InvalidInput: the TTL or the tenant.
        """
        await self._wait(partial(self._update, prompt, llm_string, return_val))

    def clear(self, **kwargs: Any) -> None:
        """As `aclear`."""
        self._run(self._clearing(kwargs))

    async def aclear(self, **kwargs: Any) -> None:
        """Forget all answers of this tenant that were stored until now. One round trip.

        Args:
            kwargs: none: what would narrow it is refused.

        Raises:
            sojourn.InvalidInput: an argument.
            sojourn.Unavailable: no server answers: nothing was forgotten.
        """
        await self._wait(self._clearing(kwargs))

    def stats(self) -> LLMCacheStats:
        """The figures now."""
        return LLMCacheStats(*(self._counts[name] for name in LLMCacheStats._fields))

    async def _lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        found = await self._found(prompt, llm_string)
        self._counts["misses" if found is None else "hits"] += 1
        return found

    async def _found(self, prompt: str, llm_string: str) -> list[Generation] | None:
        try:
            name = await self._name(prompt, llm_string)
            kept = await self.store.cache.get(name, tenant=self._tenant)
            return None if kept is None else generations.load_all(kept)
        except _AWAY as error:
            self._note("unavailable", "The cache of model calls cannot be asked", error)
        except InvalidValue as error:
            self._note("refused", "A prompt cannot be looked up", error)
        except InvalidInput:
            raise
        except (CorruptRecord, Undecodable, Erased, ValueError) as error:
            self._note("unreadable", "A cached model call cannot be read", error)
        return None

    async def _update(self, prompt: str, llm_string: str, answer: Sequence[Generation]) -> None:
        try:
            await self.store.cache.put(
                await self._name(prompt, llm_string),
                generations.dump_all(answer),
                ttl=self._ttl,
                tags=(_TAG,),
                tenant=self._tenant,
            )
        except _AWAY as error:
            self._note("unavailable", "A model call was not cached", error)
        except (InvalidValue, TooLarge, CorruptRecord, Undecodable, Erased) as error:
            self._note("refused", "A model call was not cached", error)

    def _clearing(self, narrowed: dict[str, Any]) -> Callable[[], Coroutine[Any, Any, None]]:
        if narrowed:
            raise InvalidInput(f"clear() forgets all answers: it takes no {', '.join(narrowed)}.")
        return partial(self.store.cache.invalidate, _TAG, tenant=self._tenant)

    async def _name(self, prompt: str, llm_string: str) -> str:
        arguments = {"prompt": prompt, "llm": llm_string}
        made = await self.store.cache.fingerprint("langchain", arguments, tenant=self._tenant)
        return f"llm:{made}"

    def _note(self, what: str, happened: str, error: Exception) -> None:
        self._counts[what] += 1
        log.warning("%s (%s): %s", happened, type(error).__name__, error)
