"""Conversion of a model's generations to JSON, and back without loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
)

from sojourn.errors import InvalidValue
from sojourn.integrations.langchain import messages
from sojourn.telemetry.newer import NEWER

CLASSES: dict[str, type[Generation]] = {
    each.__name__: each
    for each in (ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk)
}
"""What may come back; LangChain's own `type` does not tell them apart."""

_FIELDS = frozenset({"text", "generation_info", "message"})


def dump_all(answer: Sequence[Generation]) -> list[dict[str, Any]]:
    """An answer as JSON.

    Raises:
        InvalidValue: it would not come back as it is.
    """
    return [dump(generation) for generation in answer]


def load_all(plain: Any) -> list[Generation]:
    """The answer that was dumped, without members that a newer langchain-core wrote.

    Raises:
        ValueError: it is none that can be read here.
    """
    if isinstance(plain, list):
        each_of = cast("list[Any]", plain)  # type: ignore[redundant-cast]
        return [load(each) for each in each_of]
    raise ValueError("It is no list.")


def dump(generation: Generation) -> dict[str, Any]:
    """A generation as JSON.

    Raises:
        InvalidValue: it would not come back as it is.
    """
    kind = type(generation)
    if CLASSES.get(kind.__name__) is not kind:
        raise InvalidValue(
            f"A {kind.__qualname__} cannot be stored: only the generations of "
            "langchain_core.outputs come back as what they were."
        )
    plain: dict[str, Any] = {"class": kind.__name__}
    for name in sorted(_FIELDS & vars(generation).keys()):
        value = getattr(generation, name)
        if name == "message":
            plain[name] = messages.dump(value)
        else:
            plain[name] = messages.faithful(value, f"The {name} of a {kind.__name__}")
    if load(plain) != generation:
        raise InvalidValue(f"This {kind.__name__} would come back changed.")
    return plain


def load(plain: Any) -> Generation:
    """The generation that was dumped, without members that are not known here.

    Something known that cannot be read makes all of it unreadable: an answer of which a part is
    missing would be another answer, and a cache can have the model asked again.

    Raises:
        ValueError: it is none that can be read here.
    """
    fields = dict(cast("dict[str, Any]", plain)) if isinstance(plain, dict) else {}
    name = fields.pop("class", None)
    if not isinstance(name, str) or name not in CLASSES:
        raise ValueError("It is of no class known here.")
    if unknown := fields.keys() - _FIELDS:
        NEWER.add("A LangChain generation", unknown)
        fields = {name: fields[name] for name in fields if name in _FIELDS}
    if isinstance(fields.get("message"), dict):
        fields["message"] = messages.load_known(fields["message"])
    kind = CLASSES[name]
    try:
        kind(**fields)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"LangChain refuses the fields ({type(error).__name__}).") from error
    return kind.model_construct(**fields)
