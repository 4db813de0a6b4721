"""Write the tables of README.md and docs/reliability.md from the recorded runs.

python scripts/readme_figures.py            # after `make bench` or a soak
python scripts/readme_figures.py --check    # exits with 1 when README has others
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"
README, RELIABILITY = ROOT / "README.md", ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: scripts/readme_figures.py -->", "<!-- end of figures -->"


def table() -> str:
    """The promises, and what was measured."""
    runs = json.loads((RESULTS / "latest.json").read_text("utf-8"))
    found: dict[str, dict[str, Any]] = {each["name"]: each["rows"] for each in runs["tables"]}
    soaks = soak_runs()
    soak = [each for run in soaks for each in run["soak"]]
    recovery = zip(*(run["recovery"] for run in soaks), strict=True)

    def median(name: str, row: str, peer: str = "sojourn") -> float:
        return float(found[name][row][peer]["median"])

    faults = sum(sum(each["faults"].values()) for each in soak)
    acknowledged = sum(each["acknowledged"] for each in soak)
    lost, doubled = (sum(each[word] for each in soak) for word in ("lost", "doubled"))
    again = " / ".join(f"{max(each['median, s'] for each in kind):.1f}" for kind in recovery)
    rows = {
        "Every write takes effect **once**, and what was acknowledged stays": (
            f"{faults} faults (`kill -9`, freezes, failovers) on {len(soaks)} servers, "
            f"{acknowledged:,} acknowledged writes: {lost} lost, {doubled} doubled (AOF `always`, "
            "or all replicas confirm)"
        ),
        "An outage is a **typed error in time**, never an empty session": (
            f"longest call {max(each['longest call, s'] for each in soak):.2f} s with an "
            "`operation_timeout` of 2 s"
        ),
        "Work goes on **by itself** after a crash": (
            f"first write after `kill -9`: {again} s at most (restart / Sentinel / Cluster)"
        ),
        "An append costs the same in a **long** session": (
            f"{median('append', '10 events'):.2f} ms at 10 events, "
            f"{median('append', '5,000 events'):.2f} ms at 5,000"
        ),
        "Many tasks share **one write** on one connection": (
            f"{median('parallel', '64 tasks'):,.0f} appends/s by 64 tasks; a bare `SET`: "
            f"{median('parallel', '64 tasks', 'bare-set'):,.0f}"
        ),
        "The last 20 of 5,000 events cost **20 events**": (
            f"{median('get-cold', 'last 20 of 5,000'):.1f} ms in a fresh service, its caches empty"
        ),
        "Lists come from **indexes**, never from `KEYS` or `SCAN`": (
            f"{median('list', '500 sessions of 100'):.0f} ms for 500 sessions"
        ),
    }
    lines = [f"| {promise} | {figures} |" for promise, figures in rows.items()]
    return "\n".join(["| promise | measured |", "|---|---|", *lines])


def soak_runs() -> list[dict[str, Any]]:
    """What `make soak` has recorded, a run for each server."""
    found = sorted(RESULTS.glob("reliability-*.json"))
    return [json.loads(each.read_text("utf-8")) for each in found]


def soak_table() -> str:
    """What became of each server under faults, and how soon it took writes again."""
    lines = [
        "| | faults injected | operations | acknowledged | unknown at first | lost | doubled"
        " | longest call | writes again after `kill -9`: median, worst |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in soak_runs():
        server = run["server"].replace("server v=", "")
        for soak, again in zip(run["soak"], run["recovery"], strict=True):
            numbers = (
                sum(soak["faults"].values()),
                *(soak[word] for word in ("operations", "acknowledged", "unknown for a while")),
                *(soak[word] for word in ("lost", "doubled")),
            )
            cells = " | ".join(f"{number:,}" for number in numbers)
            lines.append(
                f"| {server}: {soak['target']} | {cells} | {soak['longest call, s']:.2f} s"
                f" | {again['median, s']:.2f} s, {again['worst, s']:.2f} s |"
            )
    return "\n".join(lines)


def main() -> int:
    """Write them, or compare."""
    differ = False
    for page, made in ((README, table()), (RELIABILITY, soak_table())):
        text = page.read_text("utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        wanted = f"{before}{BEGIN}\n{made}\n{END}{after}"
        differ |= text != wanted
        if "--check" not in sys.argv:
            page.write_text(wanted, "utf-8")
    return int(differ and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
