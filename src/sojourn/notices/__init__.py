"""Notices of changes: what has happened to a user's sessions, in order, while others write."""

from sojourn.notices.model import Kind, Notice
from sojourn.notices.service import Notices

__all__ = ["Kind", "Notice", "Notices"]
