"""Playing the demo: each mode on one stage, shown and judged."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from cli.demo_checks import find_problems
from cli.demo_shows import INTRODUCTION, SHOWS
from cli.demo_stage import Stage
from cli.demo_views import HOW_HEARD, OMITTED, WARM_OMITTED, facts_data, print_heard, print_timeline, sip_rows, timeline
from cli.output import Failed, print_json
from cli.phones import PhoneError
from cli.preflight import UnfitError
from cli.stack import StackError
from routing.store import StoreError
from rtpengine import RtpengineError

if TYPE_CHECKING:
    from cli.demo_facts import Facts
    from cli.demo_shows import Show

WIDTH = 120


def play(*, as_json: bool) -> bool:
    """Play all shows and print them; say whether everything was as it should be. Raises Failed."""
    console = Console()
    results = []
    if not as_json:
        click.echo(INTRODUCTION)
    try:
        with console.status("starting Redis, rtpengine, Kamailio and three phones") as status, Stage() as stage:
            for show in SHOWS:
                status.update(f"playing: {show.task.mode}")
                results.append(_perform(stage, show, as_json=as_json))
            status.update("stopping everything")
    except (UnfitError, StackError, PhoneError) as error:
        raise Failed(str(error)) from error
    good = not any(result["problems"] for result in results)
    if as_json:
        print_json({"ok": good, "shows": results})
    return good


def _perform(stage: Stage, show: Show, *, as_json: bool) -> dict[str, Any]:
    """Play one show; gives it as data."""
    if not as_json:
        click.secho(f"\n--- mode {show.task.mode} ---", bold=True)
        click.echo(f"{show.about}\n")
    began = time.time()
    try:
        facts = stage.transfer(show.task)
    except (PhoneError, StoreError, RtpengineError) as error:
        if not as_json:
            print_timeline(sip_rows(stage.messages(began), began))
            click.echo("\n".join(["", *stage.log, ""]))
        raise Failed(f"the {show.task.mode} transfer stopped half-way: {error}") from error
    problems = find_problems(facts)
    said = "" if problems else show.sum_up(facts)
    if not as_json:
        _print(facts, problems or [said])
    return {**facts_data(facts), "problems": problems, "shown": said}


def _print(facts: Facts, said: list[str]) -> None:
    print_timeline(timeline(facts))
    click.echo(f"({WARM_OMITTED if facts.transfer.briefs else OMITTED})\n")
    print_heard(facts)
    click.echo(f"({HOW_HEARD})\n")
    for sentence in said:
        click.echo(textwrap.fill(sentence, WIDTH, break_on_hyphens=False))
