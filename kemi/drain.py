"""Whether this node takes new calls: `handoff up` says by a file that it is about to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kemi.message import SipError

if TYPE_CHECKING:
    from pathlib import Path

DRAINING = "draining"
"""The file in the run dir; `cli.paths` names it too, as it does not know this package."""
RETRY_AFTER = 60
"""Seconds after which whoever was refused may try this node again."""


class Drain:
    """Refuses what would begin something new while the file is there.

    Looking for it costs a worker a few microseconds, and needs nothing that its other processes would have to share.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def refuse(self) -> None:
        """Raise SipError 503 while this node ends, so that callers and dispatchers turn to another (RFC 3263 4.3)."""
        if self._file.exists():
            raise SipError(503, "This node is about to end", retry_after=RETRY_AFTER)
