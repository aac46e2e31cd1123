"""`handoff targets test`: tries each endpoint of a target, and says what a call would meet there."""

from __future__ import annotations

import sys
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cli.diagnosis.finding import STYLES, Finding, Status, failed, ok
from cli.output import Exit, counted, plain, print_json
from cli.trial.attempt import Identity
from cli.trial.endpoint import Plan, Report, examine
from routing.secret_sources import find_value
from routing.texts import BadValue
from routing.uris import on_trunk
from routing.users import read_contacts, user_of
from routing.values import parse_sip_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from routing.settings import Settings
    from routing.store import Store
    from routing.target_fields import Endpoint
    from routing.targets import Target

    Work = Callable[[Callable[[str], None]], Report]

AT_ONCE = 10
"""Endpoints that are tested at a time."""


def test_target(settings: Settings, store: Store, target: Target, *, ring: bool, quiet: bool) -> list[Report]:
    """Test all endpoints of a target at once, with progress on a terminal."""
    stopped = threading.Event()
    plans = partial(_work, settings, store, target, stopped, ring=ring, quiet=quiet)
    works = [plans(endpoint) for endpoint in target.endpoints]
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


def _work(
    settings: Settings,
    store: Store,
    target: Target,
    stopped: threading.Event,
    endpoint: Endpoint,
    *,
    ring: bool,
    quiet: bool,
) -> Work:
    """Prepare the test of an endpoint; what is asked of the store is asked here, by one thread."""
    if (user := user_of(endpoint.uri, settings.users)) is not None:
        report = _look_up(store, endpoint.uri, user)
        return lambda _: report
    try:
        uri = on_trunk(endpoint.uri, settings.tel_trunk)
    except BadValue as error:
        report = Report(endpoint.uri, [failed("trunk", error.what, error.mend)])
        return lambda _: report
    plan = Plan(
        uri=uri,
        identity=_identity(settings, target, endpoint),
        codecs=target.codecs or settings.transfer.codecs,
        tls=settings.tls,
        ca_file=target.ca_file,
        srtp=target.srtp,
        ring=(endpoint.ring_timeout or target.ring_timeout) if ring else 0.0,
        quiet=quiet,
        stopped=stopped,
    )
    return partial(_examine, plan, endpoint.uri)


def _examine(plan: Plan, uri: str, tell: Callable[[str], None]) -> Report:
    try:
        return replace(examine(plan, tell), uri=uri)
    except Exception as error:  # noqa: BLE001 - the others are still wanted, and this one is told as failed
        what = f"the test itself failed ({type(error).__name__}: {error})"
        return Report(uri, [failed("test", what, "this is a fault of handoff: please report it")])


def _identity(settings: Settings, target: Target, endpoint: Endpoint) -> Identity:
    """Tell who calls: the target's caller id where it is a URI, since there is no caller and no agent here."""
    sender = target.caller_id if ":" in target.caller_id else ""
    secret, trouble = None, ""
    if endpoint.secret is not None:
        try:
            secret = find_value(endpoint.secret, settings.security.key)
        except BadValue as error:
            trouble = str(error)
    user = endpoint.user or urllib.parse.unquote(parse_sip_uri(endpoint.uri).user or "")
    return Identity(sender, user, secret, trouble, settings.sip.user_agent, target.headers)


def _look_up(store: Store, uri: str, user: str) -> Report:
    """Say where the phones of a user are; only Kamailio has the connections on which they are reached."""
    phones = read_contacts(store.contacts([user]).get(user, ()), time.time())
    if not phones:
        mend = "see that a phone registers: handoff users list"
        return Report(uri, [failed("registration", f"no phone of {user} is registered", mend)])
    where = ", ".join(f"{phone.hop or phone.uri} ({phone.transport})" for phone in phones)
    found: list[Finding] = [ok("registration", f"{counted(len(phones), 'phone')}: {where}")]
    return Report(uri, found, ["requests to registered phones: they are reached only by handoff itself; call it"])


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
