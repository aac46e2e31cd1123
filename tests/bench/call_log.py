"""The measurement of the call log: how long an operator waits for what `handoff log` finds among 10,000 transfers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import cycle, islice
from statistics import median
from typing import TYPE_CHECKING

from redis import Redis

from routing.store import Logged, layout
from tests.bench.load import transfers
from tests.bench.result import Result
from tests.bench.rows import running
from tests.routing.store_help import a_call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from routing.store import Store

ENTRIES, REAL = 10_000, 20


def filter_log(quick: bool) -> list[Result]:
    """Look for a target that no transfer went to, so that all are read: the whole command, and in turns Redis alone.

    The log has real transfers, and copies of them that were written as the real ones were.
    """
    rounds = 3 if quick else 7
    with running() as (system, ports):
        with transfers(system.proxy, ports, calls=REAL, rate=10):
            pass
        real = [entry for entry in system.store.log() if isinstance(entry, Logged)]
        fill(system.store, real)
        command = [sys.executable, "-m", "cli.main", "log", "--target", "nobody", "--json"]
        environ = {**os.environ, "HANDOFF_SETTINGS": str(system.folder / "settings.json")}
        times: dict[str, list[float]] = {"command": [], "redis": []}
        with Redis(unix_socket_path=str(system.folder / "redis.sock")) as redis:
            for _ in range(rounds):
                times["command"].append(_seconds(lambda: subprocess.check_output(command, env=environ)))
                times["redis"].append(_seconds(lambda: redis.xrange(layout.LOG)))
    whole, alone = median(times["command"]), median(times["redis"])
    note = f"{whole / alone:.1f} times what it takes to read the whole stream from Redis, {1000 * alone:.0f} ms"
    return [Result("`handoff log --target` among 10,000 transfers, whole command", whole, 1, "s", note=note)]


def fill(store: Store, real: Sequence[Logged]) -> None:
    """Log transfers like these, until there are 10,000, each with how it was heard."""
    for number, entry in enumerate(islice(cycle(real), ENTRIES - len(real))):
        call = a_call(f"{number:016x}", deadlines={})
        transfer = entry.transfer.model_copy(update={"id": f"{call.id}-1"})
        store.create(call)
        with store.lease(call.id) as lease:
            lease.forget((transfer,))
        if entry.heard:
            store.tick(0.0, call.node, heard={call.id: entry.heard.model_copy(update={"transfer": transfer.id})})


def _seconds(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began
