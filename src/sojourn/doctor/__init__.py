"""Checks of a server's configuration: the doctor reports what to change before production."""

from sojourn.doctor.model import Finding, Level, Report
from sojourn.doctor.service import Doctor

__all__ = ["Doctor", "Finding", "Level", "Report"]
