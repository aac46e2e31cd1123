"""`handoff log`: what became of transfers, from the call log."""

from __future__ import annotations

import json
import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import click

from cli.effective import connect, effective_settings
from cli.log_choice import Choice, moment
from cli.log_page import print_page
from cli.log_views import COLUMNS, csv_line, csv_row, entry_data, row
from cli.lookup import choose
from cli.output import Commands, Failed, plain, print_json, print_table
from cli.traces.place import trace_field
from routing.outcomes import Outcome
from routing.store import Damaged, Logged, StoreUnavailable
from routing.store.log import page_through, read_log
from routing.texts import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from routing.store import Store

SHOWN = 50
"""Entries shown to people who do not say how many."""
FOLLOWED = 10
"""Entries shown before those that come."""
EVERY = 0.5
"""Seconds between two looks at the log."""
DAMAGED_TOLD = 5


class LogCommands(Commands):
    """`handoff log` alone lists; a word behind it is another command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` before options, and say how an entry is shown to whoever has given but its id."""
        helps = set(self.get_help_option_names(ctx)) & set(args[:1])
        named = args[:1] and args[0] in self.commands
        if not named and args[:1] and not args[0].startswith("-"):
            raise click.UsageError(f"for one transfer or call, write: handoff log show {args[0]}", ctx)
        return super().parse_args(ctx, args if named or helps else ["list", *args])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the options of the list with those of the group."""
        self.commands["list"].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(cls=LogCommands, name="log")
def log() -> None:
    """Show what became of transfers, the newest first.

    `handoff log show ID` tells all that is known of one. Times are written as 30m, 2h or 7d (so long ago), as 14:05
    (today), or as 2026-11-22 or 2026-11-22T14:05.
    """


@log.command("list")
@click.option("--since", metavar="TIME", help="Only those that finished since then.")
@click.option("--until", metavar="TIME", help="Only those that finished before.")
@click.option("--target", "targets", metavar="NAME", multiple=True, help="Only those to this target; may be repeated.")
@click.option(
    "--outcome",
    "outcomes",
    type=click.Choice([outcome.value for outcome in Outcome]),
    metavar="OUTCOME",
    multiple=True,
    help=f"Only those that ended so; may be repeated. One of {', '.join(Outcome)}.",
)
@click.option("--caller", metavar="TEXT", default="", help="Only those whose caller has this in its identity.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help=f"At most so many, 0: all; as a table {SHOWN}.")
@click.option("--follow", is_flag=True, help=f"Show the last {FOLLOWED}, and go on with those that come, until Ctrl-C.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV, with a line of headings.")
def list_log(  # noqa: PLR0917 click gives them by name
    config: str | None,
    as_json: bool,
    since: str | None,
    until: str | None,
    targets: tuple[str, ...],
    outcomes: tuple[str, ...],
    caller: str,
    limit: int | None,
    follow: bool,
    as_csv: bool,
) -> None:
    """List what became of transfers, the newest first."""
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude one another")
    if follow and until is not None:
        raise click.UsageError("--follow and --until exclude one another")
    choice = Choice(
        since=None if since is None else moment(since, "--since"),
        until=None if until is None else moment(until, "--until"),
        targets=targets,
        outcomes=outcomes,
        caller=caller,
    )
    if choice.since is not None and choice.until is not None and choice.since >= choice.until:
        raise click.UsageError("--since is not before --until, so there is nothing between them")
    damaged: list[Damaged] = []
    with connect(effective_settings(config)) as store:
        if follow:
            _follow(store, choice, FOLLOWED if limit is None else limit, as_csv=as_csv, as_json=as_json)
            return
        found = choice.of(store.log(), damaged)
        most = SHOWN if limit is None and not (as_csv or as_json) else limit
        entries = islice(found, most) if most else found
        if as_json:
            _print_array(entries)
        elif as_csv:
            _print_csv(entries)
        else:
            _print_rows(list(entries))
        if most and next(found, None):
            click.echo(f"there are more than {most}: see --limit, --since and --target", err=True)
    _tell(damaged)


@log.command("show")
@click.argument("prefix", metavar="ID")
def show_entry(config: str | None, as_json: bool, prefix: str) -> None:
    """Show all that is known of a transfer.

    ID is that of the transfer or of its call, or the beginning of it: a call shows all its transfers.
    """
    damaged: list[Damaged] = []
    settings = effective_settings(config)
    with connect(settings) as store:
        entries = _seek(store, prefix.lower(), damaged)
    _tell(damaged)
    if not entries:
        mend = "see `handoff log`, or `handoff calls show` for a transfer that is under way"
        raise Failed(f"the call log has no finished transfer {shown(prefix)}; {mend}")
    if as_json:
        print_json([entry_data(entry) for entry in entries])
        return
    for number, entry in enumerate(entries):
        if number:
            click.echo()
        print_page(entry, trace_field(settings, entry.call_id, entry.heard.ended_at if entry.heard else None))


def _seek(store: Store, prefix: str, damaged: list[Damaged]) -> list[Logged]:
    """Find the transfers of the one call that is meant, oldest first; raises Failed where there are several calls."""
    call = prefix.partition("-")[0]
    rows = ([row for row in page if row.call_id.startswith(call)] for page in page_through(store.log_page))
    found: list[Logged] = []
    for entry in read_log(rows):
        if isinstance(entry, Damaged):
            damaged.append(entry)
        elif entry.transfer.id.startswith(prefix) or entry.call_id.startswith(prefix):
            found.insert(0, entry)
    choose(prefix, {entry.call_id for entry in found})
    return [entry for entry in found if entry.transfer.id == prefix] or found


def _tell(damaged: list[Damaged]) -> None:
    """Tell of entries that cannot be read; the others are shown all the same."""
    for entry in damaged[:DAMAGED_TOLD]:
        click.echo(plain(entry.text), err=True)
    if len(damaged) > DAMAGED_TOLD:
        click.echo(f"{len(damaged)} entries cannot be read; these are the newest of them", err=True)


def _print_rows(entries: list[Logged]) -> None:
    if entries:
        print_table(COLUMNS, [row(entry) for entry in entries])
    else:
        click.echo("no such transfers", err=True)


def _print_array(entries: Iterable[Logged]) -> None:
    """Write a JSON array, an entry a line, none of which is kept; where none can be read nothing is written."""
    before = "["
    for entry in entries:
        click.echo(f"{before}{json.dumps(entry_data(entry))}", nl=False)
        before = ",\n "
    click.echo("[]" if before == "[" else "]")


def _print_csv(entries: Iterable[Logged]) -> None:
    for number, entry in enumerate(entries):
        _print_cells(csv_row(entry), headed=number > 0)


def _print_cells(cells: dict[str, object], *, headed: bool) -> None:
    """Write a line of CSV, below the headings where they have not been written yet."""
    if not headed:
        click.echo(csv_line(tuple(cells)))
    click.echo(csv_line(tuple(cells.values())))


def _follow(store: Store, choice: Choice, first: int, *, as_csv: bool, as_json: bool) -> None:
    """Print the last entries, oldest first, and then each that comes."""
    position = next((row.position for row in store.log_page(count=1)), "0-0")
    headed = False
    for entry in reversed(list(islice(choice.of(store.log(), []), first))):
        headed = _print_line(entry, as_csv=as_csv, as_json=as_json, headed=headed)
    away = False
    try:
        while True:
            time.sleep(EVERY)  # the log is not asked for long: a request must not block
            try:
                position, entries = _news(store, position)
            except StoreUnavailable as error:
                if not away:
                    click.echo(f"{error.text}; trying again", err=True)
                away = True
                continue
            away = False
            damaged: list[Damaged] = []
            for entry in reversed(list(choice.of(entries, damaged))):
                headed = _print_line(entry, as_csv=as_csv, as_json=as_json, headed=headed)
            _tell(damaged)
    except KeyboardInterrupt:
        return


def _news(store: Store, position: str) -> tuple[str, Iterator[Logged | Damaged]]:
    """Read what has come since; gives the place up to which that was."""
    pages = list(page_through(partial(store.log_page, after=position)))
    return pages[0][0].position if pages else position, read_log(pages)


def _print_line(entry: Logged, *, as_csv: bool, as_json: bool, headed: bool) -> bool:
    """Print an entry, the first one below headings where there are any."""
    if as_json:
        print_json(entry_data(entry), one_line=True)
    elif as_csv:
        _print_cells(csv_row(entry), headed=headed)
    else:
        click.echo("  ".join(plain(cell) for cell in row(entry) if cell))
    return True
