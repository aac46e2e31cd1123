"""`handoff doctor`: checks every part and says what to do."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.diagnosis.config import check_changed
from cli.diagnosis.finding import STYLES, Finding, Status, failed, ok
from cli.diagnosis.machine import check_descriptors, check_programs
from cli.diagnosis.peers import check_agent, check_listening, check_media_node, check_metrics, judge_pool
from cli.diagnosis.speech import check_speech
from cli.diagnosis.stored import check_stored
from cli.diagnosis.trace import check_trace
from cli.effective import START, effective_settings, name_missing
from cli.output import Exit, Failed, OperatorCommand, counted, plain, print_json
from cli.paths import settings_file
from routing.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from routing.settings import Pool, Settings

    Check = Callable[[], list[Finding]]

DEADLINE = 12.0
"""Seconds after which a check that has not ended is given up; each ends sooner unless a name lookup hangs."""
AGENTS_DEADLINE = DEADLINE - 2.0
"""Seconds for the agents of a pool, so that one that hangs leaves time to tell of the others."""


@click.command(cls=OperatorCommand)
def doctor(config: str | None, as_json: bool) -> None:
    """Check every part of handoff on this machine, and say what to do.

    Warnings do not make it fail. The checks only look; SIP hosts are sent one OPTIONS.
    """
    found = examine(config)
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        _print(found)
    if any(finding.status is Status.FAILED for finding in found):
        click.get_current_context().exit(Exit.FAILED)


def examine(config: str | None) -> list[Finding]:
    """Make all checks that can be made; without settings those are few."""
    try:
        settings = effective_settings(config)
    except SettingsError as error:
        found = [failed(f"config {problem.where}", problem.what, problem.mend) for problem in error.problems]
        return [*found, *run_checks(_local_checks(None))]
    except Failed as error:
        text, _, mend = str(error).partition(": ")
        return [failed("config", text, mend), *run_checks(_local_checks(None))]
    pools, trunks = counted(len(settings.pools), "pool"), counted(len(settings.trunks), "trunk")
    config_is_ok = ok("config", f"node {settings.node.id}, {pools}, {trunks}")
    changed = check_changed() if config is None else []
    return [config_is_ok, *changed, *say_once(run_checks(_all_checks(settings)))]


def say_once(found: list[Finding]) -> list[Finding]:
    """Put one finding in the place of all that only say that no `handoff up` runs."""
    silent = [finding for finding in found if finding.mend.startswith(START)]
    ours = [finding for finding in found if finding.part.startswith(("sip ", "metrics "))]
    if not ours or any(finding not in silent for finding in ours):
        return found
    parts = ", ".join(finding.part for finding in silent)
    missing = "" if settings_file(os.environ).exists() else f" ({name_missing(os.environ)})"
    what = f"it does not run here{missing}: nothing answers for {parts}"
    once = failed("handoff up", what, f"{START}; if it runs, look at its log")
    return [once, *(finding for finding in found if finding not in silent)]


def _local_checks(settings: Settings | None) -> list[tuple[str, Check]]:
    checks: list[tuple[str, Check]] = [("programs", partial(check_programs, settings))]
    if settings is None:
        checks.append(("file descriptors", lambda: [check_descriptors(None)]))
    return checks


def _all_checks(settings: Settings) -> list[tuple[str, Check]]:
    """Name the checks; what asks Redis is one of them, see cli.diagnosis.stored."""
    media = settings.rtpengine.nodes.items()
    return [
        *_local_checks(settings),
        ("redis", partial(check_stored, settings)),
        *((f"rtpengine {name}", partial(check_media_node, name, address)) for name, address in media),
        *((f"sip {listen}", partial(check_listening, listen)) for listen in settings.sip.listen),
        *((f"pool {pool.name}", partial(check_pool, pool)) for pool in settings.pools),
        ("speech", partial(check_speech, settings)),
        ("metrics", partial(check_metrics, settings)),
        ("trace", partial(check_trace, settings)),
    ]


def check_pool(pool: Pool) -> list[Finding]:
    """Check all agents of a pool, and what that means for it."""
    checks = [(f"agent {agent.uri}", partial(check_agent, agent.uri)) for agent in pool.agents]
    return judge_pool(pool.name, run_checks(checks, AGENTS_DEADLINE))


def run_checks(checks: Sequence[tuple[str, Check]], deadline: float = DEADLINE) -> list[Finding]:
    """Make all checks at once, and wait `deadline` seconds for them in all; the order stays."""
    results: dict[int, list[Finding]] = {}

    def run(number: int, part: str, check: Check) -> None:
        try:
            results[number] = check()
        except Exception as error:  # noqa: BLE001 - the others are still wanted, and this one is told as failed
            what = f"the check itself failed ({type(error).__name__}: {error})"
            results[number] = [failed(part, what, "this is a fault of handoff: please report it")]

    threads = [
        threading.Thread(target=run, args=(number, part, check), daemon=True)
        for number, (part, check) in enumerate(checks)
    ]
    until = time.monotonic() + deadline
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = f"the check did not end within {deadline:g} seconds"
    unknown = "look for a name lookup that hangs (/etc/resolv.conf), and at the load of this machine"
    given_up = [[failed(part, late, unknown)] for part, _ in checks]
    return [finding for number, given in enumerate(given_up) for finding in results.get(number, given)]


def _print(found: Sequence[Finding]) -> None:
    table = Table("PART", "STATUS", "WHAT", box=None, pad_edge=False, header_style="bold")
    for finding in found:
        what = f"{finding.what}\n-> {finding.mend}" if finding.mend else finding.what
        lines = "\n".join(plain(line) for line in what.splitlines())
        table.add_row(
            Text(plain(finding.part), overflow="fold"),
            Text(finding.status, style=STYLES[finding.status]),
            Text(lines, overflow="fold"),
        )
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)
    counts = {status: sum(finding.status is status for finding in found) for status in Status}
    click.echo(
        f"\n{counts[Status.OK]} ok, {counted(counts[Status.WARNING], 'warning')}, {counts[Status.FAILED]} failed"
    )
