"""Registration of functions as tools."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import ToolAnnotations
from pydantic import ConfigDict, ValidationError, create_model

from sojourn.surfaces.mcp.failures import told, wrong_arguments
from sojourn.surfaces.mcp.schemas import of_arguments, of_results

Function = Callable[..., Coroutine[Any, Any, Any]]


class Effect(NamedTuple):
    """What a tool does to what is stored."""

    reads: bool = False
    destroys: bool = False
    repeatable: bool = False


READS = Effect(reads=True, repeatable=True)
ADDS = Effect()
SETS = Effect(destroys=True, repeatable=True)
"""It replaces what was there; twice is as once."""
LOGS = Effect(destroys=True)
"""The same, and the log says so each time."""
REMOVES = Effect(destroys=True, repeatable=True)


class _AsItCame(FuncMetadata):
    """Takes a value that may be any JSON as it came; the SDK would read text that looks like JSON.

    Lists and objects that a client sends as text are read all the same, where one is wanted.
    """

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        fields = self.arg_model.model_fields
        exact = {name for name in data if name in fields and fields[name].annotation is Any}
        parsed = super().pre_parse_json({k: v for k, v in data.items() if k not in exact})
        return {**parsed, **{name: data[name] for name in exact}}


class _Tool(Tool):
    """Tells a model which arguments were wrong, and how; the SDK shows it pydantic's own text."""

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        """Called by the SDK."""
        try:
            return await super().run(*args, **kwargs)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                known = list(self.parameters["properties"])
                raise ToolError(wrong_arguments(self.name, error.__cause__, known)) from error
            raise


def tool(function: Function, title: str, effect: Effect) -> Tool:
    """A tool: its name, description and schemas are the function's.

    Arguments that it does not know are refused, so that nobody believes in them.
    """
    made = _Tool.from_function(
        told(function),
        title=title,
        description=_description(function),
        annotations=ToolAnnotations(
            read_only_hint=effect.reads,
            destructive_hint=effect.destroys,
            idempotent_hint=effect.repeatable,
            open_world_hint=False,
        ),
        structured_output=True,
    )
    known = made.fn_metadata
    arguments = create_model(known.arg_model.__name__, __base__=known.arg_model)
    arguments.model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")
    arguments.model_rebuild(force=True)
    made.fn_metadata = _AsItCame(
        arg_model=arguments,
        output_schema=of_results(known.output_schema or {}),
        output_model=known.output_model,
        wrap_output=known.wrap_output,
    )
    made.parameters = of_arguments(arguments.model_json_schema(by_alias=True))
    return made


def _description(function: Function) -> str:
    """The docstring as one paragraph a block: a model need not see our lines."""
    blocks = (function.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)
