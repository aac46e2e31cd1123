"""`handoff status`: what goes on now, on one screen."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from cli.effective import connect, effective_settings
from cli.output import OperatorCommand, plain, print_json
from cli.status_facts import Reader
from cli.status_screen import screen
from routing.store import StoreUnavailable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.status_facts import Facts

EVERY = 1.0
"""Seconds between two looks."""


@click.command(cls=OperatorCommand)
@click.option("--watch/--once", default=None, help="Go on until Ctrl-C, or look once; default: go on at a terminal.")
def status(config: str | None, as_json: bool, watch: bool | None) -> None:
    """Show what goes on now: nodes, pools, calls, transfers, the last hour, endpoints.

    At a terminal it is renewed each second, until Ctrl-C. With --json it looks once, unless --watch is given: then each
    line is an object.
    """
    settings = effective_settings(config)
    console = Console(file=sys.stdout, highlight=False)
    with connect(settings) as store:
        reader = Reader(store, settings)
        if watch is None:
            watch = console.is_terminal and not as_json
        if not watch:
            facts = reader.read()
            print_json(facts.data()) if as_json else _print(console, facts)
            return
        with suppress(KeyboardInterrupt):
            _watch_json(reader) if as_json else _watch(reader, console)


def _print(console: Console, facts: Facts) -> None:
    if not console.is_terminal:
        console.width = 10_000  # nothing is cut off in a file
    console.print(screen(facts))


def _watch(reader: Reader, console: Console) -> None:
    """Renew the screen; while Redis is away the last one stays, and says so."""
    last: RenderableType = Text()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            try:
                last = shown = screen(reader.read(), console.height)
            except StoreUnavailable as error:
                shown = Group(Text(plain(f"{error.text}; trying again"), style="red"), last)
            live.update(shown, refresh=True)
            time.sleep(EVERY)  # Redis tells of no change by itself


def _watch_json(reader: Reader) -> None:
    while True:
        try:
            print_json(reader.read().data(), one_line=True)
        except StoreUnavailable as error:
            click.echo(f"{error.text}; trying again", err=True)
        time.sleep(EVERY)  # Redis tells of no change by itself
