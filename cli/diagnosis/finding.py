"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How good or bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


STYLES = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILED: "bold red"}
"""How a status is shown on a terminal."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of handoff, how it is, and what to do about it (nothing when it is ok)."""

    part: str
    status: Status
    what: str
    mend: str = ""


def ok(part: str, what: str) -> Finding:
    """Say that a part is as it should be."""
    return Finding(part, Status.OK, what)


def warning(part: str, what: str, mend: str) -> Finding:
    """Say that a part works, or need not, but somebody should look at it."""
    return Finding(part, Status.WARNING, what, mend)


def failed(part: str, what: str, mend: str) -> Finding:
    """Say that a part does not work."""
    return Finding(part, Status.FAILED, what, mend)
