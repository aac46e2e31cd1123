"""Office hours for tests that cannot choose the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from routing.hours import DAYS

OPEN = "daily 00:00-24:00"


def closed_now() -> str:
    """Give hours that are far from now, in any time zone: they are three days ahead."""
    return f"{DAYS[(datetime.now(UTC) + timedelta(days=3)).weekday()]} 09:00-17:00"
