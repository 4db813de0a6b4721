"""What to change at a server before people rely on it."""

from sojourn.doctor.model import Finding, Level, Report
from sojourn.doctor.service import Doctor

__all__ = ["Doctor", "Finding", "Level", "Report"]
