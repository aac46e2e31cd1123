"""`make bench`: measures handoff and prints each figure beside its bar.

    python -m tests.bench [--quick] [--only NAME] [--json FILE]
    python -m tests.bench --profile plain|transfer

Nothing fails for being slow: the status is 0 when everything could be measured. Figures depend on the machine, and on
what else it does; where two things are compared they run in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests.bench import briefings, call_log, rows, voices
from tests.bench.profiling import profile

if TYPE_CHECKING:
    from tests.bench.result import Result

MEASUREMENTS = {
    "plain": rows.plain_cpu,
    "refer": rows.refer_to_invite,
    "voices": voices.what_the_caller_hears,
    "leaks": briefings.warm_transfers,
    "throughput": rows.throughput,
    "cpu": rows.transfer_cpu,
    "memory": rows.transfer_memory,
    "log": call_log.filter_log,
}
_STYLES = {"ok": "green", "missed": "red", "later": "dim", "not measured": "bold red"}


def main() -> int:
    """Measure, print and write down; gives the exit status."""
    arguments = _arguments()
    if arguments.profile:
        profile(arguments.profile, calls=100 if arguments.quick else 300)
        return 0
    results: list[Result] = []
    problems: dict[str, str] = {}
    for name in [arguments.only] if arguments.only else MEASUREMENTS:
        for _ in range(2):  # once more after a failure: a machine that stands still for a moment says nothing
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            try:
                results += MEASUREMENTS[name](arguments.quick)
            except AssertionError as error:
                problems[name] = str(error)
            else:
                problems.pop(name, None)
                break
    _print(results, problems)
    if arguments.json:
        document = {
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
            "results": [result.as_dict() for result in results],
            "problems": problems,
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures with all details there too")
    parser.add_argument("--quick", action="store_true", help="less load and shorter: a first impression")
    parser.add_argument("--only", choices=MEASUREMENTS, metavar="NAME", help=f"one of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--profile", choices=["plain", "transfer"], help="where Kamailio's CPU time goes, instead")
    return parser.parse_args()


def _print(results: list[Result], problems: dict[str, str]) -> None:
    table = Table("what", "measured", "bar", "verdict")
    for column in table.columns[1:3]:
        column.justify = "right"
    for result in results:
        measured = "-" if result.measured is None else f"{result.measured:.4g} {result.unit}"
        bar = f"{'>=' if result.at_least else '<='} {result.bar:g} {result.unit}"
        table.add_row(result.what, measured, bar, result.verdict, style=_STYLES[result.verdict])
    for name, problem in problems.items():
        table.add_row(name, "-", "", f"not measured: {problem.splitlines()[0]}", style=_STYLES["not measured"])
    Console().print(table)
    for native in (result.details["native_us"] for result in results if "native_us" in result.details):
        print(f"The native cfg took {median(native):.0f} us a call; on the machine that the bars are from, 440 us.")
    for result in results:
        if result.note:
            print(f"{result.what}: {result.note}.")
    for name, problem in problems.items():
        print(f"\n{name}: {problem}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
