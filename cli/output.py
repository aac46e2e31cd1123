"""What all commands for operators share: --config and --json, exit codes, errors as sentences, tables."""

from __future__ import annotations

import io
import json
import sys
import time
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from routing.problems import InvalidInputError
from routing.records import BadRecordError
from routing.store import StoreError, StoreUnavailable
from routing.texts import BadValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from routing.problems import Problem

PATH = click.Path(path_type=Path, readable=False)
"""A file or folder; whether it can be read says whoever reads it, with the mend, or has other rights than we have."""


UNBROKEN = {"CALL", "CALL-ID", "OUTCOME", "TRANSFER"}
"""Columns of ids and words, which are copied: others are broken first where the terminal is narrow."""


class Exit(IntEnum):
    """How a command ended, for whoever called it."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REDIS_AWAY = 3


EXIT_CODES = """\b
Exit codes: 0 ok, 1 failed or not found, 2 wrong usage or configuration,
3 Redis is not available."""


class Failed(Exception):
    """A command cannot do what it was asked; the text says what, where and how to mend it."""

    def __init__(self, text: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(text)
        self.code = code


class OperatorCommand(click.Command):
    """A command with --config and --json; every error ends it with one clear text and an exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("epilog", EXIT_CODES)
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(["--config"], metavar="FILE", help="handoff.toml; default: what the running handoff uses."),
            click.Option(["--json", "as_json"], is_flag=True, help="Write JSON, errors (on stderr) included."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; what goes wrong is told, never traced."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # for terminals that know few letters
        try:
            return super().invoke(ctx)
        except (Failed, InvalidInputError, BadValue, BadRecordError, StoreError) as error:
            _tell(error, as_json=ctx.params["as_json"])
            ctx.exit(_exit_code(error))


class Commands(click.Group):
    """A group of such commands."""

    command_class = OperatorCommand


def _exit_code(error: Exception) -> Exit:
    if isinstance(error, Failed):
        return error.code
    if isinstance(error, StoreUnavailable):
        return Exit.REDIS_AWAY
    return Exit.USAGE if isinstance(error, InvalidInputError | BadValue) else Exit.FAILED


def _tell(error: Exception, *, as_json: bool) -> None:
    problems = error.problems if isinstance(error, InvalidInputError) else []
    text = f"{error.source} cannot be used" if isinstance(error, InvalidInputError) else str(error)
    if as_json:
        click.echo(json.dumps({"error": text, "problems": problems_as_data(problems)}), err=True)
    else:
        lines = str(error if problems else text).splitlines()
        click.echo("Error: " + "\n".join(map(plain, lines)), err=True)


def problems_as_data(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Give problems as JSON values."""
    return [{"where": problem.where, "what": problem.what, "mend": problem.mend} for problem in problems]


def print_json(value: object, *, one_line: bool = False) -> None:
    """Write a JSON value, in ASCII since nobody knows what reads it."""
    click.echo(json.dumps(value, indent=None if one_line else 2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table; as wide as it is when it does not go to a terminal, so that nothing is cut off."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column in UNBROKEN)
    for row in rows:
        table.add_row(*(Text(plain(cell), overflow="fold") for cell in row))
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Write names and values, one a line; those without a value are left out."""
    shown = [(name, plain(value)) for name, value in fields if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name:{width}}  {value}")


def counted(number: int, noun: str) -> str:
    """Write a number and what it counts: `1 call`, `2 calls`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def plain(text: str) -> str:
    """Make text fit for a terminal: what peers sent may hold signs that would steer it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def local_time(at: float) -> str:
    """Write a time (seconds since the epoch) as date and time of day here."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def time_of_day(at: float) -> str:
    """Write a time (seconds since the epoch) as time of day here, with milliseconds."""
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at % 1 * 1000):03d}"


def seconds(duration: float) -> str:
    """Write a duration in seconds for people."""
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
