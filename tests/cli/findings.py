"""Settings to examine, and readings of what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routing.settings import Settings, make_settings
from tests.cli.operator import POOL

if TYPE_CHECKING:
    from cli.diagnosis.finding import Finding


def settings(**sections: Any) -> Settings:
    return make_settings({"node": {"id": "node1"}, "pools": [POOL], **sections})


def statuses(found: list[Finding]) -> dict[str, str]:
    return {finding.part: finding.status.value for finding in found}


def only(found: list[Finding], part: str) -> Finding:
    (finding,) = (finding for finding in found if finding.part == part)
    return finding
