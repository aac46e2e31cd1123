"""How calls and transfers are shown: as data for programs, and as lines for people."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cli.output import local_time, seconds, time_of_day
from routing.diagnosis import diagnose
from routing.records import Party, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.dialog import Dialog
    from routing.heard import Heard
    from routing.records import Call
    from routing.transfer_record import Attempt, Transfer

CALL_COLUMNS = ("CALL", "STATE", "AGE", "CALLER", "POOL", "NODE", "TRANSFER")
HISTORY_COLUMNS = ("REQUESTED", "TARGET", "MODE", "BY", "OUTCOME", "STATUS", "TOOK")

MEANINGS = {
    State.TALKING: "caller and agent talk",
    State.ANNOUNCING: "the caller hears that the call is handed over",
    State.REFERRING: "the caller's side was asked to call the target",
    State.CALLING: "the target is called",
    State.RINGING: "it rings at the target",
    State.BRIEFING: "the person who answered is told what the call is about",
    State.ACCEPTING: "the person is asked for the key that takes the call",
    State.DECLINING: "the person did not take the call and hears goodbye",
    State.BRIDGING: "caller and person are being joined",
    State.LEAVING: "caller and person talk, the agent is let go",
    State.CONNECTED: "caller and person talk",
    State.APOLOGISING: "the transfer has failed, and the caller hears an apology",
    State.PARTING: "the caller has hung up, and the person is told so",
    State.ENDED: "the call is over",
}
"""What each state means, in plain words."""


def call_data(call: Call) -> dict[str, Any]:
    """Give what programs may want to know of a call; times are seconds since the epoch."""
    return {
        "id": call.id,
        "active": True,
        "state": call.state,
        "node": call.node,
        "media_node": call.media_node,
        "pool": call.pool,
        "created_at": call.created_at,
        **{party.value: _party_data(call.dialog(party)) for party in Party},
        "transfer": transfer_data(call.transfer) if call.transfer else None,
        "history": [transfer_data(transfer) for transfer in call.history],
    }


def _party_data(dialog: Dialog | None) -> dict[str, str] | None:
    if dialog is None:
        return None
    return {"address": dialog.remote, "contact": dialog.remote_target, "sip_call_id": dialog.call_id}


def transfer_data(transfer: Transfer, heard: Heard | None = None) -> dict[str, Any]:
    """Give what programs may want to know of a transfer; `outcome` is null while it is under way.

    `diagnosis` is null where nothing is wrong, or nothing is known of the cause.
    """
    found = diagnose(transfer, heard)
    return {**transfer.model_dump(mode="json", exclude={"subscription"}), "diagnosis": asdict(found) if found else None}


def diagnosis_fields(transfer: Transfer, heard: Heard | None = None) -> list[tuple[str, str]]:
    """Give why a transfer failed, and how to mend it; empty texts where nothing is wrong, or that is not known."""
    found = diagnose(transfer, heard)
    return [("why", found.cause if found else ""), ("mend", found.mend if found else "")]


def call_row(call: Call) -> list[str]:
    """Give one line of the list of calls, see CALL_COLUMNS."""
    age = seconds(max(0.0, time.time() - call.created_at))
    return [call.id, call.state, age, call.caller.remote, call.pool, call.node, transfer_text(call)]


def transfer_text(call: Call) -> str:
    """Say in a few words where the newest transfer of a call stands."""
    if transfer := call.transfer:
        legs = (call.leg,) if call.leg else call.legs
        endpoint = f" at {', '.join(leg.uri for leg in legs)}" if legs else ""
        return f"to {transfer.target}{endpoint}"
    return f"{call.history[-1].target}: {call.history[-1].outcome}" if call.history else ""


def call_fields(call: Call) -> list[tuple[str, str]]:
    """Give what people want to see of a call; parties that it has not have an empty text."""
    parties = [(party.value, _party_text(party, call.dialog(party))) for party in Party]
    return [
        ("call", call.id),
        ("state", f"{call.state} ({MEANINGS[call.state]})"),
        ("since", f"{local_time(call.created_at)} ({seconds(max(0.0, time.time() - call.created_at))})"),
        ("node", f"{call.node}, media at {call.media_node}"),
        ("pool", call.pool),
        *parties,
        ("transfer", transfer_text(call) if call.transfer else ""),
        ("summary", call.transfer.summary if call.transfer else ""),
    ]


def _party_text(party: Party, dialog: Dialog | None) -> str:
    if dialog is None:
        return ""
    # The To of the agent is what the caller dialled; its contact tells which agent of the pool took the call.
    return dialog.remote_target if party is Party.AGENT else dialog.remote


def history_rows(transfers: Iterable[Transfer]) -> list[list[str]]:
    """Give lines of finished transfers, see HISTORY_COLUMNS: each with its attempts below it."""
    rows = []
    for transfer in transfers:
        rows.append(_history_row(transfer))
        rows += [_attempt_row(attempt) for attempt in transfer.attempts]
    return rows


def _history_row(transfer: Transfer) -> list[str]:
    ended = transfer.ended_at
    return [
        local_time(transfer.requested_at),
        transfer.target,
        transfer.mode,
        transfer.source,
        transfer.outcome or "under way",
        " ".join(filter(None, (str(transfer.status or ""), transfer.reason))),
        seconds(ended - transfer.requested_at) if ended else "",
    ]


def _attempt_row(attempt: Attempt) -> list[str]:
    took = seconds(attempt.ended_at - attempt.started_at)
    at = f"  {time_of_day(attempt.started_at)}"
    return [at, f"  {attempt.uri}", "", "", "", f"{attempt.status} {attempt.reason}", took]
