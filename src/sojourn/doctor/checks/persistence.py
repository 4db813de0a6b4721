"""Checks of durability: the data that survives a crash or a restart."""

from __future__ import annotations

from sojourn.doctor.model import Level, Verdict
from sojourn.doctor.reading import Answers, Reading

_SWITCH_ON = (
    "redis-cli CONFIG SET appendonly yes, then CONFIG REWRITE; not by an edited redis.conf and a "
    "restart, which begins empty"
)


def loading(reading: Reading) -> Verdict | None:
    """Not loading its data any more; silent then."""
    info = reading.info
    if info["loading"] != "1":
        return None
    done, left = info.get("loading_loaded_perc"), info.get("loading_eta_seconds")
    return Verdict(
        Level.WARNING,
        f"The server is loading its data ({done or '?'} % done, about {left or '?'} s left): "
        "until then every call fails.",
        "Wait, and run this again.",
    )


def aof(reading: Reading) -> Verdict:
    """The append-only file: without it a crash loses minutes, or everything."""
    info, config = reading.info, reading.config
    if info["aof_enabled"] == "1":
        return Verdict(Level.OK, "AOF is on: every write goes to the append-only file.")
    if config.get("save"):
        return Verdict(
            Level.WARNING,
            "AOF is off: a crash loses what was written since the last snapshot "
            f"({_age(info)}save {config['save']}).",
            _SWITCH_ON,
        )
    if "save" not in config:
        return Verdict(
            Level.WARNING,
            "AOF is off: a crash loses what was written since the last snapshot, if there are any.",
            _SWITCH_ON,
        )
    return Verdict(
        Level.PROBLEM,
        "Nothing is saved: AOF is off and there are no save points, so a restart loses every "
        "session.",
        _SWITCH_ON,
    )


def appendfsync(reading: Reading) -> Verdict | None:
    """When the append-only file reaches the disk; silent without one."""
    if reading.info.get("aof_enabled") != "1":
        return None
    config = reading.config
    when = config["appendfsync"]
    if when == "no":
        return Verdict(
            Level.WARNING,
            "appendfsync is no: a crash of the machine loses what its kernel had not written yet, "
            "some 30 s.",
            "appendfsync always, or everysec",
        )
    if config.get("no-appendfsync-on-rewrite") == "yes":
        return Verdict(
            Level.WARNING,
            f"appendfsync is {when}, but not while the log is rewritten: a crash of the machine "
            "then loses all since the rewrite began.",
            "no-appendfsync-on-rewrite no",
        )
    if when == "always":
        return Verdict(Level.OK, "appendfsync is always: what was acknowledged is on the disk.")
    what = "appendfsync is everysec: a crash of the machine loses the last second."
    if reading.address.embedded:
        return Verdict(Level.OK, f"{what} An embedded server is made so.")
    return Verdict(Level.ADVICE, what, "appendfsync always, if a second is too much")


def aof_status(reading: Reading) -> Verdict | None:
    """Whether the append-only file could be written; silent without one."""
    info = reading.info
    if info.get("aof_enabled") != "1":
        return None
    if info["aof_last_write_status"] != "ok":
        return Verdict(
            Level.PROBLEM,
            "The append-only file could not be written, so the server refuses all writes.",
            "Look into the server's log, and make room on the disk of its dir.",
        )
    if info["aof_last_bgrewrite_status"] != "ok":
        return Verdict(
            Level.WARNING,
            "The append-only file could not be rewritten: it grows until the disk is full.",
            "Look into the server's log: the disk needs room, the machine memory for a fork "
            "(vm.overcommit_memory = 1); then redis-cli BGREWRITEAOF",
        )
    return Verdict(Level.OK, "The append-only file was written and rewritten without an error.")


def snapshots(reading: Reading) -> Verdict:
    """Whether snapshots succeed; those that fail stop all writes."""
    info, config = reading.info, reading.config
    if info["rdb_last_bgsave_status"] == "ok":
        saves = config.get("save")
        if saves:
            return Verdict(Level.OK, f"Snapshots succeed (save {saves}).")
        return Verdict(Level.OK, "No snapshot has failed.")
    stops = config.get("save") and config.get("stop-writes-on-bgsave-error") != "no"
    return Verdict(
        Level.PROBLEM if stops else Level.WARNING,
        "The last snapshot failed" + (", so the server refuses all writes." if stops else "."),
        "Look into the server's log: the disk needs room, the machine memory for a fork "
        "(vm.overcommit_memory = 1); then redis-cli BGSAVE",
    )


def _age(info: Answers) -> str:
    """How old the last snapshot is, by the server's clock, when both are told."""
    if "server_time_usec" not in info or "rdb_last_save_time" not in info:
        return ""
    seconds = info.number("server_time_usec") / 1_000_000 - info.number("rdb_last_save_time")
    return f"{seconds / 60:,.0f} min ago, "
