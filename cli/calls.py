"""`handoff calls`: looking at calls, handing them over, and stopping that."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import click

from cli.effective import connect, effective_settings
from cli.follow import OutcomeMissing, Watcher, follow_transfer
from cli.given_texts import read_details, read_text
from cli.lookup import LOG_SEARCHED, find_call, seek_call, seek_ended
from cli.output import Commands, Exit, Failed, plain, print_fields, print_json, print_table
from cli.traces.place import trace_field
from cli.views import (
    CALL_COLUMNS,
    HISTORY_COLUMNS,
    MEANINGS,
    call_data,
    call_fields,
    call_row,
    diagnosis_fields,
    history_rows,
    transfer_data,
    transfer_text,
)
from routing.outcomes import Outcome
from routing.records import Call
from routing.store import StoreUnavailable
from routing.texts import check_text

if TYPE_CHECKING:
    from routing.store import Store
    from routing.transfer_record import Transfer

ANSWER_WITHIN = 5.0
"""Seconds that the node of a call has to answer a command."""


@click.group(cls=Commands)
def calls() -> None:
    """Look at calls, hand them over, cancel transfers.

    CALL is the id of a call, or so many of its first digits that no other call begins with them.
    """


@calls.command("list")
def list_calls(config: str | None, as_json: bool) -> None:
    """List the active calls."""
    with connect(effective_settings(config)) as store:
        found = list(store.calls())
    active = sorted((call for call in found if isinstance(call, Call)), key=lambda call: call.created_at)
    unreadable = [error for error in found if not isinstance(error, Call)]
    if as_json:
        print_json([call_data(call) for call in active])
    elif active:
        print_table(CALL_COLUMNS, [call_row(call) for call in active])
    elif not unreadable:
        click.echo("no active calls", err=True)
    if unreadable:
        raise Failed("\n".join(error.text for error in unreadable))


@calls.command("show")
@click.argument("prefix", metavar="CALL")
def show_call(config: str | None, as_json: bool, prefix: str) -> None:
    """Show a call and what became of its transfers.

    A call that has ended is found only if it had a transfer: it is looked up in the call log.
    """
    settings = effective_settings(config)
    with connect(settings) as store:
        call = seek_call(store, prefix)
        ended = None if call else seek_ended(store, prefix)
    if call:
        print_json(call_data(call)) if as_json else _print_call(call, trace_field(settings, call.id))
    elif ended:
        call_id, transfers = ended
        data = {"id": call_id, "active": False, "history": [transfer_data(transfer) for transfer in transfers]}
        print_json(data) if as_json else _print_ended(call_id, transfers, trace_field(settings, call_id))
    else:
        searched = f"the newest {LOG_SEARCHED} transfers of the call log"
        missing = f"there is no active call {prefix}, and {searched} know none"
        raise Failed(f"{missing} (a call that ends without a transfer is not kept): see `handoff calls list`")


@calls.command("transfer")
@click.argument("prefix", metavar="CALL")
@click.argument("target", metavar="TARGET_OR_URI")
@click.option("--mode", metavar="MODE", help="blind, message or summary; default: as the target says.")
@click.option("--message", metavar="TEXT", help="What the person hears in the mode message; - reads it from stdin.")
@click.option("--summary", metavar="TEXT", help="What the person learns in the mode summary; - reads it from stdin.")
@click.option("--wait", is_flag=True, help="Follow it until its outcome, and exit with 0 only if that is connected.")
def transfer_call(config: str | None, as_json: bool, prefix: str, target: str, wait: bool, **given: str | None) -> None:
    """Hand a call over to a target, or to a SIP URI that the policy allows."""
    check_text(target, "the target")
    details = read_details(given)
    with connect(effective_settings(config)) as store:
        call = find_call(store, prefix)
        answer = _command(store, call, "transfer", target=target, **details)
        if not as_json:
            click.echo(plain(f"transfer {answer.get('transfer')} to {answer.get('target')} begun"))
        elif not wait:
            print_json({"call": call.id, "transfer": answer.get("transfer"), "target": answer.get("target")})
        if wait:
            _await_outcome(store, call.id, str(answer.get("transfer")), as_json=as_json)


@calls.command("summary")
@click.argument("prefix", metavar="CALL")
@click.argument("text", metavar="TEXT")
def give_summary(config: str | None, as_json: bool, prefix: str, text: str) -> None:
    """Give the summary for the transfer of a call that is under way; - reads it from stdin.

    The transfer must be in the mode summary, and nobody may have answered yet; it takes the place of an earlier one.
    """
    words = read_text(text, "the summary")
    with connect(effective_settings(config)) as store:
        call = find_call(store, prefix)
        _command(store, call, "summary", text=words)
    print_json({"call": call.id, "summary": words}) if as_json else click.echo(f"summary of {call.id} given")


@calls.command("cancel")
@click.argument("prefix", metavar="CALL")
def cancel_transfer(config: str | None, as_json: bool, prefix: str) -> None:
    """Cancel the transfer of a call that is under way; caller and agent talk on."""
    with connect(effective_settings(config)) as store:
        call = find_call(store, prefix)
        _command(store, call, "cancel")
    print_json({"call": call.id, "cancelled": True}) if as_json else click.echo(f"transfer of {call.id} cancelled")


@calls.command("debug")
@click.argument("prefix", metavar="CALL")
@click.option("--off", is_flag=True, help="Log them no more.")
def debug_call(config: str | None, as_json: bool, prefix: str, off: bool) -> None:
    """Log all that happens to a call and is done about it, whatever log.level is.

    It ends by itself after half an hour, or with the call. The lines are in the log of `handoff up`, marked by debug=.
    """
    with connect(effective_settings(config)) as store:
        call = find_call(store, prefix)
        answer = _command(store, call, "debug", on=not off)
    if as_json:
        print_json({"call": call.id, "debug": not off, "seconds": answer.get("seconds")})
    elif off:
        click.echo(f"debug lines of {call.id} are logged no more")
    else:
        minutes = int(answer.get("seconds") or 0) // 60
        click.echo(f"debug lines of {call.id} are in the log of node {call.node} for {minutes} minutes")


@calls.command("watch")
@click.option("--every", type=click.FloatRange(0.1, 60), default=0.5, show_default=True, help="Seconds between looks.")
def watch_calls(config: str | None, as_json: bool, every: float) -> None:
    """Follow all calls, a line for each change, until Ctrl-C; with --json each line is an object.

    It looks every 0.5 s, or as --every says: states that are shorter are not seen, outcomes are.
    """
    with connect(effective_settings(config)) as store:
        watcher = Watcher(store)
        away = False
        try:
            while True:
                away = _look(watcher, away=away, as_json=as_json)
                time.sleep(every)  # Redis tells of no change by itself
        except KeyboardInterrupt:
            return


def _look(watcher: Watcher, *, away: bool, as_json: bool) -> bool:
    """Print what has changed; while Redis is away, that is said once."""
    try:
        changes = watcher.look(time.time())
    except StoreUnavailable as error:
        if not away:
            click.echo(f"{error.text}; trying again", err=True)
        return True
    for change in changes:
        print_json(change.data(), one_line=True) if as_json else click.echo(change.line())
    return False


def _command(store: Store, call: Call, kind: str, **details: str | bool) -> dict[str, Any]:
    """Have the node of a call do something; raises Failed when it refuses or does not answer."""
    command_id = str(uuid.uuid4())
    store.send_command(call.node, {"id": command_id, "kind": kind, "call": call.id, **details})
    answer = store.await_answer(command_id, ANSWER_WITHIN)
    if answer is None:
        raise Failed(_silence(store, call.node))
    if not answer.get("ok"):
        raise Failed(str(answer.get("text") or f"node {call.node} refused without saying why"))
    return answer


def _silence(store: Store, node: str) -> str:
    """Say which node did not answer, and what to do about it."""
    if node in store.nodes():
        why = "it is alive, but busy or held up: look at its log; the command may still be carried out"
    else:
        why = "it has given no sign of life for 10 seconds: check that `handoff up` runs there, and reaches this Redis"
    return f"node {node}, which has this call, did not answer within {ANSWER_WITHIN:.0f} seconds; {why}"


def _await_outcome(store: Store, call_id: str, transfer_id: str, *, as_json: bool) -> None:
    def report(call: Call) -> None:
        if not as_json:
            click.echo(plain(f"{call.state} {transfer_text(call)}: {MEANINGS[call.state]}"))

    try:
        transfer = follow_transfer(store, call_id, transfer_id, report)
    except OutcomeMissing as error:
        raise Failed(str(error)) from error
    if as_json:
        print_json({"call": call_id, **transfer_data(transfer)})
    else:
        click.echo(plain(f"{transfer.outcome} ({transfer.status} {transfer.reason})"))
        print_fields(diagnosis_fields(transfer))
    if transfer.outcome is not Outcome.CONNECTED:
        click.get_current_context().exit(Exit.FAILED)


def _print_call(call: Call, trace: tuple[str, str]) -> None:
    print_fields([*call_fields(call), trace])
    transfers = [*call.history, *([call.transfer] if call.transfer else [])]
    if transfers:
        click.echo()
        _print_transfers(transfers)


def _print_ended(call_id: str, transfers: list[Transfer], trace: tuple[str, str]) -> None:
    print_fields([("call", call_id), ("state", "ended"), ("log", f"handoff log show {call_id}"), trace])
    click.echo()
    _print_transfers(transfers)


def _print_transfers(transfers: list[Transfer]) -> None:
    """Write how transfers went; and of the last one, if it failed, why and what to do."""
    print_table(HISTORY_COLUMNS, history_rows(transfers))
    if transfers[-1].outcome is not None:
        print_fields(diagnosis_fields(transfers[-1]))
