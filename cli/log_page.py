"""One transfer on a page: whose call it was, each attempt, how well it was heard, and a ladder of what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.log_ladder import happenings, ladder
from cli.log_views import answering, human_after, transcoded
from cli.output import local_time, plain, print_fields, print_table
from cli.views import diagnosis_fields
from routing.measured import answer_to_bridge
from routing.records import Party

if TYPE_CHECKING:
    from routing.heard import PartyHeard
    from routing.store import Logged
    from routing.transfer_record import Attempt, Transfer

ATTEMPTS = (
    "ENDPOINT",
    "METHOD",
    "TRYING",
    "RINGING",
    "ANSWERED",
    "ENDED",
    "RESULT",
    "Q.850",
    "CODECS",
    "CALL-ID",
)
LADDER = ("TIME", "AFTER", "CALLER   AGENT  HANDOFF  TARGET", "")
_ASKED = {"refer": "REFER from the agent", "command": "command"}
_BRIEFED = ", the briefing included"
_HEARD = {Party.CALLER: "from caller", Party.TARGET: "from target"}


def print_page(entry: Logged, trace: tuple[str, str]) -> None:
    """Write all that the call log knows of a transfer, and where more is to be seen."""
    transfer = entry.transfer
    print_fields(
        [
            *_call_fields(entry),
            *_transfer_fields(transfer),
            *diagnosis_fields(transfer, entry.heard),
            *_media_fields(entry),
            trace,
        ]
    )
    if transfer.attempts:
        click.echo()
        print_table(ATTEMPTS, [_attempt_row(entry.call_id, attempt) for attempt in transfer.attempts])
    click.echo()
    print_table(LADDER, ladder(happenings(entry)))


def _call_fields(entry: Logged) -> list[tuple[str, str]]:
    origin = entry.transfer.origin
    if origin is None:
        return [("call", entry.call_id), ("caller", entry.transfer.sender)]
    return [
        ("call", entry.call_id),
        ("caller", origin.caller),
        ("asserted", origin.asserted),
        ("came from", " ".join(filter(None, (f"trunk {origin.trunk}" if origin.trunk else "", origin.source)))),
        ("called", f"{origin.called}, pool {origin.pool}"),
        ("node", f"{origin.node}, media at {origin.media_node}"),
    ]


def _transfer_fields(transfer: Transfer) -> list[tuple[str, str]]:
    result = " ".join(filter(None, (str(transfer.status or ""), transfer.reason)))
    human = human_after(transfer)
    found = answering(transfer)
    return [
        ("transfer", transfer.id),
        ("requested", f"{local_time(transfer.requested_at)} by {_ASKED[transfer.source]}"),
        ("target", f"{transfer.target}{f' at {found.uri}' if found else ''}"),
        ("mode", f"{transfer.mode}, method {transfer.method}"),
        ("outcome", f"{transfer.outcome} ({result})"),
        ("Q.850", "" if transfer.cause is None else f"{transfer.cause} in the caller's BYE"),
        ("time to human", "" if human is None else f"{human:.3f} s"),
        *_bridge_fields(transfer),
        ("summary", transfer.summary),
    ]


def _bridge_fields(transfer: Transfer) -> list[tuple[str, str]]:
    bridged, change = answer_to_bridge(transfer), transfer.changeover
    silence = "the caller heard nobody for so long at most, and until the person's next packet"
    return [
        ("bridged", "" if bridged is None else f"{bridged:.3f} s after the answer{_BRIEFED * transfer.briefs}"),
        ("changeover", "" if change is None else f"{1000 * change:.1f} ms: {silence}"),
    ]


def _media_fields(entry: Logged) -> list[tuple[str, str]]:
    transfer = entry.transfer
    changed, found = transcoded(transfer), answering(transfer)
    answered = f"; the target answered {' '.join(found.codecs)}" if found and found.codecs else ""
    verdict = "" if changed is None else ": transcoded" if changed else ": not transcoded"
    offered = f"; offered {' '.join(transfer.offered)}" if transfer.offered else ""
    heard = entry.heard.parties if entry.heard else {}
    return [
        ("codecs", f"the caller speaks {transfer.caller_codec or 'an unknown one'}{offered}{answered}{verdict}"),
        *((_HEARD[party], _heard_text(heard[party])) for party in _HEARD if party in heard),
        ("call ended", local_time(entry.heard.ended_at) if entry.heard else ""),
    ]


def _heard_text(heard: PartyHeard) -> str:
    counted = f"{heard.packets} packets{f' of {heard.codec}' if heard.codec else ''} in the whole call"
    if heard.mos is None:
        return f"{counted}; loss and jitter unknown: no RTCP report came of it"
    return f"{counted}, {heard.lost} lost ({heard.loss} %), jitter {heard.jitter} ms, MOS {heard.mos}"


def _attempt_row(call_id: str, attempt: Attempt) -> list[str]:
    def after(at: float | None) -> str:
        return "" if at is None else f"{at - attempt.started_at:.3f}"

    return [
        attempt.uri,
        attempt.method,
        after(attempt.trying_at),
        after(attempt.ringing_at),
        after(attempt.answered_at),
        after(attempt.ended_at),
        plain(f"{attempt.status} {attempt.reason}"),
        "" if attempt.cause is None else str(attempt.cause),
        " ".join(attempt.codecs),
        f"{call_id}-{attempt.leg}" if attempt.leg else "",
    ]
