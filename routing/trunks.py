"""What was learned of a trunk: whether its side takes a REFER and reports what became of it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, ValidationError

ASK_AGAIN = 24 * 3600.0
"""Seconds after which a trunk that did not take REFER is asked again: its far side may have been changed."""


class Verdict(StrEnum):
    """What a trunk's side makes of a REFER."""

    WORKS = "works"
    """It calls the target, and tells how that went."""
    REFUSES = "refuses"
    SILENT = "silent"
    """It does not answer, or accepts and never reports."""


class Learned(BaseModel):
    """The last verdict on a trunk; `at` in seconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    status: int
    at: float

    @classmethod
    def read(cls, data: bytes | None) -> Learned | None:
        """Read it back; None where nothing is known, or what is kept cannot be read: then it is learned anew."""
        try:
            return cls.model_validate_json(data) if data is not None else None
        except ValidationError:
            return None

    def advises(self, now: float) -> bool:
        """Tell whether a REFER is worth a try."""
        return self.verdict is Verdict.WORKS or now >= self.at + ASK_AGAIN
