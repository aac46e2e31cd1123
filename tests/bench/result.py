"""What was measured, beside what it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Result:
    """One row: `bar` is the most that it may be, or the least where `at_least`; no `measured` means later."""

    what: str
    measured: float | None
    bar: float
    unit: str = ""
    at_least: bool = False
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Tell ok from missed."""
        if self.measured is None:
            return "later"
        return "ok" if (self.measured >= self.bar if self.at_least else self.measured <= self.bar) else "missed"

    def as_dict(self) -> dict[str, Any]:
        """Give the row for JSON."""
        names = ("what", "measured", "bar", "unit", "at_least", "verdict")
        return {**{name: getattr(self, name) for name in names}, "details": dict(self.details)}


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the smallest value that `percent` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
