"""Write the table of variables in docs/guides/settings.md, from the fields of `sojourn.Settings`.

python scripts/settings_table.py            writes it
python scripts/settings_table.py --check    says whether it is up to date
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

from sojourn.settings import variables
from sojourn.settings.forms import Form

GUIDE = Path(__file__).parents[1] / "docs/guides/settings.md"
BEGIN, END = "<!-- variables: scripts/settings_table.py -->", "<!-- end of variables -->"


def meanings() -> dict[str, str]:
    """The text below each field."""
    (found,) = (
        node
        for node in ast.parse(inspect.getsource(variables)).body
        if isinstance(node, ast.ClassDef)
    )
    texts: dict[str, str] = {}
    for field, text in zip(found.body, found.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            texts[ast.unparse(field.target)] = str(ast.literal_eval(text.value))
    return texts


def shown(value: Any) -> str:
    """A default as one would write it."""
    if value in (None, ""):
        return ""
    if isinstance(value, float):
        return f"{value:g}" if value < 10**6 else f"{value:.0f}"
    return str(value)


def table() -> str:
    lines = ["| variable | meaning | value | default |", "|---|---|---|---|"]
    for name, text in meanings().items():
        field = variables.Variables.model_fields[name]
        form = next(each.words for each in field.metadata if isinstance(each, Form))
        lines.append(f"| `{name.upper()}` | {text} | {form} | {shown(field.default)} |")
    return "\n".join(lines)


def main() -> int:
    """Write it, or compare."""
    text = GUIDE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    if "--check" in sys.argv:
        return int(text != wanted or set(meanings()) != set(variables.Variables.model_fields))
    GUIDE.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
