"""`handoff trace`: the SIP messages of a call, as a ladder or as files for other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console

from cli.effective import connect, effective_settings
from cli.output import PATH, Exit, Failed, OperatorCommand, counted, plain, print_json
from cli.traces.asking import find_trace
from cli.traces.ladder import draw_ladder, draw_mermaid, write_svg
from cli.traces.pcap import write_pcap
from cli.traces.scenarios import write_scenarios
from cli.traces.sip import write_place

if TYPE_CHECKING:
    from pathlib import Path

    from cli.traces.parties import Trace


@click.command(cls=OperatorCommand)
@click.argument("prefix", metavar="CALL")
@click.option("--full", is_flag=True, help="Write each message whole.")
@click.option("--mermaid", is_flag=True, help="Write a Mermaid sequence diagram.")
@click.option("--svg", is_flag=True, help="Write the ladder as an SVG picture.")
@click.option("--pcap", type=PATH, metavar="FILE", help="Write a file for Wireshark; all messages are in UDP packets.")
@click.option("--sipp", type=PATH, metavar="DIR", help="Write SIPp scenarios that replay what the parties did.")
def trace(
    *,
    config: str | None,
    as_json: bool,
    prefix: str,
    full: bool,
    mermaid: bool,
    svg: bool,
    pcap: Path | None,
    sipp: Path | None,
) -> None:
    """Show the SIP messages of a call, which may have ended within the last hour.

    CALL is the id of a call, or so many of its first digits that no other call begins with them. Passwords, answers to
    challenges and media keys are hidden. See [trace] in handoff.toml for whose messages are kept.
    """
    if as_json + mermaid + svg + full > 1:
        raise Failed("--json, --mermaid, --svg and --full exclude one another: give one of them", Exit.USAGE)
    with connect(effective_settings(config)) as store:
        found, missing = find_trace(store, prefix)
    for text in missing:
        click.echo(f"Warning: {text}: what it handled is not shown", err=True)
    _write_files(found, pcap, sipp)
    if as_json:
        print_json(_data(found))
    elif mermaid:
        click.echo(draw_mermaid(found), nl=False)
    elif svg:
        click.echo(write_svg(found))
    elif full:
        click.echo(_whole(found))
    elif not (pcap or sipp):
        _print_ladder(found)


def _write_files(found: Trace, pcap: Path | None, sipp: Path | None) -> None:
    if pcap:
        _write(pcap, write_pcap(step.message for step in found.steps))
        click.echo(f"{pcap}: {counted(len(found.steps), 'message')}", err=True)
    if sipp:
        for name, text in write_scenarios(found).items():
            _write(sipp / name, text.encode())
            click.echo(str(sipp / name), err=True)


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise Failed(f"{path} cannot be written ({error.strerror}): name another place") from error


def _data(found: Trace) -> dict[str, object]:
    parties = {name: write_place(place) for name, place in found.parties.items()}
    messages = [{**step.message.data(), "party": step.party, "again": step.again} for step in found.steps]
    return {"call": found.call_id, "left_out": found.left_out, "parties": parties, "messages": messages}


def _print_ladder(found: Trace) -> None:
    console = Console(highlight=False)
    console.print(f"call {found.call_id}")
    width = console.width if console.is_terminal else None
    console.print(draw_ladder(found, width), no_wrap=True, overflow="ignore", crop=console.is_terminal)


def _whole(found: Trace) -> str:
    parts = []
    began = found.steps[0].message.at
    several = len(found.nodes) > 1
    for step in found.steps:
        message = step.message
        node = f"  by {message.node}" if several else ""
        where = f"{write_place(message.source)} -> {write_place(message.destination)}"
        whom = f"{'to' if message.sent else 'from'} {step.party}"
        parts += [
            f"--- {message.at - began:.3f} s  {whom}  {message.transport} {where}{node}",
            *map(plain, message.text.splitlines()),
            "",
        ]
    return "\n".join(parts)
