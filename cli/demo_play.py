"""Playing the demo: each mode on one stage, shown and judged."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from cli import demo_blind
from cli.demo_stage import Stage
from cli.demo_views import HOW_HEARD, OMITTED, facts_data, print_heard, print_timeline, timeline
from cli.output import Failed, print_json
from cli.phones import PhoneError
from cli.preflight import UnfitError
from cli.stack import StackError
from routing.outcomes import Mode
from routing.store import StoreError
from rtpengine import RtpengineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.demo_stage import Facts


@dataclass(frozen=True, slots=True)
class Show:
    """One mode: what will be done, what was not as it should be, and what was shown."""

    mode: Mode
    about: str
    find_problems: Callable[[Facts], list[str]]
    sum_up: Callable[[Facts], str]


SHOWS = (Show(Mode.BLIND, demo_blind.ABOUT, demo_blind.find_problems, demo_blind.sum_up),)


def play(*, as_json: bool) -> bool:
    """Play all shows and print them; say whether everything was as it should be. Raises Failed."""
    console = Console()
    results = []
    try:
        with console.status("starting Redis, rtpengine, Kamailio and three phones") as status, Stage() as stage:
            for show in SHOWS:
                status.update(f"playing: {show.mode}")
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
        click.echo(f"{show.about}\n")
    began = time.time()
    try:
        facts = stage.transfer(show.mode)
    except (PhoneError, StoreError, RtpengineError) as error:
        if not as_json:
            print_timeline(timeline(stage.messages(began), began, None))
            click.echo("\n".join(["", *stage.log, ""]))
        raise Failed(f"the {show.mode} transfer stopped half-way: {error}") from error
    problems = show.find_problems(facts)
    said = "" if problems else show.sum_up(facts)
    if not as_json:
        _print(facts, problems, said)
    return {**facts_data(facts), "problems": problems, "shown": said}


def _print(facts: Facts, problems: list[str], said: str) -> None:
    print_timeline(timeline(facts.messages, facts.began, facts.transfer.ended_at))
    click.echo(f"({OMITTED})\n")
    print_heard(facts)
    click.echo(f"({HOW_HEARD})\n\n" + "\n".join(problems or [said]))
