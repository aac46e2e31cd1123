"""How entries of the call log are shown: as data for programs, as CSV, and as lines for people."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.log_choice import when
from cli.output import local_time, seconds
from cli.views import transfer_data
from routing.measured import answer_to_bridge
from routing.outcomes import Outcome
from routing.records import Party
from routing.transfer_record import Method

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.store.log import Logged
    from routing.transfer_record import Attempt, Transfer

COLUMNS = ("TIME", "TRANSFER", "CALLER", "TARGET", "MODE", "OUTCOME", "STATUS", "TO HUMAN", "TOOK")
_HEARD = {name: name for name in ("packets", "lost", "loss", "jitter", "mos")} | {"sent_codec": "codec"}
"""Columns of each party: `caller_sent_codec` is what came of it, `caller_codec` what it had agreed to."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a formula of a cell in a spreadsheet."""


def human_after(transfer: Transfer) -> float | None:
    """Say how many seconds passed from the REFER or command until the caller heard the person; None if it never did.

    Where the caller's side made the call itself, nobody has told us when that was.
    """
    last = answering(transfer)
    if last is None or last.method is Method.REFER or transfer.ended_at is None:
        return None
    return transfer.ended_at - transfer.requested_at


def answering(transfer: Transfer) -> Attempt | None:
    """Find the attempt by which the caller got a person; None where it did not."""
    return transfer.attempts[-1] if transfer.outcome is Outcome.CONNECTED and transfer.attempts else None


def transcoded(transfer: Transfer) -> bool | None:
    """Tell whether caller and person speak different codecs; None where nobody got through, or that is not known."""
    last = answering(transfer)
    if last is None or not last.codecs or not transfer.caller_codec:
        return None
    return transfer.caller_codec not in last.codecs


def entry_data(entry: Logged) -> dict[str, Any]:
    """Give all that the log knows of a transfer; times are seconds since the epoch."""
    return {
        "call": entry.call_id,
        **transfer_data(entry.transfer, entry.heard),
        "time_to_human": human_after(entry.transfer),
        "answer_to_bridge": answer_to_bridge(entry.transfer),
        "transcoded": transcoded(entry.transfer),
        "heard": entry.heard.model_dump(mode="json", exclude={"transfer"}) if entry.heard else None,
    }


def row(entry: Logged) -> list[str]:
    """Give one line of the list, see COLUMNS."""
    transfer = entry.transfer
    human, ended = human_after(transfer), transfer.ended_at
    return [
        local_time(when(transfer)),
        transfer.id,
        transfer.origin.caller if transfer.origin else transfer.sender,
        transfer.target,
        transfer.mode,
        transfer.outcome or "",
        " ".join(filter(None, (str(transfer.status or ""), transfer.reason))),
        "" if human is None else f"{human:.3f} s",
        "" if ended is None else seconds(ended - transfer.requested_at),
    ]


def csv_line(values: Sequence[object]) -> str:
    """Write a line of CSV; no text in it is taken for a formula by a spreadsheet."""
    line = io.StringIO()
    safe = (f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value for value in values)
    csv.writer(line, lineterminator="").writerow(safe)
    return line.getvalue()


def csv_row(entry: Logged) -> dict[str, object]:
    """Give the cells of a line of CSV by column; times are ISO 8601, durations seconds."""
    transfer, origin = entry.transfer, entry.transfer.origin
    last = transfer.attempts[-1] if transfer.attempts else None
    found = answering(transfer)
    human, bridged, changed = human_after(transfer), answer_to_bridge(transfer), transcoded(transfer)
    parties = entry.heard.parties if entry.heard else {}
    return {
        "time": datetime.fromtimestamp(when(transfer)).astimezone().isoformat(timespec="milliseconds"),
        "call": entry.call_id,
        "transfer": transfer.id,
        "caller": origin.caller if origin else transfer.sender,
        "trunk": origin.trunk if origin else "",
        "source": origin.source if origin else "",
        "called": origin.called if origin else "",
        "pool": origin.pool if origin else "",
        "target": transfer.target,
        "endpoint": last.uri if last else "",
        "mode": transfer.mode.value,
        "requested_by": transfer.source,
        "method": last.method.value if last else transfer.method.value,
        "outcome": transfer.outcome.value if transfer.outcome else "",
        "status": transfer.status or "",
        "reason": transfer.reason or "",
        "cause": next((cause for cause in (transfer.cause, last and last.cause) if cause is not None), ""),
        "attempts": len(transfer.attempts),
        "took": round(when(transfer) - transfer.requested_at, 3),
        "time_to_human": "" if human is None else round(human, 3),
        "answer_to_bridge": "" if bridged is None else round(bridged, 4),
        "changeover": "" if transfer.changeover is None else round(transfer.changeover, 4),
        "caller_codec": transfer.caller_codec,
        "offered": " ".join(transfer.offered),
        "answered": " ".join(found.codecs) if found else "",
        "transcoded": "" if changed is None else "yes" if changed else "no",
        **{
            f"{party.value}_{column}": getattr(parties.get(party), name, None)
            for party in (Party.CALLER, Party.TARGET)
            for column, name in _HEARD.items()
        },
    }
