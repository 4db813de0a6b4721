"""Write the table of promises in README.md with the figures of the recorded runs.

python scripts/readme_figures.py            # after `make bench` or a soak
python scripts/readme_figures.py --check    # exits with 1 when README has others
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "README.md"
BEGIN, END = "<!-- figures: scripts/readme_figures.py -->", "<!-- end of figures -->"


def table() -> str:
    """The promises, and what was measured."""
    runs, reliability = (
        json.loads((ROOT / "bench/results" / f"{name}.json").read_text("utf-8"))
        for name in ("latest", "reliability")
    )
    found: dict[str, dict[str, Any]] = {each["name"]: each["rows"] for each in runs["tables"]}
    soak, recovery = reliability["soak"], reliability["recovery"]

    def median(name: str, row: str, peer: str = "sojourn") -> float:
        return float(found[name][row][peer]["median"])

    faults = sum(sum(each["faults"].values()) for each in soak)
    acknowledged = sum(each["acknowledged"] for each in soak)
    lost, doubled = (sum(each[word] for each in soak) for word in ("lost", "doubled"))
    again = " / ".join(f"{each['median, s']:.2f}" for each in recovery)
    rows = {
        "Every write takes effect **once**, and what was acknowledged stays": (
            f"{faults} faults (`kill -9`, freezes, failovers), {acknowledged:,} acknowledged "
            f"writes: {lost} lost, {doubled} doubled (AOF `always`, or all replicas confirm)"
        ),
        "An outage is a **typed error in time**, never an empty session": (
            f"longest call {max(each['longest call, s'] for each in soak):.2f} s with an "
            "`operation_timeout` of 2 s"
        ),
        "Work goes on **by itself** after a crash": (
            f"first write after `kill -9`: {again} s (restart / Sentinel / Cluster)"
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


def main() -> int:
    """Write it, or compare."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    if "--check" in sys.argv:
        return int(text != wanted)
    PAGE.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
