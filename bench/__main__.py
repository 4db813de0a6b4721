"""``python -m bench [GROUP …] [--quick] [--peers NAME …] [--contention]``."""

import argparse
import asyncio
import logging
import time
import warnings
from pathlib import Path

from . import append, contention, create, get, listing, memory, parallel, report, server
from .measure import Bench
from .peers import TABLE, select
from .plan import FULL, QUICK
from .targets import compute

GROUPS = {
    "append": append,
    "get": get,
    "parallel": parallel,
    "list": listing,
    "memory": memory,
    "create": create,
    "contention": contention,
}
ON_REQUEST = {"contention"}
RESULTS = Path(__file__).parent / "results"


def arguments():
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--only", nargs="+", default=[], metavar="GROUP", help="the same")
    parser.add_argument("--peers", nargs="+", choices=TABLE, metavar="NAME", help=", ".join(TABLE))
    parser.add_argument("--quick", action="store_true", help="less of everything, under a minute")
    parser.add_argument("--contention", action="store_true", help="40 writers on one session too")
    given = parser.parse_args()
    given.groups += given.only
    wrong = set(given.groups) - set(GROUPS)
    if wrong:
        parser.error(f"no such group: {', '.join(sorted(wrong))}; there are {', '.join(GROUPS)}")
    return given


def wanted(given):
    names = given.groups or [name for name in GROUPS if name not in ON_REQUEST]
    return names + ["contention"] * (given.contention and "contention" not in names)


async def measure(names, bench):
    tables = []
    for name in names:
        start = time.perf_counter()
        tables += await GROUPS[name].run(bench)
        print(f"{name}: measured in {time.perf_counter() - start:.0f} s", flush=True)
    return tables


def save(document, tables):
    """The picture is for a run of everything; a part of it would only confuse."""
    RESULTS.mkdir(exist_ok=True)
    name = "quick" if document["environment"]["plan"] == QUICK.name else "latest"
    report.save(RESULTS / f"{name}.json", document)

    from . import plot  # noqa: PLC0415  slow to import

    plot.draw(tables, document["environment"], RESULTS / f"{name}.png")
    print(f"Written: bench/results/{name}.json and {name}.png")


def main():
    given = arguments()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    plan = QUICK if given.quick else FULL
    kinds, absent = select(given.peers)
    with server.running() as (url, version):
        facts = report.facts(plan, kinds, version, absent)
        print(f"{version} without AOF over TCP, {plan.name} run, {len(kinds)} peers", flush=True)
        tables = asyncio.run(measure(wanted(given), Bench(kinds, url, plan)))
    targets = compute(tables, plan)
    report.show(tables, targets, facts)
    if not given.groups and not given.peers:
        save(report.as_json(tables, targets, facts), tables)


if __name__ == "__main__":
    main()
