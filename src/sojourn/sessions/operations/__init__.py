"""Operations of the sessions room, one class each."""

from sojourn.sessions.operations.append import Append
from sojourn.sessions.operations.begin import Begin
from sojourn.sessions.operations.create import Create
from sojourn.sessions.operations.delete import Delete
from sojourn.sessions.operations.ensure import Ensure
from sojourn.sessions.operations.forget import Forget
from sojourn.sessions.operations.lists import (
    ListIds,
    ListNames,
    ListRecent,
    ListSessions,
    ListUsers,
)
from sojourn.sessions.operations.read import Read, ReadSharedState
from sojourn.sessions.operations.rotate import Rotate
from sojourn.sessions.operations.save import Save
from sojourn.sessions.operations.tombstones import AddTombstone, FindTombstone, WasAppended
from sojourn.sessions.operations.trim import Trim
from sojourn.sessions.operations.update import Update
from sojourn.sessions.operations.upkeep import CountSessions, RepairRecent, RepairUsers

__all__ = [
    "AddTombstone",
    "Append",
    "Begin",
    "CountSessions",
    "Create",
    "Delete",
    "Ensure",
    "FindTombstone",
    "Forget",
    "ListIds",
    "ListNames",
    "ListRecent",
    "ListSessions",
    "ListUsers",
    "Read",
    "ReadSharedState",
    "RepairRecent",
    "RepairUsers",
    "Rotate",
    "Save",
    "Trim",
    "Update",
    "WasAppended",
]
