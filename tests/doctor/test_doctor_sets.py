"""Several servers behind one URL: each that takes writes is examined."""

from __future__ import annotations

from pathlib import Path

import sojourn
from cluster import ClusterSet
from sentinel import SentinelSet
from servers import any_binary
from sojourn.doctor import Level, Report


async def examined(url: str) -> Report:
    async with sojourn.open(url, operation_timeout=5) as store:
        await store.sessions.create("shop", "ada")
        return await store.admin.doctor.examine()


async def test_each_primary_of_a_cluster_is_examined(tmp_path: Path) -> None:
    nodes = ClusterSet(tmp_path, any_binary()).start()
    try:
        report = await examined(nodes.url)
    finally:
        nodes.close()
    *findings, clocks = report.findings
    assert len({finding.node for finding in findings}) == 3
    assert (clocks.check, clocks.level, clocks.node) == ("clocks", Level.OK, "")
    modes = [finding for finding in report.findings if finding.check == "mode"]
    assert [finding.level for finding in modes] == [Level.OK] * 3
    roles = [finding for finding in report.findings if finding.check == "role"]
    assert [finding.level for finding in roles] == [Level.OK] * 3
    assert not [finding for finding in report.findings if finding.level is Level.UNKNOWN]


async def test_under_sentinel_the_primary_is_examined(tmp_path: Path) -> None:
    servers = SentinelSet(tmp_path, any_binary()).start()
    try:
        report = await examined(servers.url)
    finally:
        servers.close()
    found = {finding.check: finding for finding in report.findings}
    assert found["role"].level is Level.OK
    assert found["mode"].level is Level.OK
    assert "2" in found["replicas"].what
