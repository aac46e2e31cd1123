"""Where the CPU time of Kamailio's workers goes: between Kamailio and Python, and between the functions of Python."""

from __future__ import annotations

import json
import pstats
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.costs import cpu_seconds
from tests.bench.load import TARGET, Ports, plain_calls, transfers
from tests.stack.system import ROOT, System

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCRIPT = Path(__file__).parent / "profiled" / "handoff_kemi.py"
_INVITE = "ksr_request_route INVITE"
_RATES = {"plain": 50.0, "transfer": 10.0}  # low, since cProfile makes Python two or three times as slow


def profile(what: str, *, calls: int, top: int = 45) -> None:
    """Print where the time goes in `calls` calls: "plain" ones, or each with a "transfer"."""
    rate = _RATES[what]
    print(f"{calls} calls at {rate:g} per second; all times are us of CPU per call\n")
    with _profiled("no") as (system, ports):
        begun = cpu_seconds(system.kamailio)
        _run(what, system, ports, calls, rate)
        total = 1e6 * (cpu_seconds(system.kamailio) - begun) / calls
        _print_callbacks(system.folder, total)
    with _profiled("yes") as (system, ports):
        _run(what, system, ports, calls, rate)
        _print_functions(system.folder, top)


@contextmanager
def _profiled(functions: str) -> Iterator[tuple[System, Ports]]:
    ports = Ports()
    system = System(ports.agent_uri)
    command = system.kamailio.command
    command[:] = [f'KEMI_SCRIPT="{_SCRIPT}"' if part.startswith("KEMI_SCRIPT=") else part for part in command]
    command[:0] = [
        "env",
        f"HANDOFF_BENCH_PROFILE={system.folder}",
        f"HANDOFF_BENCH_FUNCTIONS={functions}",
    ]
    with system:
        system.add_target(TARGET, ports.target_uri)
        yield system, ports


def _run(what: str, system: System, ports: Ports, calls: int, rate: float) -> None:
    if what == "plain":
        plain_calls(system.proxy, ports, calls=calls, rate=rate)
    else:
        with transfers(system.proxy, ports, calls=calls, rate=rate):
            pass


def _print_callbacks(folder: Path, total: float) -> None:
    counts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for path in folder.glob("*.callbacks"):
        for name, (count, spent) in json.loads(path.read_text()).items():
            counts[name] += count
            seconds[name] += spent
    calls = counts[_INVITE]  # what came after the last dump is missing in all rows alike
    python = 1e6 * seconds.total() / calls
    parts = {"Kamailio's processes": total, "  in callbacks": python, "  around them": total - python}
    print("".join(f"{part:34}{spent:29.0f}\n" for part, spent in parts.items()))
    print(f"{'callback':34}{'a call':>8}{'us each':>10}{'us a call':>11}")
    for name, spent in seconds.most_common():
        print(f"{name:34}{counts[name] / calls:8.2f}{1e6 * spent / counts[name]:10.0f}{1e6 * spent / calls:11.0f}")


def _print_functions(folder: Path, top: int) -> None:
    stats = pstats.Stats(*map(str, folder.glob("*.functions")))
    table: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = stats.stats  # type: ignore[attr-defined]
    calls = next(row[1] for (_, _, name), row in table.items() if name == "invite")
    for title, column in (("in the function itself", 2), ("with what it calls", 3)):
        print(f"\n{title} (cProfile makes small functions look slower than they are)")
        print(f"{'us a call':>10}{'times':>9}  function")
        for place, row in sorted(table.items(), key=lambda item: -float(item[1][column]))[:top]:  # type: ignore[arg-type]
            print(f"{1e6 * row[column] / calls:10.0f}{row[1] / calls:9.2f}  {_place(place)}")  # type: ignore[operator]


def _place(place: tuple[str, int, str]) -> str:
    path, line, name = place
    if path == "~":
        return name
    short = path.removeprefix(f"{ROOT}/").rpartition("site-packages/")[2]
    return f"{name}  {short}:{line}"
