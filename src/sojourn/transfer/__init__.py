"""Data in and out: export, import, and migration from other layouts."""

from sojourn.transfer.lines import Counts
from sojourn.transfer.model import Exported, Imported, Progress, Verified
from sojourn.transfer.passing import PassedOver
from sojourn.transfer.service import export, import_, verify

__all__ = [
    "Counts",
    "Exported",
    "Imported",
    "PassedOver",
    "Progress",
    "Verified",
    "export",
    "import_",
    "verify",
]
