"""Tables in which what people copy stays whole: ids are never cut, folded or wrapped."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.text import Text

_GAP = "  "
_NARROWEST = 12
"""Columns that a cut cell keeps at least."""


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: its head.
        whole: its cells are ids: they stay as they are, also where the line is too long for it.
        text: its cells may be cut.
        right: its cells are numbers.
        optional: it is left out when all of its cells are this; None to keep it.
    """

    name: str
    whole: bool = False
    text: bool = False
    right: bool = False
    optional: str | None = None


class Table:
    """Rows under heads, as wide as the terminal.

    Where a row does not fit, texts are cut; where that is not enough, each row becomes two lines:
    its ids, and below them, indented, the rest, texts last.

    Args:
        columns: the columns.
        rows: cells, harmless for a terminal.
    """

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        shown = [
            number
            for number, column in enumerate(columns)
            if column.optional is None or any(row[number] != column.optional for row in rows)
        ]
        self._columns = [columns[number] for number in shown]
        self._rows = [[row[number] for number in shown] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Called by rich."""
        widths = self._widths(options.max_width)
        if widths is None:
            for row in self._rows:
                yield from self._stacked(row, options.max_width)
            return
        yield self._line([column.name for column in self._columns], widths, "bold")
        for row in self._rows:
            yield self._line(row, widths)

    def _widths(self, room: int) -> list[int] | None:
        """How wide the columns are; None when a row does not fit."""
        lines = [[column.name for column in self._columns], *self._rows]
        widths = [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - room
        for number, column in enumerate(self._columns):
            if excess > 0 and column.text and widths[number] > _NARROWEST:
                cut = min(excess, widths[number] - _NARROWEST)
                widths[number] -= cut
                excess -= cut
        return widths if excess <= 0 else None

    def _line(self, cells: Sequence[str], widths: Sequence[int], style: str = "") -> Text:
        parts = (
            _aligned(cell, width, right=column.right)
            for cell, width, column in zip(cells, widths, self._columns, strict=True)
        )
        return _unbroken(_GAP.join(parts).rstrip(), style)

    def _stacked(self, row: Sequence[str], room: int) -> Iterator[Text]:
        pairs = [pair for pair in zip(row, self._columns, strict=True) if pair[0]]
        pairs.sort(key=lambda pair: pair[1].text)
        yield _unbroken(_GAP.join(cell for cell, column in pairs if column.whole))
        rest = (f"{column.name} {cell}" for cell, column in pairs if not column.whole)
        text = f"    {', '.join(rest)}"
        yield _unbroken(text if cell_len(text) <= room else f"{set_cell_size(text, room - 1)}…")


class Fields:
    """Names, and beside them what they are.

    Args:
        shown: by name; harmless for a terminal.
        whole: names of ids, which are not wrapped.
    """

    def __init__(self, shown: Mapping[str, Text], whole: Collection[str] = ()) -> None:
        self._shown = shown
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Called by rich."""
        width = max(map(len, self._shown)) + len(_GAP)
        room = max(_NARROWEST, options.max_width - width)
        for name, value in self._shown.items():
            whole = name in self._whole
            lines = [value] if whole else list(value.wrap(console, room, overflow="fold"))
            for number, line in enumerate(lines):
                head = "" if number else name
                text = Text(f"{head:<{width}}", "dim", no_wrap=True, overflow="ignore")
                yield text.append_text(line)


def _aligned(cell: str, width: int, *, right: bool) -> str:
    size = cell_len(cell)
    if size > width:
        return f"{set_cell_size(cell, width - 1)}…"
    blank = " " * (width - size)
    return blank + cell if right else cell + blank


def _unbroken(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ignore")
