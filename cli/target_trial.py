"""`handoff targets test`: tries each endpoint of a target, and says what a call would meet there."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cli.diagnosis.finding import STYLES, Status
from cli.output import Exit, counted, plain, print_json
from cli.trial.planning import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.trial.endpoint import Report
    from routing.settings import Settings
    from routing.store import Store
    from routing.targets import Target

AT_ONCE = 10
"""Endpoints that are tested at a time."""


def test_target(settings: Settings, store: Store, target: Target, *, ring: bool, quiet: bool) -> list[Report]:
    """Test all endpoints of a target at once, with progress on a terminal."""
    stopped = threading.Event()
    works = [prepare(settings, store, target, each, stopped, ring=ring, quiet=quiet) for each in target.endpoints]
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[uri]}"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with progress, ThreadPoolExecutor(AT_ONCE) as pool:
        running = []
        for endpoint, work in zip(target.endpoints, works, strict=True):
            task = progress.add_task("waiting", uri=plain(endpoint.uri), total=None)
            tell = partial(_tell, progress, task)
            running.append(pool.submit(work, tell))
        try:
            return [each.result() for each in running]
        finally:
            stopped.set()  # by Ctrl-C, too


def print_reports(target: str, reports: Sequence[Report], *, as_json: bool) -> None:
    """Write what was found, and end the command with a failure where anything failed."""
    good = all(report.good for report in reports)
    if as_json:
        print_json({"target": target, "ok": good, "endpoints": [asdict(report) for report in reports]})
    else:
        _print(reports)
    if not good:
        click.get_current_context().exit(Exit.FAILED)


def _tell(progress: Progress, task: int, step: str) -> None:
    progress.update(task, description=step)  # type: ignore[arg-type]


def _print(reports: Sequence[Report]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000
    for report in reports:
        table = Table("CHECK", "STATUS", "WHAT", box=None, pad_edge=False, header_style="bold")
        for check in report.checks:
            what = f"{plain(check.what)}\n-> {plain(check.mend)}" if check.mend else plain(check.what)
            status = Text(check.status, style=STYLES[check.status])
            table.add_row(Text(plain(check.part)), status, Text(what, overflow="fold"))
        console.print(Text(plain(report.uri), style="bold"))
        console.print(table)
        for text in report.not_tested:
            console.print(Text(f"not tested: {plain(text)}", style="dim"))
        console.print()
    found = [check.status for report in reports for check in report.checks]
    counts = {status: found.count(status) for status in Status}
    click.echo(f"{counts[Status.OK]} ok, {counted(counts[Status.WARNING], 'warning')}, {counts[Status.FAILED]} failed")
