"""Which processes there are, and their end."""

from __future__ import annotations

import os
import select
from pathlib import Path

PATIENCE = 20.0


def descendants(pid: int) -> set[int]:
    """Find the children of a process, and theirs."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found: set[int] = set()
    level = {pid}
    while level := {child for child, parent in parents.items() if parent in level}:
        found |= level
    return found


def await_end(pids: set[int]) -> None:
    """Wait until all of these processes have ended."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([handle], [], [], PATIENCE)[0], Path(f"/proc/{pid}/cmdline").read_text()
        finally:
            os.close(handle)
