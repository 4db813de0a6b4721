"""Checks of network exposure, authentication and permissions."""

from __future__ import annotations

import ipaddress

from sojourn.doctor.model import Level, Verdict
from sojourn.doctor.reading import Reading, is_loopback, known

_RIGHTS = "-@all +@read +@write +@connection +@scripting -@dangerous +info +time"
"""Of a Redis user: all that Sojourn needs. docs/guides/running.md explains it."""


def acl_rule(user: str, patterns: tuple[str, ...]) -> str:
    """The command that makes a Redis user who may touch Sojourn's keys and nothing else."""
    keys = " ".join(f"~{pattern}" for pattern in patterns)
    return f"ACL SETUSER {user} on >secret resetkeys {keys} resetchannels {_RIGHTS}"


def tls(reading: Reading) -> Verdict:
    """Encrypted, unless it stays on this machine."""
    address = reading.address
    if address.scheme.startswith("rediss"):
        return Verdict(Level.OK, "The connection is encrypted.")
    if address.local:
        return Verdict(Level.OK, "Not encrypted, but it does not leave this machine.")
    return Verdict(
        Level.WARNING if _is_near(address.host) else Level.PROBLEM,
        f"The connection to {address.host} is not encrypted: who is on the way can read every "
        "session and the password.",
        "tls-port 6379 and its certificates in redis.conf, then rediss:// in the URL",
    )


def password(reading: Reading) -> Verdict:
    """Nobody gets in from elsewhere without a password."""
    address = reading.address
    if address.embedded:
        return Verdict(Level.OK, "Only processes of this user reach its socket.")
    flags = reading.default_user["flags"].split()
    if "nopass" not in flags or "off" in flags:
        return Verdict(Level.OK, "Nobody gets in without a password.")
    doors = _doors(reading) if address.local else address.host
    if not doors:
        return Verdict(Level.OK, "No password is needed, but only this machine gets in.")
    if address.local and _is_protected(reading):
        return Verdict(
            Level.OK, "No password is needed, but protected-mode turns other machines away."
        )
    return Verdict(
        Level.PROBLEM,
        f"No password is needed, and the server listens on {doors}: whoever gets there can read "
        "and delete every session.",
        "requirepass SECRET in redis.conf, then redis://:SECRET@HOST in the URL",
    )


def _doors(reading: Reading) -> str:
    """The addresses that other machines could use; empty when there is none."""
    config = reading.config
    bound = config["bind"].split()
    if {config["port"], config.get("tls-port") or "0"} == {"0"}:
        return ""
    if not bound:
        return "all addresses"
    return " ".join(each for each in bound if not is_loopback(each.removeprefix("-")))


def _is_protected(reading: Reading) -> bool:
    """Until Redis 7 protected-mode is off as soon as bind names an address."""
    config, told = reading.config, reading.info.get("redis_version")
    spares_bind = bool(config["bind"]) and told.startswith("6.")
    return config["protected-mode"] == "yes" and not spares_bind


def user(reading: Reading) -> Verdict:
    """No more rights than Sojourn needs."""
    if reading.address.embedded:
        return Verdict(Level.OK, "The server is Sojourn's alone, so it may do everything there.")
    name = reading.client["user"]
    may = reading.own_user.get("commands") or ("+@all" if name == "default" else "")
    if may != "+@all":
        return Verdict(Level.OK, f"Runs as user {name}, who may not do everything.")
    rule = acl_rule("sojourn", reading.patterns)
    return Verdict(
        Level.ADVICE,
        f"Runs as user {name}, who may do everything, even FLUSHALL.",
        f"{rule}, then CONFIG REWRITE or ACL SAVE, and redis://sojourn:secret@HOST in the URL",
    )


def rights(reading: Reading) -> Verdict:
    """Scripts and keys of ours may be used. Whether they may be written is not tried."""
    denied = [each for each in reading.tried if each is not None and each.denied]
    if denied:
        return Verdict(
            Level.PROBLEM,
            f"This user lacks rights that Sojourn needs ({denied[0].why}).",
            acl_rule("USER", reading.patterns),
        )
    for each in reading.tried:
        known(each)
    return Verdict(Level.OK, "This user may run scripts and read Sojourn's keys.")


def _is_near(host: str) -> bool:
    """An address of a private network, or a name that only such a network knows."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host
