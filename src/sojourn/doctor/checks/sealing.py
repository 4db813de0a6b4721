"""Checks of what decodes a store: master keys, where the data keys are, dictionaries."""

from __future__ import annotations

from sojourn.doctor.model import Level, Verdict
from sojourn.doctor.reading import DictionariesReading, KeysReading


def master_keys(reading: KeysReading) -> Verdict:
    """The ring can be had, and has every master key that data keys need."""
    if reading.wrong:
        message, _, command = reading.wrong.rpartition(": ")
        if command.startswith("chmod "):
            return Verdict(Level.PROBLEM, f"{message}.", command)
        return Verdict(Level.PROBLEM, reading.wrong, "Name the file of master keys: SOJOURN_KEYS.")
    of = f"of the data keys of {reading.looked:,} users and apps"
    if reading.missing:
        return Verdict(
            Level.PROBLEM,
            f"Some {of} are wrapped by master keys that are not in the ring: "
            f"{', '.join(sorted(reading.missing))}. What they seal cannot be read here.",
            "Find the file that has them, and use that; sojourn keys ls counts them.",
        )
    if reading.unreadable:
        return Verdict(
            Level.PROBLEM,
            f"Those of {reading.unreadable:,} {of} are damaged, or of a newer version.",
            "Restore the keys NAMESPACE:keys:{APP:USER} from a backup, or upgrade.",
        )
    return _active(reading, of)


def _active(reading: KeysReading, of: str) -> Verdict:
    if not reading.active:
        return Verdict(
            Level.ADVICE,
            "No master key of the ring is active: content of users without a data key is stored "
            "in plain text.",
            "When all processes have the ring: sojourn keys activate FILE ID",
        )
    if reading.old:
        return Verdict(
            Level.ADVICE,
            f"{reading.old:,} {of} are wrapped by a master key that is not the active one.",
            "sojourn keys rotate",
        )
    return Verdict(Level.OK, f"The ring opens all {of}.")


def migration(reading: KeysReading) -> Verdict | None:
    """No plain text is accepted; silent when none is."""
    if reading.wrong or not reading.migrating:
        return None
    return Verdict(
        Level.ADVICE,
        "The ring says that a migration is under way: records in plain text are accepted, and so "
        "are those that somebody else has put in place of sealed ones.",
        "When everything is sealed: sojourn keys migrating FILE off",
    )


def key_store(reading: KeysReading) -> Verdict:
    """Data keys are not in the backups of the records."""
    if reading.apart:
        return Verdict(Level.OK, "Data keys are kept apart from the records and their backups.")
    return Verdict(
        Level.ADVICE,
        "Data keys are on the server of the records, wrapped, and so in its backups: who has one "
        "from before an erasure, and the master key, reads what was erased.",
        "If that matters, open stores with key_store= from the beginning.",
    )


def dictionaries(reading: DictionariesReading) -> Verdict:
    """The dictionaries that records were compressed with are there."""
    if reading.missing:
        named = ", ".join(
            f"{name} of {app}" for app in sorted(reading.missing) for name in reading.missing[app]
        )
        return Verdict(
            Level.PROBLEM,
            f"Records need dictionaries that are gone: {named}. They cannot be read.",
            "Restore the keys NAMESPACE:dictionary:{APP} from a backup, or upgrade.",
        )
    return Verdict(
        Level.OK, f"The dictionaries that records need are there (looked at {reading.looked:,})."
    )
