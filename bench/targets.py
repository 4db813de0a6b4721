"""The figures to reach, each computed from this run's tables."""

import operator
from dataclasses import dataclass

from . import append, create, get, listing, memory, parallel
from .peers import TABLE

OURS = "sojourn"
OTHERS = [name for name, kind in TABLE.items() if kind.redis and not kind.appends_only]
OTHERS.remove(OURS)
SIGNS = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Target:
    text: str
    sign: str
    bound: float
    measured: float | None
    unit: str = "x"

    @property
    def verdict(self):
        if self.measured is None:
            return "not measured"
        return "reached" if SIGNS[self.sign](self.measured, self.bound) else "not reached"


class Figures:
    """Looks medians up; anything that was not measured makes a ratio None."""

    def __init__(self, tables):
        self.tables = {table.name: table for table in tables}

    def of(self, table, row, peer=OURS, field="median"):
        cell = table in self.tables and self.tables[table].cell(row, peer)
        return cell[field] if cell else None

    def fastest(self, table, row, choose=min):
        found = [self.of(table, row, peer) for peer in OTHERS]
        return choose((value for value in found if value is not None), default=None)

    def others_to_ours(self, table, row, other_table=None):
        return ratio(self.fastest(other_table or table, row), self.of(table, row))


def ratio(above, below):
    return above / below if above is not None and below else None


def extreme(choose, values):
    values = list(values)
    return None if None in values or not values else choose(values)


def compute(tables, plan):
    figures = Figures(tables)
    return [
        *appends(figures, plan),
        *throughput(figures, plan),
        *reads(figures, plan),
        *the_rest(figures, plan),
    ]


def appends(figures, plan):
    first, last = append.row(plan.lengths[0]), append.row(plan.lengths[-1])
    thousand = append.row(1000)
    rows = [append.row(n) for n in plan.lengths]
    longer = [append.row(n) for n in plan.lengths if n >= 100]
    flat = ratio(figures.of("append", last), figures.of("append", first))
    core = ratio(figures.of("append", thousand, "adk-redis"), figures.of("append", thousand))
    from_hundred = extreme(min, (figures.others_to_ours("append", row) for row in longer))
    at_first = figures.others_to_ours("append", first)
    bare, floor = (
        extreme(max, [ratio(figures.of("append", n), figures.of("append", n, peer)) for n in rows])
        for peer in ("bare-set", "bare-evalsha")
    )
    return [
        Target(f"append at {last} / at {first}", "<=", 1.2, flat),
        Target(f"append at {thousand}: ADK Redis / Sojourn", ">=", 300, core),
        Target("append from 100 events on: fastest Redis peer / Sojourn", ">=", 3, from_hundred),
        Target(f"append at {first}: fastest Redis peer / Sojourn", ">=", 1.5, at_first),
        Target("append at any length: Sojourn / bare SET", "<=", 1.6, bare),
        Target("append at any length: Sojourn / bare EVALSHA of its bytes", "<=", 2, floor),
    ]


def throughput(figures, plan):
    row = parallel.row(plan)
    ours = figures.of("parallel", row)
    peers = ratio(ours, figures.fastest("parallel", row, max))
    bare, floor = (
        ratio(ours, figures.of("parallel", row, peer)) for peer in ("bare-set", "bare-evalsha")
    )
    return [
        Target(f"{row}: Sojourn / fastest Redis peer", ">=", 5, peers),
        Target(f"{row}: Sojourn / bare SET", ">=", 1.5, bare),
        Target(f"{row}: Sojourn / bare SET (reach)", ">=", 2, bare),
        Target(f"{row}: Sojourn / bare EVALSHA of its bytes", ">=", 0.5, floor),
    ]


def reads(figures, plan):
    most = get.whole(plan.whole[-1])
    cold = figures.others_to_ours("get-cold", most)
    read = figures.others_to_ours("get-read", most)
    warm = figures.others_to_ours("get-warm", most, "get-cold")
    few, many = (get.tail(plan.recent, n) for n in plan.tails)
    result = [
        Target(f"get {most}, cold: fastest Redis peer / Sojourn", ">=", 1.7, cold),
        Target(f"get {most}, cold (reach)", ">=", 2, cold),
        Target(f"get {most}, cold, and read it all (reach)", ">=", 2, read),
        Target(f"get {most}, again: fastest Redis peer's get / Sojourn", ">=", 30, warm),
    ]
    for table, how in (("get-cold", "cold"), ("get-warm", "again")):
        flat = ratio(figures.of(table, many), figures.of(table, few))
        result.append(Target(f"{many} / {few}, {how}", "<=", 1.2, flat))
    return result


def the_rest(figures, plan):
    row = listing.row(plan)
    ours = figures.of("list", row)
    sqlite = ratio(ours, figures.of("list", row, "adk-sqlite"))
    core = ratio(figures.of("list", row, "adk-redis"), ours)
    size = figures.of("memory-ratio", memory.row(plan))
    saved = figures.of("create", create.ROW, field="p99")
    return [
        Target(f"list {row}: Sojourn / ADK SQLite", "<=", 1.5, sqlite),
        Target(f"list {row}: ADK Redis / Sojourn", ">=", 50, core),
        Target("memory / ADK's exclude_none JSON", "<=", 1.15, size),
        Target("create + get, 99th percentile", "<=", 20, saved, "ms"),
    ]
