"""`handoff trunks`: what was learned of the trunks, whose callers may be handed over by REFER."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from cli.effective import connect, effective_settings
from cli.output import Failed, OperatorCommand, local_time, print_json, print_table
from routing.texts import nearest, shown
from routing.trunks import ASK_AGAIN, Learned, Verdict

if TYPE_CHECKING:
    from routing.settings import Trunk

COLUMNS = ("TRUNK", "ADDRESSES", "REFER", "SINCE", "NEXT TRIED")
WORDS = {
    Verdict.WORKS: "works",
    Verdict.REFUSES: "refused with {status}",
    Verdict.SILENT: "accepted or not, but never reported",
}


@click.command(cls=OperatorCommand)
@click.option("--forget", metavar="NAME", help="Forget what was learned of this trunk: it is asked again.")
def trunks(config: str | None, as_json: bool, forget: str | None) -> None:
    """Show what the trunks make of a REFER.

    Targets with the method auto have the caller's side asked first where that works, or is not known yet.
    """
    settings = effective_settings(config)
    with connect(settings) as store:
        if forget is not None:
            if not store.forget_trunk(forget):
                known = store.trunks()
                mend = nearest(forget, known) if known else "nothing was learned of any"
                raise Failed(f"nothing was learned of trunk {shown(forget)}; {mend}")
            print_json({"forgotten": forget}) if as_json else click.echo(f"trunk {forget} forgotten")
            return
        learned = {name: Learned.read(data) for name, data in store.trunks().items()}
    if as_json:
        print_json([_data(trunk, learned.get(trunk.name)) for trunk in settings.trunks])
    else:
        print_table(COLUMNS, [_row(trunk, learned.get(trunk.name)) for trunk in settings.trunks])


def _data(trunk: Trunk, learned: Learned | None) -> dict[str, Any]:
    return {
        "name": trunk.name,
        "addresses": list(trunk.addresses),
        "refer": learned.model_dump(mode="json") if learned else None,
    }


def _row(trunk: Trunk, learned: Learned | None) -> tuple[str, ...]:
    head = trunk.name, ", ".join(trunk.addresses)
    if learned is None:
        return *head, "not known", "", "at the next transfer"
    again = "at the next transfer" if learned.advises(time.time()) else local_time(learned.at + ASK_AGAIN)
    return *head, WORDS[learned.verdict].format(status=learned.status), local_time(learned.at), again
