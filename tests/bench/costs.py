"""What processes cost: CPU time and memory, read from /proc."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.stack.daemon import Daemon
    from tests.stack.system import System

_TICK = os.sysconf("SC_CLK_TCK")


def processes(*daemons: Daemon) -> list[int]:
    """Find the ids of daemons and of all their descendants."""
    parents = {int(path.parent.name): _stat(path) for path in Path("/proc").glob("[0-9]*/stat")}
    found = [daemon.process.pid for daemon in daemons if daemon.process is not None]
    for pid in found:
        found += [child for child, stat in parents.items() if stat and int(stat[1]) == pid]
    return found


def cpu_seconds(*daemons: Daemon) -> float:
    """Add up user and system time of daemons, in seconds; children that have ended included."""
    stats = [_stat(Path(f"/proc/{pid}/stat")) for pid in processes(*daemons)]
    return sum(sum(map(int, stat[11:15])) for stat in stats if stat) / _TICK


def _stat(path: Path) -> list[str]:
    """Read the fields that follow the name, beginning with the state; nothing for a process that has gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def memory(system: System) -> dict[str, float]:
    """Tell what each daemon of a system uses, in bytes.

    Kamailio takes its shared memory once and never gives it back: of that counts what is in use, of all other
    memory each process's share (PSS).
    """
    others = {"rtpengine": system.rtpengine, "redis": system.redis}
    return {
        "kamailio_shared": system.counter("core.shmmem", "used"),
        "kamailio_private": 1024 * sum(_rollup(pid, "Pss_Anon") for pid in processes(system.kamailio)),
        **{name: 1024 * sum(_rollup(pid, "Pss") for pid in processes(daemon)) for name, daemon in others.items()},
    }


def _rollup(pid: int, name: str) -> int:
    found = re.search(rf"^{name}: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None, "Linux 5.10 has it"
    return int(found[1])
