"""One picture: append latency by length, and bars for the rest."""

import matplotlib as mpl

from .peers import TABLE
from .targets import OURS

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = dict(
    zip(
        TABLE,
        ("#d1495b", "#9a9a9a", "#66a182", "#2e4057", "#3d7ea6", "#edae49", "#c9b8a8", "#8d6a9f"),
        strict=True,
    )
)
BARS = {
    "parallel": "Append by",
    "get-cold": "Get cold,",
    "get-warm": "Get again,",
    "list": "List",
    "memory": "Memory of",
}
COLUMNS = 3


def draw(tables, environment, path):
    by_name = {table.name: table for table in tables}
    panels = list(panels_of(by_name))
    lines = -(-len(panels) // COLUMNS)
    figure = plt.figure(figsize=(13, 6 + 2.6 * lines), layout="constrained")
    figure.get_layout_engine().set(hspace=0.08, wspace=0.03)
    cells = figure.add_gridspec(2 + lines, COLUMNS)
    draw_lines(figure.add_subplot(cells[:2, :]), by_name["append"])
    for i, (name, row) in enumerate(panels):
        axes = figure.add_subplot(cells[2 + i // COLUMNS, i % COLUMNS])
        draw_bars(axes, by_name[name], row)
    figure.suptitle(heading(environment), fontsize=10, color="#555555")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def panels_of(by_name):
    """The last row of each table (the largest session), and the whole one of the cold reads."""
    for name in BARS:
        rows = list(by_name[name].rows)
        if name.startswith("get"):
            yield name, next(row for row in reversed(rows) if row.startswith("all"))
        if name != "get-warm":
            yield name, rows[-1]


def heading(environment):
    versions = environment["packages"]
    shown = ("google-adk", "redis", "sojourn")
    packages = ", ".join(f"{name} {versions[name]}" for name in shown if name in versions)
    return (
        f"{environment['server']} without AOF over TCP, Python {environment['python']}, "
        f"{environment['cpus']} CPUs, {packages}; events of 1.1 KB; medians"
    )


def draw_lines(axes, table):
    lengths = [int(row.split()[0].replace(",", "")) for row in table.rows]
    ends = {}
    for name, kind in TABLE.items():
        values = [table.median(row, name) for row in table.rows]
        if None in values:
            continue
        wide = 3 if name == OURS else 1.6
        style = ":" if kind.appends_only else "-"
        axes.plot(lengths, values, style, marker="o", lw=wide, color=COLOURS[name])
        ends[name] = values[-1]
    for name, height in apart(ends).items():
        axes.annotate(
            TABLE[name].label,
            (lengths[-1], height),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            color=COLOURS[name],
            fontweight="bold" if name == OURS else "normal",
        )
    axes.set(xscale="log", yscale="log", xlim=(lengths[0] * 0.9, lengths[-1] * 2.6))
    axes.set_xticks(lengths, [f"{n:,}" for n in lengths])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_xlabel("events already in the session")
    axes.set_ylabel("ms, log scale")
    axes.set_title(f"{table.title}: ms, less is better", loc="left", fontweight="bold")
    axes.grid(visible=True, axis="y", alpha=0.25)
    bare_frame(axes)


def apart(ends, factor=1.7):
    """Heights of the labels, from the lowest up, none closer than ``factor`` to the next."""
    heights, floor = {}, 0
    for name in sorted(ends, key=ends.get):
        heights[name] = floor = max(ends[name], floor * factor)
    return heights


def draw_bars(axes, table, row):
    names = [name for name in TABLE if table.median(row, name) is not None]
    if table.name == "parallel" and len(names) > 1:
        # A dict in this process is 20 times all others and would flatten them; the table has it.
        names = [name for name in names if name != "adk-memory"]
    values = [table.median(row, name) for name in names]
    axes.barh(range(len(names)), values, color=[COLOURS[name] for name in names], height=0.7)
    axes.set_yticks(range(len(names)), [TABLE[name].label for name in names], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, max(values) * 1.18)
    axes.set_xticks([])
    for i, value in enumerate(values):
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
        axes.text(value, i, f" {shown}", va="center", fontsize=8)
    more = " (more is better)" if table.better == "more" else ""
    title = f"{BARS[table.name]} {row}: {table.unit}{more}"
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
    bare_frame(axes)


def bare_frame(axes):
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
