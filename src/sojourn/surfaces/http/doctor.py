"""Route of the doctor: what to change at the server. For operators."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from sojourn.doctor import Finding, Level, Report
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import documented, json

router = APIRouter(tags=["doctor"])
ROUTES = [router]

_FINDING = {
    "group": "Persistence",
    "check": "appendonly",
    "level": "warning",
    "what": "The server keeps no append-only file.",
    "todo": "CONFIG SET appendonly yes",
    "node": "",
}
_NO_SERVER = Finding(
    "Server", "server", Level.UNKNOWN, "This store is in memory: there is no server to examine."
)


@router.get(
    "/doctor",
    responses=documented(
        {"where": "redis://localhost:6379", "healthy": False, "findings": [_FINDING]}, "Findings."
    ),
)
async def get_doctor(who: As) -> Response:
    """Examine the servers of the store. It only reads, some 28 round trips and samples of keys."""
    admin = who.admin()
    if who.store.stats().kind == "memory":
        report = Report(who.store.where, [_NO_SERVER])
    else:
        report = await admin.doctor.examine()
    return json(
        {
            "where": report.where,
            "healthy": report.healthy,
            "findings": [each._asdict() for each in report.findings],
        }
    )
